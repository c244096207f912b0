import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noFault } from '../../src/sim/faults.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import type { Answer } from './testkit/client.ts';
import { inspectable, liveHeap } from './testkit/heap.ts';
import { publishing, type Published } from './testkit/indexer.ts';
import { Load } from './testkit/load.ts';
import { policy } from './testkit/manifests.ts';
import { Chance, mutateBytes } from './testkit/mutations.ts';
import { RawPublisher, storedEvent } from './testkit/raw-publisher.ts';
import { metric, reasonOf, type RunningRouter } from './testkit/router.ts';
import { settled, until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

/** HERMES_FUZZ_RUNS=100000 sends as many. */
const mutants = Number(process.env.HERMES_FUZZ_RUNS ?? 5_000);
const seed = Number(process.env.HERMES_FUZZ_SEED ?? 20261121);
/** Bytes of heap and buffers; what 5,000 frames would take if they were kept is more. */
const flat = 2_000_000;

const model = 'm';
const anywhere = 'tcp://127.0.0.1:0';
const kvEvents = { events: anywhere, replay: anywhere };
// A machine that runs tests takes longer to tokenise than engines do.
const patient = { kvCache: { type: 'Events', tokenizer: { type: 'Engine', timeout: '5s' } } };

let world: World;
let router: RunningRouter;
let load: Load | null;
let raw: RawPublisher | null;
beforeEach(() => {
  world = new World();
  load = null;
  raw = null;
});
afterEach(async () => {
  await load?.stop();
  await world.close();
  await raw?.close();
});

/** A router before engines, once the events of all of them arrive, and clients that ask it all the time. */
async function serving(engines: readonly Published[]): Promise<void> {
  const asking = policy(model, { strategy: { type: 'KVAware' }, debug: { headers: true } });
  router = await world.serve([publishing(model, engines, patient), asking], { env: inspectable });
  await allArrive(engines.length);
  load = traffic();
}

/** Good clients, which want good answers. */
const traffic = (): Load =>
  new Load(2, async (number) => {
    const { status, text } = await ask(words(`load ${number % 20}`, 100));
    return status === 200 ? null : `${status} ${text}`;
  });

const allArrive = (count: number): Promise<unknown> =>
  until(
    'all events arrive',
    async () => (await metric(router, 'hermes_kv_event_streams', 'phase="live"')) === count,
    30_000,
  );

/** So many engines are known to be others than before, and the events of both arrive. */
async function foundAnew(count: number): Promise<void> {
  await until('it is noticed', async () => (await metric(router, 'hermes_kv_event_restarts_total')) === count, 30_000);
  await allArrive(2);
}

const words = (topic: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${topic} ${i}`).join(' ');

function ask(content: string): Promise<Answer> {
  const headers = { 'x-hermes-debug': '1' };
  return world.client.chat(model, { messages: [{ role: 'user', content }], max_tokens: 2 }, { headers });
}

interface Turn {
  readonly endpoint: string;
  /** Cached tokens as the router predicted them and as the engine counted them. */
  readonly predicted: number;
  readonly cached: number;
}

async function turn(content: string): Promise<Turn> {
  const { status, headers, text } = await ask(content);
  expect([status, text.slice(0, 200)]).toEqual([200, expect.stringContaining('{')]);
  const { usage } = JSON.parse(text) as { usage: { prompt_tokens_details?: { cached_tokens: number } | null } };
  return {
    endpoint: String(headers['x-hermes-endpoint']),
    predicted: Number(headers['x-hermes-cached-tokens']),
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

/** Nobody else asks; the clients so far have seen no error. */
async function quiet(): Promise<void> {
  await load?.stop();
  expect(load?.failures).toEqual([]);
  expect(load?.done).toBeGreaterThan(0);
  load = null;
}

let stories = 0;

/** Has so many prompts cached, which are returned. */
async function cachedBefore(count = 30): Promise<string[]> {
  const old = Array.from({ length: count }, (_, i) => words(`old ${i}`, 60));
  for (const content of old) await turn(content);
  return old;
}

/** What was cached before is not thought to be so any more where it is not; `right` judges a prediction. */
async function unlearned(old: readonly string[], right: (turn: Turn) => boolean): Promise<void> {
  const turns: Turn[] = [];
  for (const content of old) turns.push(await turn(content));
  expect(turns.filter((one) => !right(one))).toEqual([]);
}

const exact = ({ predicted, cached }: Turn): boolean => predicted === cached;
const cautious = ({ predicted, cached }: Turn): boolean => predicted <= cached;

/** New prompts are predicted as the engines then have them, and found again; a third engine never tells the truth. */
async function recovers(): Promise<void> {
  await until('hits are predicted to the token', async () => {
    stories += 1;
    const turns: Turn[] = [];
    for (let i = 0; i < 12; i++) turns.push(await turn(words(`story ${stories} ${i % 6}`, 80)));
    const told = turns.filter(({ endpoint }) => endpoint !== 'e3');
    return told.every(exact) && told.filter(({ cached }) => cached > 100).length >= 3;
  });
}

/** Still up, and nothing that it calls an error. */
function isWell(): void {
  expect(router.process.running).toBe(true);
  expect(router.process.entries().filter(({ level }) => level === 'error')).toEqual([]);
}

const fleet = (count: number, over: Parameters<World['sim']>[2] = {}): Promise<SimEngine[]> =>
  world.sim(count, model, { kvEvents, speedUp: 50, ...over });

describe('beside good traffic', () => {
  it('a publisher that dies and starts anew costs hits for a while', async () => {
    const engines = await fleet(2);
    await serving(engines);
    await recovers();
    const old = await cachedBefore();
    // A simulated engine can only lose its cache while nobody uses it.
    await quiet();
    for (const engine of engines) engine.setFault({ ...noFault, type: 'restart-events', seconds: 0.2 });
    load = traffic();
    await foundAnew(2);
    await quiet();
    await unlearned(old, exact);
    await recovers();
    isWell();
  }, 60_000);

  it.each([
    ['with a replay port are asked for again', anywhere, 'hermes_kv_event_replays_total', exact],
    ['without one make the router forget that engine', null, 'hermes_kv_event_dropped_total', cautious],
  ])(
    'events that are lost %s',
    async (_name, replay, counter, right) => {
      // Small caches, so that what was lost tells of evictions too.
      const engines = await fleet(2, { kvEvents: { events: anywhere, replay }, service: { kvTokens: 4096 } });
      await serving(engines);
      await recovers();
      const old = await cachedBefore();
      const before = await metric(router, counter);
      for (const engine of engines) engine.setFault({ ...noFault, type: 'lose-events', count: 20 });
      let asked = 0;
      await until('a gap of each engine is noticed', async () => {
        for (let i = 0; i < 8; i++) await turn(words(`new ${(asked += 1)}`, 60));
        const gaps = await metric(router, 'hermes_kv_event_gaps_total');
        return gaps >= 2 && (await metric(router, counter)) >= before + 2;
      });
      await quiet();
      await unlearned(old, right);
      await recovers();
      isWell();
    },
    60_000,
  );

  it('an engine that is killed and another one started at its address cost nothing but hits', async () => {
    const published = { events: await freeEndpoint(), replay: await freeEndpoint() };
    const flags = ['--speed-up', '50', '--kv-events', published.events, '--kv-replay', published.replay];
    const mortal = await world.child(model, flags);
    await serving([...(await fleet(1)), { address: mortal.address, kvEvents: published }]);
    await recovers();
    const old = await cachedBefore();
    await mortal.kill();
    await until('it is missed', async () => (await metric(router, 'hermes_kv_event_disconnects_total')) > 0);
    await mortal.restart();
    await foundAnew(1);
    await until('it is asked again', async () => (await reasonOf(router, model, 'e2')) === 'Ready');
    await quiet();
    await unlearned(old, exact);
    await recovers();
    isWell();
  }, 60_000);
});

describe('an engine whose events are no such thing', () => {
  /** Two good engines, and one that publishes what a test makes up. */
  async function withRaw(): Promise<RawPublisher> {
    const engines = await fleet(2);
    const [liar] = await fleet(1, { kvEvents: null });
    raw = await RawPublisher.start();
    await serving([...engines, { address: liar.address, kvEvents: raw.kvEvents }]);
    return raw;
  }

  /** Everything that was sent has been looked at. */
  const taken = (): Promise<number> =>
    settled('the count of events', () => metric(router, 'hermes_kv_event_messages_total'));

  /** What `send` leaves behind once it has warmed everything up. */
  async function growthOf(send: (part: number) => Promise<void>): Promise<number> {
    await send(0);
    await taken();
    await quiet();
    const before = await liveHeap(router);
    load = traffic();
    await send(1);
    await taken();
    await quiet();
    return (await liveHeap(router)) - before;
  }

  it(`takes nothing down by ${mutants} mutated frames (seed ${seed})`, async () => {
    const publisher = await withRaw();
    const send = async (part: number): Promise<void> => {
      const chance = new Chance(seed + part);
      for (let i = 0; i < mutants; i++) await publisher.frames(mutateFrames(publisher, chance));
    };
    expect(await growthOf(send)).toBeLessThan(flat);
    // Mutants that are all refused, or all taken in, try little.
    expect(await metric(router, 'hermes_kv_event_malformed_total')).toBeGreaterThan(mutants / 10);
    expect(await metric(router, 'hermes_kv_event_blocks_stored_total')).toBeGreaterThan(mutants / 10);
    await recovers();
    isWell();
  }, 120_000);

  it('deceives nobody for good by block sizes that are impossible, change, or do not match its tokens', async () => {
    const publisher = await withRaw();
    let hash = 1n;
    const send = async (): Promise<void> => {
      for (let round = 0; round < 1_000; round++) {
        for (const lie of lies) {
          const hashes = Array.from({ length: lie.blocks }, () => (hash += 1n));
          const tokens = Array.from({ length: lie.tokens }, (_, i) => (round + i) % 50_000);
          await publisher.publish(storedEvent(hashes, tokens, lie.blockSize));
        }
      }
    };
    expect(await growthOf(send)).toBeLessThan(flat);
    await recovers();
    isWell();
  }, 120_000);
});

interface Lie {
  readonly blockSize: unknown;
  readonly blocks: number;
  readonly tokens: number;
}

const lies: readonly Lie[] = [
  { blockSize: 0, blocks: 2, tokens: 32 },
  { blockSize: 1e9, blocks: 1, tokens: 16 },
  { blockSize: 65_536, blocks: 2, tokens: 32 },
  { blockSize: -16, blocks: 2, tokens: 32 },
  { blockSize: 1.5, blocks: 2, tokens: 3 },
  { blockSize: 'sixteen', blocks: 2, tokens: 32 },
  { blockSize: null, blocks: 2, tokens: 32 },
  { blockSize: 16, blocks: 2, tokens: 31 },
  { blockSize: 16, blocks: 0, tokens: 32 },
  { blockSize: 16, blocks: 2, tokens: 32 },
  { blockSize: 32, blocks: 2, tokens: 64 },
  { blockSize: 1, blocks: 4, tokens: 4 },
];

/** Batches of a real engine. */
const captured = new URL('../../src/indexer/events/testdata/captured.jsonl', import.meta.url);
const batches = readFileSync(captured, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => (JSON.parse(line) as { frames: string[] }).frames.map((frame) => Buffer.from(frame, 'hex')))
  .map(([, , payload]) => payload);

/** A message of which a part is not what it should be; the topic is, or nobody would be sent it. */
function mutateFrames(publisher: RawPublisher, chance: Chance): Buffer[] {
  const topic = Buffer.from('kv-events');
  const payload = mutateBytes(chance.of(batches), chance);
  switch (chance.below(20)) {
    case 0:
      return [topic, mutateBytes(publisher.number(), chance), payload];
    case 1:
      return [topic, payload];
    case 2:
      return [topic];
    case 3:
      return [topic, publisher.number(), payload, payload];
    case 4:
      return [Buffer.concat([topic, payload]), publisher.number(), payload];
    default:
      return [topic, publisher.number(), payload];
  }
}

/** An endpoint that nobody has now. */
async function freeEndpoint(): Promise<string> {
  const publisher = await RawPublisher.start();
  await publisher.close();
  return publisher.kvEvents.events;
}
