// The endpoint picker on a real API server: InferencePools, their pods, objectives, and the policies that name them.
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import { closeAll } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import { comparedRights, grantedRights, startCluster } from './kit/index.ts';
import { conditions, Operator, placeFor, read, type Place } from './testkit/operator.ts';
import { ask, inferencePool, installObjectives, pick, pickerPlace, PickerProcess } from './testkit/picker.ts';
import { Pods } from './testkit/pods.ts';
import { discoveredGroup, policy } from './testkit/resources.ts';

const cluster = startCluster();
const ips = ['127.0.2.1', '127.0.2.2'];
let engines: SimEngine[];
let ports: number[];
let place: Place;
let pods: Pods;
const pickers: PickerProcess[] = [];

beforeAll(async () => {
  await cluster.installCrds();
  const first = await startSimEngine({ models: ['m'], host: ips[0] });
  const second = await startSimEngine({ models: ['m'], host: ips[0] });
  ports = [first, second].map(({ address }) => Number(address.split(':')[1]));
  const others = await Promise.all(ports.map((port) => startSimEngine({ models: ['m'], host: ips[1], port })));
  engines = [first, second, ...others];
});
afterAll(async () => {
  await closeAll(engines);
  await cluster.close();
});
beforeEach(async () => {
  place = await pickerPlace(cluster);
  pods = new Pods(cluster, place.namespace);
});
afterEach(async () => {
  for (const picker of pickers.splice(0)) await picker.close();
});

const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);

async function start(...flags: string[]): Promise<PickerProcess> {
  // Pods on loopback are external targets: no cluster has them.
  const picker = await PickerProcess.start(place.kubeconfig, ['--allow-external-targets', ...flags]);
  pickers.push(picker);
  return picker;
}

/** A picker of the pool `pool`, whose pods there are, that is ready. */
async function startWithPods(...flags: string[]): Promise<PickerProcess> {
  await apply(inferencePool('pool', ports[0]));
  await pods.run({ name: 'a', ip: ips[0] });
  const picker = await start('--pool-name', 'pool', '--listen', '127.0.0.1:0', ...flags);
  await picker.untilReady();
  await picker.untilMembers({ a: 'Ready' });
  return picker;
}

describe('an InferencePool', () => {
  it('is picked for once it is there, on each of its ports, as its pods come and go', async () => {
    const picker = await start('--pool-name', 'pool', '--listen', '127.0.0.1:0');
    await until('the picker says what it waits for', async () => {
      const { status, text } = await picker.readiness();
      return status === 503 && text.includes(`no InferencePool is called ${place.namespace}/pool`);
    });
    await apply(inferencePool('pool', ...ports));
    await picker.untilReady();
    const connection = await picker.connect();
    expect((await ask(connection).refused()).status).toBe(503);
    await pods.run({ name: 'a', ip: ips[0] });
    await pods.run({ name: 'other', ip: ips[1], labels: { app: 'else' } });
    await picker.untilMembers({ [`a-${ports[0]}`]: 'Ready', [`a-${ports[1]}`]: 'Ready' });
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) seen.add((await pick(connection)).endpoints[0]);
    expect([...seen].sort()).toEqual(ports.map((port) => `${ips[0]}:${port}`).sort());
    await pods.run({ name: 'b', ip: ips[1] });
    await pods.remove('a');
    await picker.untilMembers({ [`b-${ports[0]}`]: 'Ready', [`b-${ports[1]}`]: 'Ready' });
    expect((await pick(connection)).endpoints[0]).toContain(ips[1]);
    await apply(inferencePool('pool', ports[1]));
    await picker.untilMembers({ b: 'Ready' });
    expect((await pick(connection)).endpoints).toEqual([`${ips[1]}:${ports[1]}`]);
    await cluster.mustKubectl(['delete', 'inferencepool', 'pool', '-n', place.namespace]);
    await until('the picker is not ready', async () => (await picker.readiness()).status === 503);
    await until('requests are refused', async () => (await ask(connection).answer())?.immediate?.status === 503);
  });

  it('shares a process with others, each at an address of its own and with its own policies', async () => {
    await apply(
      inferencePool('one', ports[0]),
      inferencePool('two', ports[1]),
      policy('p', '{backendRefs: [{kind: InferencePool, name: two, rewriteModel: renamed}]}'),
    );
    await pods.run({ name: 'a', ip: ips[0] });
    const picker = await start('--pools', 'one=127.0.0.1:0,two=127.0.0.1:0');
    await picker.untilReady();
    await until('both have an endpoint', async () => {
      const { groups } = await picker.table();
      return groups.length === 2 && groups.every(({ members }) => members.at(0)?.reason === 'Ready');
    });
    const connections = await Promise.all(['one', 'two'].map((name) => picker.connect(`${place.namespace}/${name}`)));
    // A policy that names no model takes what the engines have said to serve.
    await until('the engines have named their models', async () => {
      const answers = await Promise.all(connections.map((connection) => ask(connection).answer()));
      return answers.every((answer) => answer?.kind === 'requestHeaders');
    });
    const [one, two] = await Promise.all(connections.map((connection) => pick(connection)));
    expect([one.endpoints, two.endpoints]).toEqual(ports.map((port) => [`${ips[0]}:${port}`]));
    expect([one, two].map(({ body }) => (JSON.parse(body.toString()) as { model: string }).model)).toEqual([
      'm',
      'renamed',
    ]);
  });
});

describe('what is said of a pool', () => {
  it('is a RoutingPolicy that names it, followed as it changes, and Auto without one', async () => {
    const picker = await startWithPods();
    const connection = await picker.connect();
    const profile = async (): Promise<string | null | undefined> =>
      (await picker.table()).policies.at(0)?.effectiveProfile;
    expect(await profile()).toContain('scorer-auto');
    const model = async (): Promise<unknown> =>
      (JSON.parse((await pick(connection)).body.toString()) as { model?: unknown }).model;
    const named = (spec: string): string =>
      policy('p', `{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool${spec}}]}`);
    await apply(named(', rewriteModel: first'));
    await until('the policy is in force', async () => (await model()) === 'first');
    await apply(named(', rewriteModel: second'));
    await until('its change is in force', async () => (await model()) === 'second');
    await cluster.mustKubectl(['delete', 'routingpolicy', 'p', '-n', place.namespace]);
    await until('Auto is in force again', async () => (await model()) === 'm');
  });

  it('is a BackendGroup that discovers it, with the policies that name the group', async () => {
    const picker = await startWithPods();
    const connection = await picker.connect();
    await apply(
      discoveredGroup('g', '{type: InferencePool, inferencePool: {name: pool}}'),
      policy('p', '{backendRefs: [{name: g, rewriteModel: renamed}]}'),
    );
    await until('the group and its policy are in force', async () => {
      const answer = await ask(connection).answer();
      return answer?.kind === 'requestHeaders' && (await picker.table()).groups[0].group.endsWith('/g');
    });
    await until('the policy of the group changes the model', async () =>
      (await pick(connection)).body.toString().includes('renamed'),
    );
  });

  it('is an EndpointPickerConfig, and no policy beside it; a bad change leaves the last good one', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'epp-')), 'config.yaml');
    const write = (type: string): void => {
      const text = `apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: ${type}}, {type: max-score-picker}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: ${type}}, {pluginRef: max-score-picker}]}]
`;
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    };
    write('queue-scorer');
    await apply(policy('p', '{backendRefs: [{kind: InferencePool, name: pool, rewriteModel: renamed}]}'));
    const since = cluster.markRequests();
    const picker = await startWithPods('--config-file', file);
    const connection = await picker.connect();
    const profile = async () => (await picker.table()).policies.map(({ effectiveProfile }) => effectiveProfile);
    expect(await profile()).toEqual([expect.stringContaining('queue-scorer')]);
    expect((await pick(connection, null)).body.toString()).not.toContain('renamed');
    write('kv-cache-utilization-scorer');
    await until('the change is in force', async () => (await profile())[0]?.includes('kv-cache-utilization-scorer'));
    write('no-such-scorer');
    await until('the fault is told', () =>
      picker.process.stdout.includes('the last good configuration stays in force'),
    );
    expect(await profile()).toEqual([expect.stringContaining('kv-cache-utilization-scorer')]);
    expect((await pick(connection)).endpoints).toEqual([`${ips[0]}:${ports[0]}`]);
    const user = `system:serviceaccount:${place.namespace}:hermes-router-epp`;
    const asked = new Set(cluster.requests(since, { user }).map(({ resource }) => resource));
    expect(asked).not.toContain('routingpolicies');
  });
});

describe('InferenceObjectives', () => {
  const objective = (api: string, name: string, priority: number): string => `
apiVersion: ${api}/v1alpha2
kind: InferenceObjective
metadata: {name: ${name}}
spec: {priority: ${priority}, poolRef: {name: pool}}
`;

  it('say by name who is shed when the pool is saturated, of either API group', async () => {
    await installObjectives(cluster);
    const picker = await startWithPods();
    await apply(
      objective('llm-d.ai', 'batch', -1),
      objective('inference.networking.x-k8s.io', 'old-batch', -5),
      objective('llm-d.ai', 'urgent', 10),
    );
    /** Status by which a request is refused while many others wait; 0 where it is picked for. */
    const status = async (name: string): Promise<number> => {
      const connection = await picker.connect();
      for (let i = 0; i < 8; i++) await ask(connection).expect('requestHeaders');
      const answer = await ask(connection, { 'x-llm-d-inference-objective': name }).answer();
      await connection.close();
      return answer?.immediate?.status ?? 0;
    };
    for (const name of ['batch', 'old-batch']) await until(`${name} is shed`, async () => (await status(name)) === 429);
    expect(await status('urgent')).toBe(0);
    expect(await status('unknown')).toBe(0);
    await apply(objective('llm-d.ai', 'batch', 1));
    await until('it is not shed any more', async () => (await status('batch')) === 0);
  });
});

describe('the rights of config/epp', () => {
  it('are all used by the picker, and no other is asked for', async (context) => {
    cluster.needsOwn(context);
    await installObjectives(cluster);
    const since = cluster.markRequests();
    const key = 'connection: {apiKeySecretRef: {name: key, key: token}}';
    const pool = '{type: InferencePool, inferencePool: {name: pool}}';
    await apply(
      discoveredGroup('g', pool).replace('models: [m]', `models: [m]\n  ${key}`),
      // Refused by the picker and not by the API server: its last good version is looked for.
      discoveredGroup('bad', pool).replace(
        'models: [m]',
        'models: [m]\n  kvCache: {type: Manager, manager: {url: "http://10.0.0.1:1"}}',
      ),
    );
    await apply(inferencePool('pool', ports[0]));
    const picker = await PickerProcess.start(place.kubeconfig, ['--pool-name', 'pool', '--listen', '127.0.0.1:0']);
    pickers.push(picker);
    await picker.untilReady();
    const user = `system:serviceaccount:${place.namespace}:hermes-router-epp`;
    const rights = () => comparedRights(cluster.requests(since, { user }), grantedRights(['epp/role.yaml']));
    await until(`all rights are used; now ${JSON.stringify(rights())}`, () => rights().unused.length === 0).catch(
      () => undefined,
    );
    expect(rights()).toEqual({ unused: [], missing: [] });
  });
});

describe('config/epp', () => {
  it('applies to any namespace, also where the strictest pod security rules', async () => {
    const namespace = await cluster.namespace();
    const label = (mode: string): string => `pod-security.kubernetes.io/${mode}=restricted`;
    await cluster.mustKubectl(['label', 'namespace', namespace, label('enforce'), label('warn')]);
    expect(await cluster.applyConfig('epp', namespace)).toMatchObject({ code: 0, stderr: '' });
    await cluster.mustKubectl([
      ...['wait', '--for=jsonpath={.status.replicas}=2', '--timeout=60s', '-n', namespace],
      'deployment/hermes-router-epp',
    ]);
    const bound = await cluster.mustKubectl(['get', 'rolebinding', '-n', namespace, '-o', 'json']);
    const { items } = JSON.parse(bound) as { items: { subjects: { namespace: string }[] }[] };
    expect(items.map(({ subjects }) => subjects[0].namespace)).toEqual([namespace]);
  });
});

describe('serve', () => {
  it('routes to an InferencePool that a policy names, and says what is wrong with it', async () => {
    const own = await placeFor(cluster);
    const pool = inferencePool('pool', ports[0]);
    const operator = await Operator.ready({ kubeconfig: own.kubeconfig, flags: ['--allow-external-targets'] });
    const client = new Client(operator.proxy);
    try {
      await cluster.apply(policy('p', '{backendRefs: [{kind: InferencePool, name: pool}]}'), '-n', own.namespace);
      const resolved = async () => conditions(await read(cluster, 'rp', own.namespace, 'p')).ResolvedRefs;
      await until('the status misses the pool', async () => (await resolved()) === 'False/NoMatch');
      await cluster.apply(pool, '-n', own.namespace);
      await new Pods(cluster, own.namespace).run({ name: 'a', ip: ips[0] });
      await until('requests are answered', async () => (await client.chat('m')).status === 200);
      await until('the status is content', async () => (await resolved()) === 'True/ResolvedRefs');
    } finally {
      await client.close();
      await operator.kill();
    }
  });
});
