import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { faultTypes, type Fault } from '../../src/sim/faults.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import { isClear, judgeStream } from './testkit/clear.ts';
import { group, policy } from './testkit/manifests.ts';
import { Chance } from './testkit/mutations.ts';
import { metric, reasonOf } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

const requests = 2000;
const lanes = 40;
const seed = Number(process.env.HERMES_FUZZ_SEED ?? 20261121);
/** Those that an engine gets over. */
const passing = faultTypes.filter((type) => type !== 'die');
const healthy: Fault = { type: 'none', count: Infinity, afterTokens: 0, factor: 1, seconds: 0 };

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

it(`engines fail in every way while clients leave at any moment: every answer is clear, nothing is left (seed ${seed})`, async () => {
  const engines = await world.sim(4, 'm', { speedUp: 2 });
  const addresses = engines.map((engine) => engine.address);
  const timeouts = { firstByte: '300ms', streamIdle: '300ms', nonStreaming: '1s' };
  const retries = { on: ['ConnectFailure', 'Reset', 'Unavailable', 'Timeout'] };
  const router = await world.serve([group('m', addresses), policy('m', { timeouts, retries })]);
  const chance = new Chance(seed);
  const unclear: string[] = [];
  let asked = 0;
  const lane = async (): Promise<void> => {
    while ((asked += 1) <= requests) {
      if (asked % 25 === 0) disturb(engines, chance);
      if (asked % 200 === 0)
        router.manifests.write('more.yaml', [policy(`other-${asked}`, { backendRefs: [{ name: 'm' }] })]);
      const fault = await askOnce(chance);
      if (fault !== null) unclear.push(fault);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  expect(unclear).toEqual([]);
  // It was not calm.
  expect(await metric(router, 'hermes_retries_total')).toBeGreaterThan(10);
  expect(await metric(router, 'hermes_broken_answers_total')).toBeGreaterThan(100);
  for (const engine of engines) engine.setFault(healthy);
  for (const i of engines.keys()) {
    await until('the engine is back', async () => (await reasonOf(router, 'm', `e${i + 1}`)) === 'Ready');
  }
  for (let i = 0; i < 20; i++) expect((await world.client.chat('m')).status).toBe(200);
  expect(router.process.entries().filter(({ level }) => level === 'error')).toEqual([]);
}, 120_000);

function disturb(engines: readonly SimEngine[], chance: Chance): void {
  const type = chance.of(passing);
  const fault = { type, count: 1 + chance.below(10), afterTokens: chance.below(6), factor: 20, seconds: 0.3 };
  chance.of(engines).setFault(fault);
}

/** Asks in some way, perhaps leaving early, and returns what is unclear about the answer. */
async function askOnce(chance: Chance): Promise<string | null> {
  const fields = { max_tokens: 1 + chance.below(40), user: 'x'.repeat(chance.below(3) === 0 ? 100_000 : 10) };
  const stream = chance.below(2) === 0;
  const leaving = new AbortController();
  const leaves = chance.below(4) === 0;
  if (leaves) void sleep(chance.below(60)).then(() => leaving.abort());
  try {
    if (stream)
      return judgeStream(await (await world.client.stream('m', fields, { signal: leaving.signal })).drain(), leaves);
    const { status, error, text } = await world.client.chat('m', fields, { signal: leaving.signal });
    return isClear(status, error.type) ? null : `${status} ${text}`;
  } catch (error) {
    return leaves ? null : `no answer: ${String(error)}`;
  }
}
