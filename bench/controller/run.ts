import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpus, loadavg, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { countByKind, type AuditedRequest, type AuditMark } from '../../test/e2e/cluster/kit/audit.ts';
import { Cluster } from '../../test/e2e/cluster/kit/cluster.ts';
import { startControlPlane } from '../../test/e2e/cluster/kit/control-plane.ts';
import { placeFor, type Place } from '../../test/e2e/cluster/testkit/operator.ts';
import { stop } from '../proxy/processes.ts';
import { isTruthful, Objects, type Kind } from './objects.ts';
import { Router } from './router.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    settle: { type: 'boolean', default: false },
  },
});

const pairs = flags.quick ? 100 : 1000;
/** Waiting until all is written takes as long as the write budget says: 7 minutes for 1,000 pairs. */
const settles = flags.quick || flags.settle;
const endpointsEach = 10;
const editsEach = flags.quick ? 20 : 50;
const kinds: readonly Kind[] = ['RoutingPolicy', 'BackendGroup'];
/** Milliseconds between two edits: closer ones would share a table. */
const betweenEdits = 150;
/** Milliseconds without a write after which the router has said all it has to say. */
const calm = 15_000;
/** Milliseconds for which requests to the API server are counted. */
const watched = 60_000;
const megabyte = 1_000_000;

/** What the edits of one kind took, each, in milliseconds. */
interface Edits {
  /** Making the table, as the router itself measures it. */
  readonly build: number[];
  /** From the PATCH being answered until a request for a name that only the new table has is served. */
  readonly served: number[];
  /** The same from the PATCH being sent. */
  readonly whole: number[];
}

/** A router under test and where it runs. */
interface Scene {
  readonly cluster: Cluster;
  readonly objects: Objects;
  readonly router: Router;
  readonly user: string;
}

async function edits({ objects, router }: Scene, kind: Kind, turn: number): Promise<Edits> {
  const taken: Edits = { build: [], served: [], whole: [] };
  for (let i = 0; i < editsEach; i++) {
    const before = await router.tables();
    const alias = `alias-${turn}-${i}`;
    const sentAt = performance.now();
    // Objects far apart, so that none is edited twice.
    await objects.edit(kind, (i * 7 + turn) % pairs, alias);
    const answeredAt = performance.now();
    while (!(await router.serves(alias))) await sleep(1);
    taken.served.push(performance.now() - answeredAt);
    taken.whole.push(performance.now() - sentAt);
    const after = await router.tables();
    // One table as a rule; engines that have just named their models may have asked for another one.
    taken.build.push(((after.seconds - before.seconds) * 1000) / (after.count - before.count));
    await sleep(betweenEdits);
  }
  return taken;
}

/** Waits until the router writes nothing any more; resolves to its writes since the mark. */
async function settle({ cluster, user }: Scene, from: AuditMark): Promise<AuditedRequest[]> {
  const startedAt = Date.now();
  for (let told = startedAt; ;) {
    await sleep(5000);
    const writes = cluster.requests(from, { user }).filter(isWrite);
    const last = Math.max(startedAt, writes.at(-1)?.at ?? 0);
    if (Date.now() - last >= calm) return writes;
    if (Date.now() - told < 60_000) continue;
    told = Date.now();
    progress(`${writes.length} writes so far`);
  }
}

type Asked = Pick<AuditedRequest, 'verb' | 'resource'>;
/** Each of the two has a budget of 5 a second; renewals of the lease and Events are neither. */
const isStatus = ({ verb, resource }: Asked): boolean => verb === 'patch' && resource.endsWith('/status');
const isLastGood = ({ verb, resource }: Asked): boolean => verb !== 'list' && resource === 'controllerrevisions';
const isWrite = (asked: Asked): boolean => isStatus(asked) || isLastGood(asked);

function mostWithin(milliseconds: number, times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  let most = 0;
  for (let i = 0, j = 0; i < sorted.length; i++) {
    while (sorted[i] - sorted[j] >= milliseconds) j += 1;
    most = Math.max(most, i - j + 1);
  }
  return most;
}

async function truthful({ objects }: Scene): Promise<string> {
  const all = (await Promise.all(kinds.map((kind) => objects.list(kind)))).flat();
  return `${all.filter(isTruthful).length} of ${all.length}`;
}

async function measure(cluster: Cluster, { namespace, kubeconfig }: Place, objects: Objects): Promise<void> {
  const user = `system:serviceaccount:${namespace}:hermes-router`;
  const from = cluster.markRequests();
  const startedAt = performance.now();
  const router = new Router(kubeconfig);
  const scene = { cluster, objects, router, user };
  try {
    await router.ready();
    row('start to `/readyz` 200 (first sync)', `${Math.round(performance.now() - startedAt)} ms`);
    row('making the first table', `${((await router.tables()).seconds * 1000).toFixed(0)} ms`);
    await sleep(5000);
    row('RSS 5 s after the first sync', rss(router));
    for (const kind of kinds)
      report(`${kind}, first statuses being written`, await edits(scene, kind, kinds.indexOf(kind)));
    row(`RSS after ${2 * editsEach} edits`, rss(router));
    if (!settles) await measureCalls(scene, 'while statuses are written');
    else await measureAtRest(scene, from);
  } finally {
    await router.stop();
  }
}

async function measureAtRest(scene: Scene, from: AuditMark): Promise<void> {
  const { cluster, router } = scene;
  const writes = await settle(scene, from);
  for (const [what, counts] of [
    ['status', isStatus],
    ['last good versions', isLastGood],
  ] as const) {
    const times = writes.filter(counts).map(({ at }) => at);
    const seconds = (times[times.length - 1] - times[0]) / 1000;
    row(
      `first writes of ${what}`,
      `${times.length} in ${seconds.toFixed(0)} s, ${mostWithin(1000, times)} at most within one second`,
    );
  }
  row('objects whose status says that all is well', await truthful(scene));
  const again = cluster.markRequests();
  for (const kind of kinds) report(`${kind}, at rest`, await edits(scene, kind, 2 + kinds.indexOf(kind)));
  await settle(scene, again);
  await measureCalls(scene, 'idle');
  row('RSS at the end', rss(router));
}

/** What the router asks of the API server, and what it takes, in a minute. */
async function measureCalls({ cluster, router, user }: Scene, when: string): Promise<void> {
  progress(when);
  const mark = cluster.markRequests();
  // Each look begins a new time for the longest pause.
  await router.longestPause();
  const cpu = router.cpu;
  await sleep(watched);
  const asked = cluster.requests(mark, { user });
  row(`${when}, 60 s: writes of status`, String(asked.filter(isStatus).length));
  row(`${when}, 60 s: writes of last good versions`, String(asked.filter(isLastGood).length));
  row(`${when}, 60 s: list requests`, String(asked.filter(({ verb }) => verb === 'list').length));
  row(`${when}, 60 s: all requests to the API server`, JSON.stringify(countByKind(asked)).replaceAll('"', ''));
  row(`${when}: CPU`, `${((router.cpu - cpu) / watched / 10).toFixed(0)} % of a core`);
  row(`${when}: longest pause of the event loop`, `${(await router.longestPause()).toFixed(0)} ms`);
}

const rss = (router: Router): string => `${(router.rss / megabyte).toFixed(0)} MB`;

function report(what: string, { build, served, whole }: Edits): void {
  row(`one ${what}: making the table, p10 / p50 / p90 of ${editsEach}`, `${spread(build)} ms`);
  row(`one ${what}: PATCH answered → new name served`, `${spread(served)} ms`);
  row(`one ${what}: PATCH sent → new name served`, `${spread(whole)} ms`);
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return [0.1, 0.5, 0.9].map((share) => sorted[Math.floor(share * sorted.length)].toFixed(1)).join(' / ');
}

const rows: [string, string][] = [];

function row(what: string, value: string): void {
  rows.push([what, value]);
  progress(`${what}: ${value}`);
}

function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function main(): Promise<void> {
  const engines: ChildProcess = fork(new URL('./engines.ts', import.meta.url), [String(endpointsEach)]);
  const [ports] = (await once(engines, 'message')) as [number[]];
  const plane = await startControlPlane();
  const cluster = new Cluster(plane.access);
  try {
    await cluster.installCrds();
    const place = await placeFor(cluster);
    const objects = new Objects(cluster, place.namespace, ports);
    const startedAt = performance.now();
    await objects.create(pairs);
    progress(`${2 * pairs} objects created in ${Math.round(performance.now() - startedAt)} ms`);
    await measure(cluster, place, objects);
  } finally {
    await cluster.close();
    await plane.close();
    await stop(engines);
  }
  const load = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
  console.log(`
${cpus()[0].model}, ${cpus().length} cores, Linux ${release()}; Node ${process.versions.node}; load ${load}
${pairs} policies, ${pairs} groups of ${endpointsEach} endpoints

| | |
|---|---|
${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}`);
}

await main();
