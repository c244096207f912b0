import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ToldDecision } from '../../src/commands/explain-source.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import { Client, type EventStream } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import type { RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const names = ['m', 'sql', 'chat'];
const profile = { scorers: [{ type: 'lora-affinity-scorer' }] };
const strategy = { type: 'Profile', profile };

let world: World;
let router: RunningRouter;
let engines: SimEngine[];
let direct: Client[];
beforeEach(async () => {
  world = new World();
  engines = await world.sim(3, 'm', { adapters: ['sql', 'chat'], speedUp: 1 });
  direct = engines.map(({ address }) => new Client(address));
  const addresses = engines.map(({ address }) => address);
  router = await world.serve([
    group('m', addresses, { models: names }),
    policy('m', { match: { models: names }, strategy, debug: { headers: true } }),
    policy('renamed', {
      backendRefs: [{ name: 'm', rewriteModel: 'chat' }],
      strategy,
      debug: { headers: true },
    }),
  ]);
});
afterEach(async () => {
  for (const client of direct) await client.close();
  await world.close();
});

/** What the scorer says of each engine for a request of the model, by the router's own scrapes. */
async function gains(admin: Client, model: string): Promise<(number | null)[]> {
  const { text } = await admin.post('/api/v1/explain', { model, messages: [{ role: 'user', content: 'x' }] });
  const { decisions } = JSON.parse(text) as { decisions: ToldDecision[] };
  return decisions[0].endpoints.map(({ score }) => score);
}

/** Where requests of the model go. */
async function endpointsOf(model: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (let i = 0; i < 10; i++) {
    const answer = await world.client.chat(model, {}, { headers: { 'x-hermes-debug': '1' } });
    expect(answer.status).toBe(200);
    found.add(String(answer.headers['x-hermes-endpoint']));
  }
  return found;
}

/** Has the engine work for an adapter, unknown to the router but by the engine's metrics. */
async function occupy(engine: number, model: string): Promise<EventStream> {
  const stream = await direct[engine].stream(model, { max_tokens: 100_000 });
  await stream.next();
  return stream;
}

describe('lora-affinity-scorer', () => {
  it('sends requests for an adapter where its engine says that it is at work, by the name the engine knows', async () => {
    const admin = new Client(router.admin);
    direct.push(admin);
    const sees = (model: string, expected: readonly number[]): Promise<unknown> =>
      until(`${model} is seen as ${expected.join()}`, async () => {
        const seen = await gains(admin, model);
        return seen.every((gain, i) => gain === expected[i]);
      });
    expect(await gains(admin, 'sql')).toEqual([0, 0, 0]);
    const sql = await occupy(1, 'sql');
    await occupy(2, 'chat');
    await sees('sql', [0, 1, 0.8]);
    await sees('chat', [0, 0.8, 1]);
    expect(await endpointsOf('sql')).toEqual(new Set(['e2']));
    expect(await endpointsOf('chat')).toEqual(new Set(['e3']));
    expect(await endpointsOf('renamed')).toEqual(new Set(['e3']));
    sql.abandon();
    await sees('sql', [0, 0.8, 0.8]);
  });
});
