import { readFileSync } from 'node:fs';
import { decode } from '@msgpack/msgpack';
import { expect, test, vi } from 'vitest';
import { Dealer, Subscriber } from 'zeromq';
import { Engine } from './engine.ts';
import { KvEventBatches } from './kv-events.ts';
import { KvEventPublisher } from './kv-publisher.ts';
import { startSimEngine } from './server.ts';
import { defaultServiceModel } from './service-model.ts';

const options = { useBigInt64: true } as const;
const loopback = 'tcp://127.0.0.1:0';
const rethrow = (error: unknown): never => {
  throw error;
};
const listener = { progressed: () => undefined };

interface Batch {
  readonly time: unknown;
  readonly events: Record<string, unknown>[];
  readonly rank: unknown;
}

function decodeBatch(payload: Uint8Array): Batch {
  const value: unknown = decode(payload, options);
  if (!Array.isArray(value) || !Array.isArray(value[1])) throw new TypeError('not a batch');
  return { time: value[0], events: value[1], rank: value[2] };
}

/** Keys in order with the msgpack type of each value; lists by their first element. */
function shape(event: Record<string, unknown>): string[] {
  return Object.entries(event).map(([key, value]) => {
    const first: unknown = Array.isArray(value) ? value[0] : value;
    const list = Array.isArray(value) ? 'list of ' : '';
    return `${key}: ${list}${Array.isArray(first) ? 'list' : first === null ? 'null' : typeof first}`;
  });
}

/** Whatever a captured event's nullable fields hold, ours must hold a value of the same kind in some event. */
function shapesByType(batches: readonly Batch[]): Map<string, Set<string>> {
  const shapes = new Map<string, Set<string>>();
  for (const event of batches.flatMap(({ events }) => events)) {
    const type = String(event.type);
    shapes.set(type, (shapes.get(type) ?? new Set()).add(shape(event).join(', ')));
  }
  return shapes;
}

const captured = readFileSync(new URL('./testdata/kv-events.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => {
    const { frames }: { frames: string[] } = JSON.parse(line);
    return frames.map((frame) => Buffer.from(frame, 'hex'));
  });

/** A run with hits, a salt, an adapter, evictions and a reset. */
function simulate(sink: (payload: Uint8Array) => void): void {
  const model = { ...defaultServiceModel, kvTokens: 128, blockSize: 16, chunkTokens: 32 };
  const engine = new Engine(model, new KvEventBatches(16, () => 1_795_246_985.25, sink));
  const run = (first: number, more: { salt?: string; adapter?: { name: string; id: number } } = {}): void => {
    const prompt = Uint32Array.from({ length: 64 }, (_, i) => first + i);
    engine.submit({ prompt, maxOutput: 1, listener, ...more }, 0);
    while (engine.due < Infinity) engine.advance(engine.due);
  };
  run(0);
  run(0, { salt: 'salty' });
  run(0, { adapter: { name: 'mylora', id: 1 } });
  engine.clearCache();
  run(5);
}

test('every event has the keys, their order and their types as captured from a real vLLM', () => {
  const batches: Batch[] = [];
  simulate((payload) => batches.push(decodeBatch(payload)));
  const ours = shapesByType(batches);
  const theirs = shapesByType(captured.map((frames) => decodeBatch(frames[2])));
  expect([...theirs.keys()].sort()).toEqual(['AllBlocksCleared', 'BlockRemoved', 'BlockStored']);
  for (const [type, shapes] of theirs) expect([...(ours.get(type) ?? [])].sort()).toEqual([...shapes].sort());
  expect(batches.every(({ time, rank }) => typeof time === 'number' && rank === 0)).toBe(true);
});

test('a captured batch and one of ours start with the same bytes: a list of three with a 64-bit time', () => {
  const first: Uint8Array[] = [];
  simulate((payload) => first.push(payload));
  expect(Array.from(first[0].subarray(0, 2))).toEqual(Array.from(captured[0][2].subarray(0, 2)));
});

test('stored blocks chain: a later chunk names the last block before it, and tokens fill the blocks', () => {
  const batches: Batch[] = [];
  simulate((payload) => batches.push(decodeBatch(payload)));
  const [first, second] = batches.map(({ events }) => events[0]);
  expect(first.parent_block_hash).toBe(null);
  expect([first.block_hashes].flat()[1]).toBe(second.parent_block_hash);
  expect(second.token_ids).toEqual(Array.from({ length: 32 }, (_, i) => 32 + i));
});

test('a subscriber gets numbered batches, and a replay gets them again up to an end mark', async () => {
  const failures: unknown[] = [];
  const asked = { events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' };
  const publisher = await KvEventPublisher.bind(asked, (error) => failures.push(error));
  const subscriber = new Subscriber();
  const dealer = new Dealer();
  try {
    subscriber.connect(publisher.addresses.events);
    subscriber.subscribe('kv-events');
    dealer.connect(publisher.addresses.replay ?? '');
    // A subscription takes a moment to arrive, so publish until the first batch comes.
    const pulse = setInterval(() => {
      publisher.publish(Buffer.from('batch'));
    }, 5);
    const [topic, sequence, payload] = await subscriber.receive();
    clearInterval(pulse);
    expect(topic.toString()).toBe('kv-events');
    expect(sequence.length).toBe(8);
    expect(payload.toString()).toBe('batch');

    const start = Buffer.alloc(8);
    await dealer.send(['', start]);
    const numbers: bigint[] = [];
    for (;;) {
      const [blank, replayTopic, number, replayed] = await dealer.receive();
      expect(blank.length).toBe(0);
      if (number.equals(Buffer.alloc(8, 0xff))) {
        expect([replayTopic.length, replayed.length]).toEqual([0, 0]);
        break;
      }
      expect(replayTopic.toString()).toBe('kv-events');
      numbers.push(number.readBigUInt64BE());
    }
    expect(numbers).toEqual(numbers.map((_, i) => BigInt(i)));
    expect(numbers.length).toBeGreaterThan(Number(sequence.readBigUInt64BE()));
    expect(failures).toEqual([]);
  } finally {
    subscriber.close();
    dealer.close();
    publisher.close();
  }
});

/** Numbers of the batches that a replay from `first` answers with. */
async function replayedNumbers(address: string | null, first: bigint): Promise<number[]> {
  const dealer = new Dealer({ linger: 0 });
  dealer.connect(address ?? '');
  const start = Buffer.alloc(8);
  start.writeBigUInt64BE(first);
  await dealer.send(['', start]);
  const numbers: number[] = [];
  for (;;) {
    const [, , number] = await dealer.receive();
    if (number.equals(Buffer.alloc(8, 0xff))) break;
    numbers.push(Number(number.readBigUInt64BE()));
  }
  dealer.close();
  return numbers;
}

test('lost batches have their numbers and are in the replay, but are not sent', async () => {
  const publisher = await KvEventPublisher.bind({ events: loopback, replay: loopback }, rethrow);
  const subscriber = new Subscriber();
  subscriber.connect(publisher.addresses.events);
  subscriber.subscribe('kv-events');
  const pulse = setInterval(() => {
    publisher.publish(Buffer.from('before'));
  }, 5);
  const [, before] = await subscriber.receive();
  clearInterval(pulse);
  publisher.lose(2);
  for (let i = 0; i < 3; i++) publisher.publish(Buffer.from('after'));
  let [, number, payload] = await subscriber.receive();
  while (payload.toString() === 'before') [, number, payload] = await subscriber.receive();
  const numbers = await replayedNumbers(publisher.addresses.replay, 0n);
  expect(numbers).toEqual(numbers.map((_, i) => i));
  expect(number.readBigUInt64BE()).toBe(BigInt(numbers.length - 1));
  expect(Number(before.readBigUInt64BE())).toBeLessThan(numbers.length - 3);
  subscriber.close();
  publisher.close();
});

test('restart-events: the ports are closed for a while, then numbers start anew with an empty cache', async () => {
  const engine = await startSimEngine({ models: ['m'], kvEvents: { events: loopback, replay: loopback } });
  const replay = engine.kvEvents?.replay ?? null;
  const ask = (): Promise<Response> =>
    fetch(`http://${engine.address}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: Array.from({ length: 64 }, (_, i) => i), max_tokens: 1 }),
    });
  await (await ask()).text();
  expect(await replayedNumbers(replay, 0n)).toEqual([0]);
  await vi.waitFor(() => {
    expect(engine.state().running).toBe(0);
  });
  engine.setFault({ type: 'restart-events', count: Infinity, afterTokens: 0, factor: 1, seconds: 0 });
  expect(engine.state().cachedBlocks).toBe(0);
  await (await ask()).text();
  await vi.waitFor(async () => {
    expect(await replayedNumbers(replay, 0n)).toEqual([0]);
  });
  await engine.close();
});

test('every data-parallel rank has its own cache, its own ports, side by side, and its number in its batches', async () => {
  const engine = await startSimEngine({ models: ['m'], ranks: 3, kvEvents: { events: loopback, replay: loopback } });
  const sources: unknown = await (await fetch(`http://${engine.address}/kv_event_sources`)).json();
  const shifted = (address: string, by: number): string => address.replace(/\d+$/, (port) => String(Number(port) + by));
  const { events, replay } = engine.kvEvents ?? { events: '', replay: '' };
  expect(sources).toMatchObject({
    0: { endpoint: events, replay_endpoint: replay },
    1: { endpoint: shifted(events, 1), replay_endpoint: shifted(replay ?? '', 1) },
    2: { endpoint: shifted(events, 2), replay_endpoint: shifted(replay ?? '', 2) },
  });
  const prompts = [1, 2, 3].map((first) => Array.from({ length: 64 }, (_, i) => first * 100 + i));
  const answers = prompts.map((prompt) =>
    fetch(`http://${engine.address}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt, max_tokens: 20 }),
    }),
  );
  for (const answer of await Promise.all(answers)) await answer.arrayBuffer();
  const metrics = await (await fetch(`http://${engine.address}/metrics`)).text();
  for (const rank of [0, 1, 2]) {
    expect(metrics).toContain(`vllm:prefix_cache_queries_total{engine="${rank}",model_name="m"} 64`);
    const dealer = new Dealer({ linger: 0 });
    dealer.connect(shifted(replay ?? '', rank));
    await dealer.send(['', Buffer.alloc(8)]);
    const [, , , payload] = await dealer.receive();
    expect(decodeBatch(payload).rank).toBe(rank);
    dealer.close();
  }
  await engine.close();
});
