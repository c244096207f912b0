// A picker without a cluster: pool, policies, objectives and a KV manager as files name them.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Conversation } from '../../../test/epp-protocol/conversation.ts';
import { Connection } from '../../../test/epp-protocol/grpc.ts';
import { HermesProcess } from '../../../test/e2e/testkit/process.ts';
import { get } from '../../../test/e2e/testkit/router.ts';
import { until } from '../../../test/e2e/testkit/until.ts';
import { startSimEngine, type SimEngine } from '../../sim/server.ts';

let engines: SimEngine[];
let manager: Server;
let asked: { readonly url: string; readonly body: string }[];
/** The address that the manager says has all of every prompt. */
let holder: string;
let folder: string;
let picker: HermesProcess | null = null;
const connections: Connection[] = [];

beforeAll(async () => {
  engines = [await startSimEngine({ models: ['m'] }), await startSimEngine({ models: ['m'] })];
  manager = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      asked.push({ url: request.url ?? '', body });
      const matches = [{ pod: 'p', address: holder, matched_tokens: 9, hit_rate: 1 }];
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ model: 'm', matches }));
    });
  });
  await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  manager.closeAllConnections();
  manager.close();
  for (const engine of engines) await engine.close();
});
beforeEach(() => {
  asked = [];
  folder = mkdtempSync(join(tmpdir(), 'hermes-epp-files-'));
  write('group.yaml', group());
});
afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  await picker?.kill();
  picker = null;
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}

const group = (): string => `apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: pool}
spec:
  models: [m]
  discovery:
    type: Static
    static: {endpoints: [${engines.map(({ address }, i) => `{name: e${i}, address: "${address}"}`).join(', ')}]}
`;

async function start(...flags: string[]): Promise<Connection> {
  const any = ['--listen', '--health', '--metrics', '--admin'].flatMap((flag) => [flag, '127.0.0.1:0']);
  picker = new HermesProcess([
    ...['epp', '--manifests', folder, '--pool-name', 'pool', '--secure-serving=false'],
    ...any,
    ...flags,
  ]);
  await until(
    'an engine is ready',
    async () => (await alone((probe) => ask(probe).answer()))?.kind === 'requestHeaders',
  );
  const connection = await Connection.open(await picker.address('epp'));
  connections.push(connection);
  return connection;
}

/** Does something on a connection of its own, whose calls end with it. */
async function alone<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.open(await (picker?.address('epp') ?? ''));
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

const headers = { ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' };
const ask = (connection: Connection, more: Readonly<Record<string, string>> = {}): Conversation =>
  new Conversation(connection)
    .headers({ ...headers, ...more })
    .body(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }));

async function pick(connection: Connection): Promise<string> {
  const conversation = ask(connection);
  const { endpoints } = await conversation.picked();
  await conversation.finish();
  return endpoints[0];
}

describe('a picker without a cluster', () => {
  it('asks the KV manager that its configuration names, and goes by its answer', async () => {
    const { port } = manager.address() as AddressInfo;
    const config = `apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: scorer-aggregate-kv-cache-aware
    parameters:
      kvCacheHitNotRateWeight: 100
      kvCacheManagerIP: 127.0.0.1
      kvCacheManagerPort: ${port}
      kvCacheManagerPath: /who_has
      kvCacheManagerTimeout: 5000000000
  - type: picker-min-random
schedulingProfiles:
  - name: default
    plugins: [{pluginRef: scorer-aggregate-kv-cache-aware}, {pluginRef: picker-min-random}]
`;
    holder = engines[0].address;
    const connection = await start('--config-file', write('config.txt', config));
    for (const { address } of [engines[1], engines[0], engines[1]]) {
      holder = address;
      await until(`requests go to ${address}`, async () => (await pick(connection)) === address);
      for (let i = 0; i < 5; i++) expect(await pick(connection)).toBe(address);
    }
    expect(asked[0].url).toBe('/who_has');
    expect(JSON.parse(asked[0].body)).toMatchObject({ model: 'm', candidates: engines.map(({ address }) => address) });
  });

  it('names as many endpoints as its configuration says, as that changes, and tells of its pool', async () => {
    const config = (count: string): string => `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: queue-scorer}, {type: max-score-picker${count}}]
schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}, {pluginRef: max-score-picker}]}]
`;
    const file = write('config.txt', config(', parameters: {maxNumOfEndpoints: 1}'));
    const connection = await start('--config-file', file);
    const { text } = await get(`http://${await (picker?.address('metrics') ?? '')}/metrics`);
    expect(text).toContain('inference_pool_ready_pods{name="pool"} 2');
    const count = async (): Promise<number> => (await ask(connection).picked()).endpoints.length;
    expect(await count()).toBe(1);
    write('config.txt', config(', parameters: {maxNumOfEndpoints: 2}'));
    await until('the change is in force', async () => (await count()) === 2);
    write('config.txt', config('').replace('queue-scorer}', 'no-such-scorer}'));
    await until('the fault is told', () => picker?.stdout.includes('the last good configuration stays in force'));
    expect(await count()).toBe(2);
  });

  it('sheds by objectives of its files, as they change', async () => {
    const objective = (priority: number): string => `apiVersion: llm-d.ai/v1alpha2
kind: InferenceObjective
metadata: {name: batch}
spec: {priority: ${priority}, poolRef: {name: pool}}
`;
    write('objective.yaml', objective(-1));
    await start();
    const status = (): Promise<number> =>
      alone(async (connection) => {
        for (let i = 0; i < 14; i++) await ask(connection).expect('requestHeaders');
        const answer = await ask(connection, { 'x-gateway-inference-objective': 'batch' }).answer();
        return answer?.immediate?.status ?? 0;
      });
    await until('it is shed', async () => (await status()) === 429);
    write('objective.yaml', objective(0));
    await until('it is not shed any more', async () => (await status()) === 0);
  });

  it('goes by the policies that name its group, also where they call it a pool, as they change', async () => {
    const policy = (kind: string, model: string): string => `apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: p}
spec: {match: {models: [m]}, backendRefs: [{kind: ${kind}, name: pool, rewriteModel: ${model}}]}
`;
    const connection = await start();
    const model = async (): Promise<string> => (await ask(connection).picked()).body.toString();
    expect(await model()).toContain('"model":"m"');
    for (const [kind, name] of [['BackendGroup', 'first'], ['InferencePool', 'second']]) {
      write('policy.yaml', policy(kind, name));
      await until(`the ${kind} of the policy is in force`, async () => (await model()).includes(`"model":"${name}"`));
    } // prettier-ignore
  });

  describe('that is told to stop', () => {
    const notReady = async (): Promise<boolean> =>
      (await get(`http://${await (picker?.address('metrics') ?? '')}/readyz`)).status === 503;

    it('picks on for a while, not ready, then lets what is under way end, and goes', async () => {
      const connection = await start('--drain-delay', '1s', '--drain-timeout', '30s');
      const conversation = ask(connection);
      await conversation.picked();
      picker?.signal('SIGTERM');
      await until('it is not ready', notReady);
      expect(await pick(connection)).toContain('127.0.0.1');
      await until('it takes no calls any more', () => connection.session.closed || connection.session.destroyed);
      expect(picker?.running).toBe(true);
      await conversation.finish();
      expect(await picker?.exit).toBe(0);
      expect(picker?.stdout).not.toContain('requests were cut');
    });

    it('cuts what does not end in time, with a word', async () => {
      const connection = await start('--drain-delay', '0s', '--drain-timeout', '200ms');
      const conversation = ask(connection);
      await conversation.picked();
      picker?.signal('SIGTERM');
      expect((await conversation.call.status).code).toBe(14);
      expect(await picker?.exit).toBe(0);
      expect(picker?.stdout).toContain('requests were cut');
    });
  });
});
