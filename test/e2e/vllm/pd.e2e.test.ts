import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { startLeader } from '../testkit/leader.ts';
import { metricAt, startRouter } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { SharedStorage } from './connectors.ts';
import { nixlPair, pairDocuments, storagePair, type Pair } from './pair.ts';
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

const fronts = [
  ['the router', startRouter],
  ['the leader', startLeader],
] as const;

let pair: Pair;

beforeAll(install, 900_000);

/** Whoever hands over to a pair, with a client of it. */
interface Front {
  readonly client: Client;
  readonly inFlight: () => Promise<number>;
  close(): Promise<void>;
}

async function open(start: (typeof fronts)[number][1]): Promise<Front> {
  const running = await start(pairDocuments(pair));
  const client = new Client(running.proxy);
  return {
    client,
    inFlight: () => metricAt(running.metrics, 'hermes_requests_in_flight'),
    async close() {
      await client.close();
      await running.stop();
    },
  };
}

const hits = (): Promise<number> => pair.decoder.gauge('vllm:external_prefix_cache_hits_total');
const blocks = (): Promise<number[]> =>
  Promise.all([pair.prefiller, pair.decoder].map((engine) => engine.blocksInUse()));
const freed = () =>
  until('both have their blocks back', async () => (await blocks()).every((count) => count === 0), 1000 * lease);

describe('two engines with NIXL', () => {
  beforeAll(async () => {
    pair = await nixlPair(lease);
  }, 600_000);
  afterAll(() => pair.close());

  const reads = () => pair.decoder.gauge('vllm:nixl_bytes_transferred_count');
  const expired = () => pair.prefiller.gauge('vllm:nixl_num_kv_expired_reqs_total');

  describe.each(fronts)('behind %s', (front, start) => {
    let opened: Front;
    let client: Client;
    beforeAll(async () => {
      opened = await open(start);
      ({ client } = opened);
    });
    afterAll(() => opened.close());

    it.each(ways)(
      'answer %s as one does, with all blocks of the prompt out of the prefiller',
      async (name, ask, how) => {
        const asked = ask(`${front} ${name}`);
        const before = [await reads(), await hits()];
        const said = await say(client, asked, how);
        expect(said).toEqual(await say(pair.toPrefiller, asked, how));
        await until('the transfer is counted', async () => (await reads()) > before[0]);
        expect([await reads(), await hits()]).toEqual([before[0] + 1, before[1] + said.promptTokens]);
        await freed();
      },
    );

    it('refuse what a client says of blocks', async () => {
      const { path, body } = asks.chat(`${front} own blocks`);
      const before = await pair.decoder.gauge('vllm:request_success_total');
      const answer = await client.post(path, { ...body, kv_transfer_params: { do_remote_prefill: true } });
      expect(answer.status).toBe(400);
      expect(await pair.decoder.gauge('vllm:request_success_total')).toBe(before);
    });

    it('explain in their own words what they refuse, and keep no blocks', async () => {
      const { path, body } = asks.chat(`${front} refused`);
      const before = await expired();
      const answer = await client.post(path, { ...body, max_tokens: 100_000 });
      const alone = await pair.toDecoder.post(path, { ...body, max_tokens: 100_000 });
      expect([answer.status, answer.text]).toEqual([400, alone.text]);
      await freed();
      expect(await expired()).toBe(before);
    });

    it('are let go when the client leaves in the answer', async () => {
      const { path, body } = asks.chat(`${front} leaving`);
      const stream = await client.streamOf(path, { ...body, max_tokens: 500, stream: true });
      await stream.next();
      await until('the decoder works', async () => (await blocks())[1] > 0);
      stream.abandon();
      await freed();
      await until('no request in flight', async () => (await opened.inFlight()) === 0);
    });

    it('have their blocks back within the lease when the client leaves before the decoder has read them', async () => {
      const { path, body } = asks.chat(`${front} left early`);
      const before = await expired();
      pair.decoder.signal('SIGSTOP');
      try {
        const leaving = new AbortController();
        const answer = client.post(path, body, { signal: leaving.signal });
        await until('the prefiller holds blocks', async () => (await pair.prefiller.blocksInUse()) > 0);
        leaving.abort();
        await expect(answer).rejects.toThrow();
        await until('no request in flight', async () => (await opened.inFlight()) === 0);
        const back = async () => (await pair.prefiller.blocksInUse()) === 0;
        await until('the prefiller has its blocks back', back, 3000 * lease);
        expect(await expired()).toBe(before + 1);
      } finally {
        pair.decoder.signal('SIGCONT');
      }
      await freed();
    }, 180_000);
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

  describe.each(fronts)('behind %s', (front, start) => {
    let opened: Front;
    beforeAll(async () => {
      opened = await open(start);
    });
    afterAll(() => opened.close());

    it.each(ways)('answer %s as one does, with blocks out of the folder', async (name, ask, how) => {
      const asked = ask(`${front} folder ${name}`);
      const alone = await say(pair.toPrefiller, asked, how);
      storage.clear();
      const before = await hits();
      expect(await say(opened.client, asked, how)).toEqual(alone);
      // All full blocks but the last.
      expect((await hits()) - before).toBeGreaterThan(alone.promptTokens - 66);
      await freed();
    });
  });
});
