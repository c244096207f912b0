import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Fault } from '../../src/sim/faults.ts';
import { isClear, judgeStream } from './testkit/clear.ts';
import { policy } from './testkit/manifests.ts';
import { Chance } from './testkit/mutations.ts';
import { PairedEngines } from './testkit/paired-engines.ts';
import { pairedGroup } from './testkit/pairs.ts';
import { idle, metric, reasonOf } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

/** Seconds of wall time; the engines live 2.5 times as fast, so that they see five minutes in 120. */
const seconds = Number(process.env.HERMES_CHAOS_SECONDS ?? 60);
const speedUp = 2.5;
const lanes = 24;
const seed = Number(process.env.HERMES_FUZZ_SEED ?? 20261121);
const leaseSeconds = 30;

/** Ways to fail that an engine gets over, of which each kind of engine has its own. */
const ofPrefillers: readonly Partial<Fault>[] = [
  { type: 'refuse' },
  { type: 'error', on: 'prefill' },
  { type: 'hang', on: 'prefill', when: 'before' },
  { type: 'hang', on: 'prefill', when: 'after' },
  { type: 'cut', on: 'prefill', when: 'during' },
  { type: 'cut', on: 'prefill', when: 'after' },
  { type: 'garbage-params', shape: 'text' },
  { type: 'transfer-refuse' },
  { type: 'slow' },
];
const ofDecoders: readonly Partial<Fault>[] = [
  { type: 'refuse' },
  { type: 'error', on: 'decode' },
  { type: 'unavailable', on: 'decode' },
  { type: 'hang', on: 'decode', when: 'before' },
  { type: 'cut', on: 'decode', when: 'before' },
  { type: 'cut', on: 'decode', when: 'during' },
  { type: 'cut', on: 'decode', afterTokens: 3 },
  { type: 'slow' },
];
const healthy: Fault = { type: 'none', count: Infinity, afterTokens: 0, factor: 1, seconds: 0 };

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

it(
  `prefillers, decoders and clients fail in every way: every answer is clear, no block is held for nobody (seed ${seed})`,
  async () => {
    const group = { prefills: [1, 1], decodes: [1, 1] };
    const service = { leaseSeconds, kvTokens: 200_000 };
    const fleet = await PairedEngines.start(world, { a: group, b: group }, { speedUp, service });
    const timeouts = { firstByte: '2s', streamIdle: '1s', nonStreaming: '5s' };
    const retries = { on: ['ConnectFailure', 'Reset', 'Unavailable', 'Timeout'] };
    const router = await world.serve([
      pairedGroup('m', fleet.members, { timeouts: { prefill: '700ms', decode: '700ms' } }),
      policy('m', { strategy: { type: 'PDKVAware' }, timeouts, retries }),
    ]);
    const chance = new Chance(seed);
    const unclear: string[] = [];
    let asked = 0;
    const end = performance.now() + seconds * 1000;
    const lane = async (): Promise<void> => {
      while (performance.now() < end) {
        asked += 1;
        if (asked % 40 === 0) disturb(fleet, chance);
        const fault = await askOnce(chance);
        if (fault !== null) unclear.push(fault);
        await sleep(chance.below(60));
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    expect(unclear).toEqual([]);
    for (const role of ['prefill', 'decode'] as const) for (const engine of fleet.all(role)) engine.setFault(healthy);
    for (const { name } of fleet.members)
      await until('the engine is back', async () => (await reasonOf(router, 'm', name)) === 'Ready');
    // The next request to each prefiller tells what is still owed to it.
    for (let i = 0; i < 40; i++) expect((await world.client.chat('m')).status).toBe(200);
    await idle(router);
    await until('no block is held', () => fleet.sum('prefill', 'heldBlocks') === 0);
    expect(await metric(router, 'hermes_requests_waiting')).toBe(0);
    // It was not calm.
    const lost = fleet.sum('prefill', 'releasedByAbort') + fleet.sum('prefill', 'leaseExpired');
    expect(lost).toBeGreaterThan(50);
    const share = fleet.sum('prefill', 'deadBlockSeconds') / fleet.sum('prefill', 'deadLeaseBlockSeconds');
    process.stdout.write(
      `${asked} requests, ${lost} prefills for nobody; dead block-seconds: ${(100 * share).toFixed(1)} % of what leases alone would cost\n`,
    );
    expect(share).toBeLessThanOrEqual(0.1);
    expect(router.process.entries().filter(({ level }) => level === 'error')).toEqual([]);
  },
  (seconds + 120) * 1000,
);

function disturb(fleet: PairedEngines, chance: Chance): void {
  const role = chance.of(['prefill', 'decode'] as const);
  const fault = chance.of(role === 'prefill' ? ofPrefillers : ofDecoders);
  chance
    .of(fleet.all(role))
    .setFault({ ...healthy, count: 1 + chance.below(6), factor: 10, seconds: 0.5, type: 'none', ...fault });
}

/** Asks in some way, perhaps leaving early, and returns what is unclear about the answer. */
async function askOnce(chance: Chance): Promise<string | null> {
  const content = `${chance.below(20)} ${'word '.repeat(20 + chance.below(1500))}`;
  const fields = { max_tokens: 1 + chance.below(40), messages: [{ role: 'user', content }] };
  const stream = chance.below(2) === 0;
  const leaving = new AbortController();
  const leaves = chance.below(4) === 0;
  if (leaves) void sleep(chance.below(150)).then(() => leaving.abort());
  try {
    if (stream)
      return judgeStream(await (await world.client.stream('m', fields, { signal: leaving.signal })).drain(), leaves);
    const { status, error, text } = await world.client.chat('m', fields, { signal: leaving.signal });
    return isClear(status, error.type) ? null : `${status} ${text}`;
  } catch (error) {
    return leaves ? null : `no answer: ${String(error)}`;
  }
}
