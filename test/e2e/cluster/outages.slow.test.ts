import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import { Load } from '../testkit/load.ts';
import { closeAll } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { conditions, Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';
import { discoveredGroup, policy } from './testkit/resources.ts';

/** Seconds of a true outage. */
const outage = Number(process.env.HERMES_TEST_OUTAGE_SECONDS ?? 120);
const cluster = startCluster();
const ips = ['127.0.2.1', '127.0.2.2', '127.0.2.3'];
let engines: SimEngine[];
let foreign: SimEngine | null;
let port: number;
let place: Place;
let pods: Pods;
let operator: Operator;
let client: Client;
let load: Load;

beforeAll(async () => {
  await cluster.installCrds();
});
afterAll(() => cluster.close());

beforeEach(async (context) => {
  cluster.needsOwn(context);
  const first = await startSimEngine({ models: ['m'], host: ips[0] });
  port = Number(first.address.split(':')[1]);
  engines = [first, await startSimEngine({ models: ['m'], host: ips[1], port })];
  foreign = null;
  place = await placeFor(cluster);
  pods = new Pods(cluster, place.namespace);
  const group = `{type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: ${port}}]}}`;
  await cluster.apply(`${discoveredGroup('g', group)}---${policy('p')}`, '-n', place.namespace);
  await pods.run({ name: 'a', ip: ips[0] });
  await pods.run({ name: 'b', ip: ips[1] });
  operator = await Operator.ready({
    kubeconfig: place.kubeconfig,
    flags: quick,
  });
  client = new Client(operator.proxy);
  await untilMembers({ a: 'Ready', b: 'Ready' });
  await until('the policy is programmed', async () => (await said()).Programmed === 'True/Programmed', 30_000);
  load = new Load(2, async () => {
    const { status } = await client.chat('m');
    return status === 200 ? null : `status ${status}`;
  });
});
afterEach(async () => {
  await load.stop();
  await client.close();
  await operator.kill();
  await closeAll([...engines, ...(foreign === null ? [] : [foreign])]);
});

const said = async () => conditions(await read(cluster, 'rp', place.namespace, 'p'));
const members = async (): Promise<Record<string, string>> => {
  const { groups } = await operator.table();
  return Object.fromEntries(groups.flatMap((group) => group.members.map(({ name, reason }) => [name, reason])));
};
const untilMembers = (wanted: Record<string, string>, limit = 15_000) =>
  until(
    `members are ${JSON.stringify(wanted)}`,
    async () =>
      JSON.stringify(Object.entries(await members()).sort()) === JSON.stringify(Object.entries(wanted).sort()),
    limit,
  );
const calls = async (): Promise<number> => operator.metric('hermes_kube_requests_total');

async function expectNothingLost(): Promise<void> {
  const before = load.done;
  await until('requests go on', () => load.done > before + 20);
  expect(load.failures).toEqual([]);
}

/** Whatever happened, a change is taken up again and told of. */
async function expectBackToWork(): Promise<void> {
  const spec = '{backendRefs: [{name: g}], timeouts: {connect: 3s}}';
  await cluster.apply(policy('p', spec), '-n', place.namespace);
  await until('changes are taken up again', async () => (await said()).Programmed === 'True/Programmed', 60_000);
}

describe('while the API server is away', () => {
  it('traffic goes on, dead engines are left out, and what came back under a pod’s address is not trusted', async () => {
    const before = await calls();
    await cluster.killApiServer();
    try {
      await expectNothingLost();
      // A pod dies, and its address goes to somebody else's engine: nobody can tell the router.
      await engines[1].close();
      await untilMembers({ a: 'Ready', b: 'Unhealthy' }).catch(async (error: unknown) => {
        throw new Error(`${String(error)}; ${JSON.stringify(await members())}`);
      });
      foreign = await startSimEngine({ models: ['another-model'], host: ips[1], port });
      await sleep(outage * 1000);
      expect(foreign.state().requests).toBe(0);
      expect((await members()).b).not.toBe('Ready');
      expect(load.failures).toEqual([]);
      // Backoff: reflectors, lease, status and peers together stay far below a call a second each.
      const asked = (await calls()) - before;
      console.log(
        `${outage} s without an API server: ${load.done} requests, ${load.failures.length} lost, ${asked} calls`,
      );
      expect(asked).toBeLessThan(20 + outage * 3);
    } finally {
      // The other tests want it back, whatever became of this one.
      await cluster.startApiServer();
    }
    // The API server is back, and says until the pod is removed that it is there.
    await expectBackToWork();
    expect(foreign.state().requests).toBe(0);
    await pods.remove('b');
    await untilMembers({ a: 'Ready' }, 60_000);
    await expectNothingLost();
  });

  it('a server that hangs without closing anything stops nothing', async () => {
    await cluster.freezeApiServer();
    try {
      await expectNothingLost();
      await sleep(outage * 1000);
      expect(load.failures).toEqual([]);
    } finally {
      await cluster.thawApiServer();
    }
    await expectBackToWork();
    expect(load.failures).toEqual([]);
  });
});

describe('while the API server is slow', () => {
  it('traffic goes on, changes are taken up, and a dead engine is left out', async () => {
    const slow = new AbortController();
    const slowness = slowDown(slow.signal);
    try {
      await expectNothingLost();
      await expectBackToWork();
      await engines[1].close();
      await pods.remove('b');
      await untilMembers({ a: 'Ready' }, 60_000);
      await expectNothingLost();
    } finally {
      slow.abort();
      await slowness;
    }
  });
});

/** The API server works for a twelfth of the time only: answers take seconds, watches arrive in bursts. */
async function slowDown(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await cluster.freezeApiServer();
    await sleep(1100);
    await cluster.thawApiServer();
    await sleep(100);
  }
}

describe('a change that nobody meant', () => {
  it('a CRD that is deleted takes no traffic down, and is no hot loop; made again, work goes on', async () => {
    const before = await calls();
    await cluster.mustKubectl(['delete', 'crd', 'routingpolicies.hermes-router.io', 'backendgroups.hermes-router.io']);
    await sleep(4000);
    await expectNothingLost();
    expect((await calls()) - before).toBeLessThan(60);
    await cluster.installCrds();
    await sleep(3000);
    await expectNothingLost();
    const group = `{type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: ${port}}]}}`;
    await cluster.apply(discoveredGroup('g', group), '-n', place.namespace);
    await expectBackToWork();
    expect(load.failures).toEqual([]);
  });

  it('restarting the API server makes every old version too old (410), and nothing is lost', async () => {
    await cluster.killApiServer();
    await cluster.startApiServer();
    await expectBackToWork();
    expect(load.failures).toEqual([]);
    expect(Object.keys(await members()).sort()).toEqual(['a', 'b']);
  });
});
