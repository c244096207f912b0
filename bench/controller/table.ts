import { Assembly } from '../../src/commands/assembly.ts';
import { ClusterState } from '../../src/controller/cluster-state.ts';
import { DiscoveryIndex } from '../../src/controller/discovery/discovery-index.ts';
import type { KubeObject } from '../../src/controller/kube/contract.ts';
import { keepResource, type WatchedResource } from '../../src/controller/watched.ts';
import { createLog } from '../../src/observability/log.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';

/** One change to a new table without an API server, traffic or probes: what the code itself costs. */
const edits = 300;
const warmUp = 50;

const keep = {
  group: keepResource({ kind: 'BackendGroup', routerClass: 'hermes', allowExternalTargets: true }),
  policy: keepResource({ kind: 'RoutingPolicy', routerClass: 'hermes', allowExternalTargets: true }),
};
let version = 0;

function watched(kind: keyof typeof keep, i: number, spec: unknown): WatchedResource {
  version += 1;
  const name = `${kind}-${i}`;
  const object: KubeObject = { metadata: { namespace: 'ns', name, uid: name, generation: version }, spec };
  const kept = keep[kind](object);
  if (kept?.resource === null || kept === null) throw new Error(`${name} is not valid`);
  return kept;
}

const endpoints = Array.from({ length: 10 }, (_, i) => ({ name: `e${i}`, address: `127.0.0.1:${9000 + i}` }));
const group = (i: number, ...aliases: string[]): WatchedResource =>
  watched('group', i, { models: [`model-${i}`, ...aliases], discovery: { type: 'Static', static: { endpoints } } });
const policy = (i: number, ...aliases: string[]): WatchedResource =>
  watched('policy', i, { match: { models: [`model-${i}`, ...aliases] }, backendRefs: [{ name: `group-${i}` }] });

function measure(pairs: number): void {
  const state = new ClusterState();
  for (let i = 0; i < pairs; i++) for (const one of [group(i), policy(i)]) state.set(one);
  const discovery = new DiscoveryIndex({ allowExternalTargets: true });
  const log = createLog(() => undefined);
  const clock = new ManualClock();
  const assembly = new Assembly({ clock, log, maxScrapesPerSecond: 300, onTable: () => undefined, discovery });
  const update = (): void => assembly.update(state.snapshot(new Map()));
  const startedAt = performance.now();
  update();
  const first = performance.now() - startedAt;
  const costs = [policy, group].map((changed) => {
    // Read beforehand: what an object costs to read does not depend on how many there are.
    const changes = Array.from({ length: warmUp + edits }, (_, i) => changed((i * 7) % pairs, `alias-${i}`));
    let before = process.threadCpuUsage();
    changes.forEach((change, i) => {
      if (i === warmUp) before = process.threadCpuUsage();
      state.set(change);
      update();
    });
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1000 / edits;
  });
  void assembly.close();
  console.log(`| ${pairs} | ${first.toFixed(0)} | ${costs.map((cost) => cost.toFixed(1)).join(' | ')} |`);
}

console.log(`Node ${process.versions.node}, milliseconds; of changes the mean CPU time of ${edits}, so that other load does not count

| policies and groups of each | first table | one policy changed | one group changed |
|---|---|---|---|`);
for (const pairs of [100, 300, 1000]) measure(pairs);
