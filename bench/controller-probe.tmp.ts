import { Assembly } from '../src/commands/assembly.ts';
import { ClusterState } from '../src/controller/cluster-state.ts';
import { keepResource } from '../src/controller/watched.ts';
import { DiscoveryIndex } from '../src/controller/discovery/discovery-index.ts';
import { ManualClock } from '../test/fixtures/manual-clock.ts';
import { createLog } from '../src/observability/log.ts';
const clock = new ManualClock();
const log = createLog(() => {});
const index = new DiscoveryIndex({ allowExternalTargets: true });
const N = Number(process.argv[2] ?? 1000);
const keepG = keepResource({ kind: 'BackendGroup', routerClass: 'hermes', allowExternalTargets: true });
const keepP = keepResource({ kind: 'RoutingPolicy', routerClass: 'hermes', allowExternalTargets: true });
const state = new ClusterState();
let gen = 1;
const group = (i: number, n = 0) => keepG({ metadata: { name: `g${i}`, namespace: 'ns', uid: `g${i}`, generation: gen++, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { models: [`m${i}`], metrics: { timeout: `${900 - n}ms` }, discovery: { type: 'Static', static: { endpoints: Array.from({ length: 10 }, (_, e) => ({ name: `e${e}`, address: `127.0.0.1:${9000 + e}` })) } } } } as never)!;
const policy = (i: number, n = 0) => keepP({ metadata: { name: `p${i}`, namespace: 'ns', uid: `p${i}`, generation: gen++, creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { backendRefs: [{ name: `g${i}`, weight: 1 + n }] } } as never)!;
let t = performance.now();
for (let i = 0; i < N; i++) { state.set(group(i)); state.set(policy(i)); }
console.log('decode', performance.now() - t);
const assembly = new Assembly({ clock, log, maxScrapesPerSecond: 300, onTable: () => {}, discovery: index });
t = performance.now();
assembly.update(state.snapshot(new Map()));
console.log('first', performance.now() - t, assembly.fleet.summary('ns/g999'));
const run = (what: string, change: (i: number) => void) => {
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    change(i);
    t = performance.now();
    index.takeDirty();
    assembly.update(state.snapshot(new Map()));
    times.push(performance.now() - t);
  }
  console.log(what, 'first', times[0].toFixed(2), 'median', times.sort((a, b) => a - b)[50].toFixed(2), 'max', times[99].toFixed(2));
};
for (let k = 1; k <= 3; k++) {
  run('policy', (i) => state.set(policy(i * 7 % N, k)));
  run('group', (i) => state.set(group(i * 7 % N, k)));
}
process.exit(0);
