import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { errorOf } from '../testkit/client.ts';
import { until } from '../testkit/until.ts';
import { names, openFronts, ways, type Front, type Fronts } from './fronts.ts';
import { prefilled } from './hand-over.ts';
import { nixlPair, type Pair } from './pair.ts';
import { install } from './real-engine.ts';
import { asks, say, type Ask } from './said.ts';

/** Seconds for which a prefiller keeps blocks that nobody reads: vLLM's own. */
const lease = 30;
/** Milliseconds in which a lease ends, however busy the machine is. */
const leaseEnd = 3000 * lease;

// A hand-over may wait for a busy machine, and blocks for the end of their lease.
vi.setConfig({ testTimeout: 2 * leaseEnd });

const opened = new AsyncDisposableStack();
let pair: Pair;
let fronts: Fronts;

beforeAll(async () => {
  install();
  pair = opened.adopt(await nixlPair(lease), (one) => one.close());
  fronts = await openFronts(pair, opened);
}, 900_000);

afterAll(() => opened.disposeAsync());

const reads = (): Promise<number> => pair.decoder.gauge('vllm:nixl_bytes_transferred_count');
const hits = (): Promise<number> => pair.decoder.gauge('vllm:external_prefix_cache_hits_total');
const expired = (): Promise<number> => pair.prefiller.gauge('vllm:nixl_num_kv_expired_reqs_total');
const blocks = (): Promise<number[]> =>
  Promise.all([pair.prefiller, pair.decoder].map((engine) => engine.blocksInUse()));
const freed = () =>
  until('both have their blocks back', async () => (await blocks()).every((count) => count === 0), leaseEnd);

const prompts = (front: Front) => front.metric('hermes_handovers_total', 'stage="prefill",outcome="ok"');
const idle = (front: Front) =>
  until('no request in flight', async () => (await front.metric('hermes_requests_in_flight')) === 0);

/** Asks by both fronts at once, and waits until both wait for a decoder that hangs; it is to be woken again. */
async function stuck<T>(ask: (front: Front) => Promise<T>): Promise<Promise<T>[]> {
  const all = names.map((name) => fronts[name]);
  const before = await Promise.all(all.map(prompts));
  pair.decoder.signal('SIGSTOP');
  const answers = all.map(ask);
  for (const [i, front] of all.entries())
    await until('the prompt is computed', async () => (await prompts(front)) === before[i] + 1, 60_000);
  return answers;
}

describe.each(names)('two engines with NIXL, by the %s', (by) => {
  const post = ({ path, body }: Ask, fields: object) => fronts[by].client.post(path, { ...body, ...fields });

  it.each(ways)('answer %s as one does, with all blocks of the prompt out of the prefiller', async (way, ask, how) => {
    const asked = ask(`${by} ${way}`);
    const before = { reads: await reads(), hits: await hits(), expired: await expired() };
    const said = await say(fronts[by].client, asked, how);
    expect(said).toEqual(await say(pair.toPrefiller, asked, how));
    await until('the transfer is counted', async () => (await reads()) > before.reads);
    await freed();
    const after = { reads: await reads(), hits: await hits(), expired: await expired() };
    expect(after).toEqual({ ...before, reads: before.reads + 1, hits: before.hits + said.promptTokens });
  });

  it('refuse what a client says of blocks', async () => {
    const before = await pair.decoder.gauge('vllm:request_success_total');
    const answer = await post(asks.chat(`${by} own blocks`), { kv_transfer_params: { do_remote_prefill: true } });
    expect(answer.status).toBe(400);
    expect(await pair.decoder.gauge('vllm:request_success_total')).toBe(before);
  });

  it('explain in their own words what they refuse, and keep no blocks', async () => {
    const asked = asks.chat(`${by} refused`);
    const before = await expired();
    const answer = await post(asked, { max_tokens: 100_000 });
    const alone = await pair.toDecoder.post(asked.path, { ...asked.body, max_tokens: 100_000 });
    expect([answer.status, answer.text]).toEqual([400, alone.text]);
    await freed();
    expect(await expired()).toBe(before);
  });

  it('are let go when the client leaves in the answer', async () => {
    const { path, body } = asks.chat(`${by} leaving`);
    const before = await expired();
    const stream = await fronts[by].client.streamOf(path, { ...body, max_tokens: 500, stream: true });
    await stream.next();
    await until('the decoder works', async () => (await blocks())[1] > 0);
    stream.abandon();
    await freed();
    await idle(fronts[by]);
    expect(await expired()).toBe(before);
  });
});

describe('two engines with NIXL', () => {
  it('answer otherwise where the blocks are those of another prompt', async () => {
    const [mine, other] = [asks.completion('prompt one'), asks.completion('prompt two')];
    const { body } = await prefilled(pair.toPrefiller, other);
    const said = await say(pair.toDecoder, { ...mine, body: { ...body, ...mine.body } }, 'whole');
    const right = await say(pair.toPrefiller, mine, 'whole');
    expect(said.promptTokens).toBe(right.promptTokens);
    expect(said.logprobs).not.toEqual(right.logprobs);
  });

  it('have their blocks back when the lease ends, where clients leave before they are read', async () => {
    const before = await expired();
    const abandoned = () => Promise.all(names.map((name) => fronts[name].metric('hermes_handover_abandoned_total')));
    const earlier = await abandoned();
    const leaving = new AbortController();
    const { path, body } = asks.chat('left early');
    try {
      const answers = await stuck(({ client }) => client.post(path, body, { signal: leaving.signal }));
      expect(await pair.prefiller.blocksInUse()).toBeGreaterThan(8);
      leaving.abort();
      for (const { status } of await Promise.allSettled(answers)) expect(status).toBe('rejected');
      for (const name of names) await idle(fronts[name]);
      expect(await abandoned()).toEqual(earlier.map((count) => count + 1));
      await until('both leases have ended', async () => (await expired()) === before + names.length, leaseEnd);
      expect(await pair.prefiller.blocksInUse()).toBe(0);
    } finally {
      pair.decoder.signal('SIGCONT');
    }
    await freed();
  });

  it('give a wrong answer and no error to who reads after the lease, which is why nobody is sent then', async () => {
    const asked = asks.completion('late reader');
    const before = await expired();
    const handed = await prefilled(pair.toPrefiller, asked);
    await until('the lease has ended', async () => (await expired()) === before + 1, leaseEnd);
    for (let i = 0; i < 20; i++) await say(pair.toPrefiller, asks.completion(`what comes next ${i}`), 'whole');
    const said = await say(pair.toDecoder, handed, 'whole');
    expect(said.logprobs).not.toEqual((await say(pair.toPrefiller, asked, 'whole')).logprobs);
  });

  // The last one: it leaves no prefiller.
  it('tell in the stream that a prefiller has died before its blocks were read, and the decoder goes on', async () => {
    await until('both fronts see the decoder again', async () => {
      const answers = await Promise.all(names.map((name) => fronts[name].client.chat('tiny')));
      return answers.every(({ status }) => status === 200);
    });
    const { path, body } = asks.chat('prefiller dies');
    try {
      const streams = await stuck(async ({ client }) =>
        (await client.streamOf(path, { ...body, stream: true })).drain(),
      );
      await pair.prefiller.kill();
      pair.decoder.signal('SIGCONT');
      for (const { status, broken, events } of await Promise.all(streams)) {
        // Before its error vLLM says whose turn it is.
        expect([status, broken, events.at(-1)]).toEqual([200, false, '[DONE]']);
        expect(errorOf(events.at(-2) ?? '')).toMatchObject({ type: 'InternalServerError', code: 500 });
        expect(events).toHaveLength(3);
      }
    } finally {
      pair.decoder.signal('SIGCONT');
    }
    expect((await pair.toDecoder.chat('tiny')).status).toBe(200);
    await until('the decoder has its blocks back', async () => (await pair.decoder.blocksInUse()) === 0);
  });
});
