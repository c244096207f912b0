import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import { closeAll } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { conditions, Operator, placeFor, read, type Place } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';
import { discoveredGroup, policy } from './testkit/resources.ts';

const cluster = startCluster();
const ips = ['127.0.1.1', '127.0.1.2'];
let engines: SimEngine[];
let port: number;
let place: Place;
let pods: Pods;
let operator: Operator;
let client: Client;

beforeAll(async () => {
  await cluster.installCrds();
  const first = await startSimEngine({ models: ['m'], host: ips[0] });
  port = Number(first.address.split(':')[1]);
  engines = [first, await startSimEngine({ models: ['m'], host: ips[1], port })];
});
afterAll(async () => {
  await closeAll(engines);
  await cluster.close();
});
beforeEach(async () => {
  place = await placeFor(cluster);
  pods = new Pods(cluster, place.namespace);
  // Pods on loopback are external targets: no cluster has them.
  operator = await Operator.ready({ kubeconfig: place.kubeconfig, flags: ['--allow-external-targets'] });
  client = new Client(operator.proxy);
});
afterEach(async () => {
  await client.close();
  await operator.kill();
});

const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);
const members = async (): Promise<Record<string, string>> => {
  const { groups } = await operator.table();
  return Object.fromEntries(groups.flatMap((group) => group.members.map(({ name, reason }) => [name, reason])));
};
const untilMembers = (wanted: Record<string, string>) =>
  until(`members are ${JSON.stringify(wanted)}`, async () => {
    const now = await members();
    return JSON.stringify(Object.entries(now).sort()) === JSON.stringify(Object.entries(wanted).sort());
  }).catch(async (error: unknown) => {
    throw new Error(`${String(error)}; they are ${JSON.stringify(await members())}`);
  });
const status = async (): Promise<number> => (await client.chat('m')).status;

describe('discovery of Pods', () => {
  beforeEach(async () => {
    await apply(
      discoveredGroup(
        'g',
        `{type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: ${port}}]}}`,
      ),
      policy('p'),
    );
  });

  it('routes to pods that are ready, as they come, change and go', async () => {
    await until('the status says that there are none', async () => {
      return conditions(await read(cluster, 'bg', place.namespace, 'g')).Discovered === 'False/NoMatch';
    });
    await pods.run({ name: 'a', ip: ips[0] });
    await pods.run({ name: 'b', ip: ips[1], ready: false });
    await pods.run({ name: 'other', ip: ips[1], labels: { app: 'else' } });
    await untilMembers({ a: 'Ready', b: 'NotReady' });
    expect(await status()).toBe(200);
    await pods.setStatus('b', ips[1], true);
    await untilMembers({ a: 'Ready', b: 'Ready' });
    await pods.remove('a');
    await untilMembers({ b: 'Ready' });
    expect(await status()).toBe(200);
    await pods.remove('b');
    await until('requests are refused', async () => (await status()) === 503);
  });

  it('lets the requests of a pod that terminates end, and sends it no more', async () => {
    await pods.run({ name: 'a', ip: ips[0] });
    await untilMembers({ a: 'Ready' });
    const stream = await client.stream('m', { max_tokens: 200 });
    await pods.terminate('a');
    await pods.run({ name: 'b', ip: ips[1] });
    await untilMembers({ a: 'Draining', b: 'Ready' });
    const before = engines[0].state().requests;
    for (let i = 0; i < 10; i++) expect(await status()).toBe(200);
    expect(engines[0].state().requests).toBe(before);
    expect((await stream.drain()).text).toContain('[DONE]');
    await untilMembers({ b: 'Ready' });
  });
});

describe('discovery of Services', () => {
  const service = (name: string, spec = ''): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, labels: {engine: vllm}}
spec: {selector: {app: engine}, ports: [{name: http, port: 80, targetPort: 8000}]${spec}}
`;

  it('finds the endpoints behind a Service, as the cluster’s own controller makes them', async () => {
    // The controller makes slices of no loopback address, so nobody answers here: this is about who is found.
    await pods.run({ name: 'a', ip: '10.99.0.11' });
    await apply(service('s'), discoveredGroup('g', '{type: Service, service: {name: s, port: 80}}'), policy('p'));
    await until(
      'the endpoint is found',
      async () => {
        const { groups } = await operator.table();
        return groups[0]?.members[0]?.address === '10.99.0.11:8000';
      },
      30_000,
    );
    await apply(discoveredGroup('g', '{type: Service, service: {name: s, port: 81}}'));
    await until('the status says that there is no such port', async () => {
      return conditions(await read(cluster, 'bg', place.namespace, 'g')).Discovered === 'False/PortNotFound';
    });
  });
});

describe('discovery of an InferencePool', () => {
  it('finds its pods on all its ports, as the pool is made, changed and deleted', async () => {
    await pods.run({ name: 'a', ip: ips[0] });
    await apply(discoveredGroup('g', '{type: InferencePool, inferencePool: {name: pool}}'), policy('p'));
    await until('the status misses the pool', async () => {
      return conditions(await read(cluster, 'bg', place.namespace, 'g')).Discovered === 'False/NoMatch';
    });
    const pool = (ports: string): string => `
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool}
spec:
  selector: {matchLabels: {app: engine}}
  targetPorts: [${ports}]
  endpointPickerRef: {name: epp, port: {number: 9002}}
`;
    await apply(pool(`{number: ${port}}`));
    await untilMembers({ a: 'Ready' });
    expect(await status()).toBe(200);
    await cluster.mustKubectl(['delete', 'inferencepool', 'pool', '-n', place.namespace]);
    await until('requests are refused', async () => (await status()) === 503);
  });
});
