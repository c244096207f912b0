import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { Client } from './testkit/client.ts';
import { group, policy, type Document } from './testkit/manifests.ts';
import { readTable, startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, startEngines } from './testkit/sim.ts';

const types = ['Auto', 'Random', 'RoundRobin', 'LeastLoad', 'KVAware', 'LMetric', 'SessionAffinity'];
const model = 'm';
const profile = {
  scorers: [
    { type: 'prefix-cache-scorer', weight: 3 },
    { type: 'queue-scorer', weight: 1 },
  ],
};

let engines: SimEngine[];
let replicas: RunningRouter[];
let clients: Client[];

/** One policy for each strategy, told apart by a header. */
function policyOf(type: string, spec: Document = {}): Document {
  const headers = [{ type: 'Exact', name: 'x-strategy', value: type }];
  const strategy = { type, ...spec };
  const match = { models: [model], headers };
  return policy(type.toLowerCase(), { match, backendRefs: [{ name: model }], strategy, debug: { headers: true } });
}

beforeAll(async () => {
  engines = await startEngines(4, model, { speedUp: 20 });
  const documents = [
    group(
      model,
      engines.map((engine) => engine.address),
    ),
    ...types.map((type) => policyOf(type)),
    policyOf('Profile', { profile }),
  ];
  replicas = await Promise.all([startRouter(documents), startRouter(documents)]);
  clients = replicas.map((router) => new Client(router.proxy));
});

afterAll(async () => {
  await closeAll(clients);
  await Promise.all(replicas.map((router) => router.stop()));
  await closeAll(engines);
});

interface Asked {
  readonly replica?: number;
  readonly session?: string;
  readonly content?: string;
}

/** The endpoint that a request went to. */
async function endpointOf(type: string, { replica = 0, session = '', content = 'hello' }: Asked = {}): Promise<string> {
  const headers = { 'x-strategy': type, 'x-session-id': session, 'x-hermes-debug': '1' };
  const answer = await clients[replica].chat(model, { messages: [{ role: 'user', content }] }, { headers });
  expect([answer.status, answer.headers['x-hermes-policy']]).toEqual([200, `default/${type.toLowerCase()}`]);
  return String(answer.headers['x-hermes-endpoint']);
}

async function endpointsOf(type: string, asked: readonly Asked[]): Promise<string[]> {
  const found: string[] = [];
  for (const one of asked) found.push(await endpointOf(type, one));
  return found;
}

describe('every strategy', () => {
  it.each([...types, 'Profile'])('%s routes, and says what it stands for', async (type) => {
    const requests = Array.from({ length: 20 }, (_, i) => ({ session: `s${i}`, content: `question ${i}` }));
    expect(await endpointsOf(type, requests)).toHaveLength(20);
    const { policies } = await readTable(replicas[0]);
    const found = policies.find((one) => one.policy === `default/${type.toLowerCase()}`);
    expect(found?.effectiveProfile).toMatch(/picker/);
  });
});

describe('RoundRobin', () => {
  it('gives every engine its turn', async () => {
    const found = await endpointsOf('RoundRobin', Array<Asked>(8).fill({}));
    expect(found.slice(0, 4).sort()).toEqual(['e1', 'e2', 'e3', 'e4']);
    expect(found.slice(4)).toEqual(found.slice(0, 4));
  });
});

describe('SessionAffinity', () => {
  it('keeps a session on one engine, whichever replica it comes to, and spreads sessions', async () => {
    const homes = new Set<string>();
    for (let i = 0; i < 12; i++) {
      const session = `session-${i}`;
      const found = await endpointsOf('SessionAffinity', [
        { session },
        { session, replica: 1 },
        { session, content: 'something else' },
      ]);
      expect(new Set(found).size).toBe(1);
      homes.add(found[0]);
    }
    expect(homes.size).toBeGreaterThan(1);
  });
});

describe.each(['Auto', 'KVAware', 'Profile'])('%s', (type) => {
  it('sends a conversation back to the engine that has its beginning in its cache', async () => {
    let content = `${type} ${'A long system prompt that all turns of this conversation share. '.repeat(40)}`;
    const first = await endpointOf(type, { content });
    const hits = hitsOf(first);
    for (let turn = 0; turn < 5; turn++) {
      content += ` Turn ${turn}: and what then?`;
      expect(await endpointOf(type, { content })).toBe(first);
    }
    // The engine has found at least half of each of the five prompts, of some 500 tokens, in its cache.
    expect(hitsOf(first) - hits).toBeGreaterThan(5 * 250);
  });
});

function hitsOf(endpoint: string): number {
  return engines[Number(endpoint.slice(1)) - 1].state().hits;
}
