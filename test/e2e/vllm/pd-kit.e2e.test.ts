import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../testkit/until.ts';
import { SharedStorage } from './connectors.ts';
import { prefilled } from './hand-over.ts';
import { nixlPair, storagePair, type Pair } from './pair.ts';
import { install } from './real-engine.ts';
import { asks, say } from './said.ts';

/** Seconds for which a prefiller keeps blocks that nobody reads. */
const lease = 20;

const ways = [
  ['a chat', asks.chat, 'whole'],
  ['a chat as a stream', asks.chat, 'stream'],
  ['a completion', asks.completion, 'whole'],
  ['a completion as a stream', asks.completion, 'stream'],
] as const;

let pair: Pair;

beforeAll(install, 900_000);

describe('two engines with NIXL', () => {
  beforeAll(async () => {
    pair = await nixlPair(lease);
  }, 600_000);
  afterAll(() => pair.close());

  const expired = () => pair.prefiller.gauge('vllm:nixl_num_kv_expired_reqs_total');

  it.each(ways)('answer %s as one does, with all blocks of the prompt out of the prefiller', async (name, ask, how) => {
    const asked = ask(`nixl ${name}`);
    const reads = () => pair.decoder.gauge('vllm:nixl_bytes_transferred_count');
    const hits = () => pair.decoder.gauge('vllm:external_prefix_cache_hits_total');
    const before = [await reads(), await hits()];
    const handed = await prefilled(pair.toPrefiller, asked);
    expect(await pair.prefiller.blocksInUse()).toBeGreaterThan(8);
    const said = await say(pair.toDecoder, handed, how);
    expect(said).toEqual(await say(pair.toPrefiller, asked, how));
    await until('the transfer is counted', async () => (await reads()) > before[0]);
    expect([await reads(), await hits()]).toEqual([before[0] + 1, before[1] + said.promptTokens]);
    await until(
      'the prefiller has its blocks back',
      async () => (await pair.prefiller.blocksInUse()) === 0,
      1000 * lease,
    );
  });

  it('answer otherwise where the blocks are those of another prompt', async () => {
    const [mine, other] = [asks.completion('prompt one'), asks.completion('prompt two')];
    const { body } = await prefilled(pair.toPrefiller, other);
    const said = await say(pair.toDecoder, { ...mine, body: { ...body, ...mine.body } }, 'whole');
    const right = await say(pair.toPrefiller, mine, 'whole');
    expect(said.promptTokens).toBe(right.promptTokens);
    expect(said.logprobs).not.toEqual(right.logprobs);
  });

  it('keep what nobody reads until the lease ends; who comes later gets a wrong answer and no error', async () => {
    const asked = asks.completion('late reader');
    const before = await expired();
    const handed = await prefilled(pair.toPrefiller, asked);
    expect(await pair.prefiller.blocksInUse()).toBeGreaterThan(8);
    await until('the lease has ended', async () => (await expired()) === before + 1, 3000 * lease);
    expect(await pair.prefiller.blocksInUse()).toBe(0);
    for (let i = 0; i < 20; i++) await say(pair.toPrefiller, asks.completion(`what comes next ${i}`), 'whole');
    const said = await say(pair.toDecoder, handed, 'whole');
    expect(said.logprobs).not.toEqual((await say(pair.toPrefiller, asked, 'whole')).logprobs);
  }, 180_000);

  it('let the blocks go where the decoder refuses the request', async () => {
    const before = await expired();
    const { path, body } = await prefilled(pair.toPrefiller, asks.completion('refused'));
    expect((await pair.toDecoder.post(path, { ...body, max_tokens: 100_000 })).status).toBe(400);
    await until(
      'the prefiller has its blocks back',
      async () => (await pair.prefiller.blocksInUse()) === 0,
      1000 * lease,
    );
    expect(await expired()).toBe(before);
  });
});

describe('two engines with a shared folder', () => {
  const storage = new SharedStorage();
  beforeAll(async () => {
    pair = await storagePair(storage);
  }, 600_000);
  afterAll(async () => {
    await pair.close();
    storage.dispose();
  });

  it.each(ways)(
    'answer %s as one does, with blocks out of the folder that no parameters name',
    async (name, ask, how) => {
      const asked = ask(`storage ${name}`);
      const hits = () => pair.decoder.gauge('vllm:external_prefix_cache_hits_total');
      const alone = await say(pair.toPrefiller, asked, how);
      storage.clear();
      const before = await hits();
      const handed = await prefilled(pair.toPrefiller, asked);
      expect(handed.body).not.toHaveProperty('kv_transfer_params');
      expect(await say(pair.toDecoder, handed, how)).toEqual(alone);
      // All full blocks but the last.
      expect((await hits()) - before).toBeGreaterThan(alone.promptTokens - 66);
    },
  );
});
