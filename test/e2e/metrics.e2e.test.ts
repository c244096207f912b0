// docs/reference/metrics.md is made without starting anything; here the real commands are held against it.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expositionOf, metricGroups, type Command, type Metric } from '../../scripts/metrics-reference-sources.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import { Client } from './testkit/client.ts';
import { publishing, RunningIndexer } from './testkit/indexer.ts';
import { group, ManifestFolder, policy } from './testkit/manifests.ts';
import { pairedGroup } from './testkit/pairs.ts';
import { HermesProcess } from './testkit/process.ts';
import { get, metricAt, startRouter } from './testkit/router.ts';
import { RunningLeader } from './testkit/leader.ts';
import { closeAll, startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';

let engines: SimEngine[];
let ends: (() => Promise<void>)[];
beforeEach(async () => {
  ends = [];
  const anywhere = 'tcp://127.0.0.1:0';
  engines = await startEngines(2, 'm', { speedUp: 100, kvEvents: { events: anywhere, replay: anywhere } });
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await closeAll(engines);
});

const liveStreams = 'hermes_kv_event_streams';
const live = 'phase="live"';
const ours = /^(hermes|inference)_/;

/** What the page says that a command has, resources coming from files. */
function promised(command: Command, at: 'listen' | 'metrics'): ReadonlyMap<string, Metric> {
  const metrics = metricGroups()
    .filter(({ commands, origin }) => commands.includes(command) && origin !== 'cluster')
    .filter(({ atListen = false }) => command === 'cache-indexer' || atListen === (at === 'listen'))
    .flatMap((one) => one.metrics);
  return new Map(metrics.map((metric) => [metric.name, metric]));
}

/** Reads the metrics at an address, and compares names, types, help and labels with those promised. */
async function compare(address: string, known: ReadonlyMap<string, Metric>): Promise<ReadonlyMap<string, Metric>> {
  const { status, text } = await get(`http://${address}/metrics`);
  expect(status).toBe(200);
  const told = expositionOf(text);
  const bare = ({ name, type, help }: Metric) => ({ name, type, help });
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  const of = (metrics: Iterable<Metric>) => [...metrics].map(bare).sort(byName);
  expect(of([...told.values()].filter(({ name }) => ours.test(name)))).toEqual(of(known.values()));
  for (const { name, labels } of told.values()) {
    if (!ours.test(name) || labels.length === 0) continue;
    expect([...labels].sort(), name).toEqual([...(known.get(name)?.labels ?? [])].sort());
  }
  return told;
}

/** Those of them that have samples with labels, so that a test sees what it has really compared. */
const labelled = (told: ReadonlyMap<string, Metric>): string[] =>
  [...told.values()].filter(({ name, labels }) => ours.test(name) && labels.length > 0).map(({ name }) => name);

const events = { kvCache: { type: 'Events' } };

describe('the metrics on the page are those of', () => {
  it('hermes-router serve', async () => {
    const router = await startRouter([publishing('m', engines, events), policy('m')]);
    ends.push(() => router.stop());
    const client = new Client(router.proxy);
    ends.push(() => client.close());
    expect((await (await client.stream('m')).drain()).events.at(-1)).toBe('[DONE]');
    expect((await client.chat('unknown')).status).toBe(404);
    await until('a stream of events lives', async () => (await metricAt(router.metrics, liveStreams, live)) > 0);
    const told = await compare(router.metrics, promised('serve', 'metrics'));
    expect(labelled(told)).toEqual(
      expect.arrayContaining([
        'hermes_requests_total',
        'hermes_time_to_first_token_seconds',
        'hermes_refused_requests_total',
        'hermes_endpoints_ready',
        'hermes_config_reloads_total',
      ]),
    );
    const strangers = [...told.keys()].filter((name) => !/^(hermes|inference|process|nodejs)_/.test(name));
    expect(strangers, 'metrics of which the page says nothing').toEqual([]);
  });

  it('hermes-router epp', async () => {
    const manifests = new ManifestFolder([publishing('pool', engines, { models: ['m'], ...events })]);
    const anyPort = ['--listen', '--health', '--metrics', '--admin'].flatMap((flag) => [flag, '127.0.0.1:0']);
    const named = ['--manifests', manifests.path, '--pool-name', 'pool', '--secure-serving=false'];
    const picker = new HermesProcess(['epp', ...named, ...anyPort]);
    ends.push(async () => {
      await picker.kill();
      manifests.dispose();
    });
    const metrics = await picker.address('metrics');
    const ready = () => metricAt(metrics, 'inference_pool_ready_pods');
    await until('the engines are ready', async () => (await ready()) === 2);
    const told = await compare(metrics, promised('epp', 'metrics'));
    expect(labelled(told)).toContain('inference_pool_ready_pods');
  });

  it('hermes-router pd-proxy, beside those of its engines', async () => {
    const member = (i: number, role: 'prefill' | 'decode') => ({
      name: role,
      address: engines[i].address,
      role,
      group: 'g',
    });
    const leader = await RunningLeader.start([pairedGroup('m', [member(0, 'prefill'), member(1, 'decode')])]);
    ends.push(() => leader.close());
    expect((await leader.client.chat('m')).status).toBe(200);
    const told = await compare(leader.metrics, promised('pd-proxy', 'metrics'));
    expect(labelled(told)).toContain('hermes_handovers_total');
    const merged = await compare(leader.address, promised('pd-proxy', 'listen'));
    expect(merged.has('vllm:num_requests_running')).toBe(true);
  });

  it('hermes-router cache-indexer', async () => {
    const indexer = await RunningIndexer.start([publishing('m', engines)]);
    ends.push(() => indexer.close());
    expect((await indexer.ask({ model: 'm', token_ids: [1, 2, 3] })).status).toBe(200);
    const told = await compare(indexer.address, promised('cache-indexer', 'listen'));
    expect(labelled(told)).toEqual(expect.arrayContaining(['hermes_indexer_requests_total', liveStreams]));
  });
});

it('what alerts of faulty resources go by: a version that is not valid, files that were refused, and good again', async () => {
  const served = group('m', [engines[0].address]);
  const router = await startRouter([served, policy('m')]);
  ends.push(() => router.stop());
  const read = async () => ({
    lastGood: await metricAt(router.metrics, 'hermes_last_good_in_force'),
    faulty: await metricAt(router.metrics, 'hermes_config_reloads_total', 'result="faulty"'),
  });
  expect(await read()).toEqual({ lastGood: 0, faulty: 0 });
  router.manifests.write('all.yaml', [served, policy('m', { strategy: { type: 'NoSuch' } })]);
  await until('the fault is counted', async () => (await read()).faulty > 0);
  expect((await read()).lastGood).toBe(1);
  router.manifests.write('all.yaml', [served, policy('m')]);
  await until('all is well again', async () => (await read()).lastGood === 0);
});

it('what is promised without a cluster leaves out what only an operator has', () => {
  expect(promised('serve', 'metrics').has('hermes_leader')).toBe(false);
  const all = metricGroups().flatMap(({ metrics }) => metrics.map(({ name }) => name));
  expect(all).toContain('hermes_leader');
  expect(new Set(all).size, 'no metric stands twice').toBe(all.length);
});
