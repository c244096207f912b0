import { execFile } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encode } from '@msgpack/msgpack';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Publisher, Router } from 'zeromq';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { KvEventPublisher } from '../../sim/kv-publisher.ts';
import type { Holder } from '../kv-events.ts';
import { askOverHttp } from './ask-sources.ts';
import { streamLimits } from './limits.ts';
import { Recorder } from './recorder.fixture.ts';
import { KVEventSubscriptions } from './subscriptions.ts';
import type { EventTarget } from './target.ts';

const loopback = 'tcp://127.0.0.1:0';
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function portOf(endpoint: string | null): number {
  return Number(endpoint?.slice(endpoint.lastIndexOf(':') + 1));
}

/** Waits, in turns of the event loop, until an assertion holds. */
function until(holds: () => void): Promise<void> {
  return vi.waitFor(holds, { timeout: 15_000, interval: 2 });
}

function storedBatch(...hashes: readonly number[]): Uint8Array {
  const tokens = hashes.flatMap((hash) => [hash, hash]);
  return encode([performance.now(), [['BlockStored', hashes, null, tokens, 2, null, 'GPU', null]]]);
}

/** A publisher of the simulator, with or without replay. */
async function publisher(replays = true): Promise<KvEventPublisher> {
  const asked = { events: loopback, replay: replays ? loopback : null };
  const made = await KvEventPublisher.bind(asked, (error) => {
    throw error;
  });
  closers.push(() => {
    made.close();
  });
  return made;
}

function targetOf(addresses: { events: string; replay: string | null }, over: Partial<EventTarget> = {}): EventTarget {
  return {
    key: 'engine-a',
    host: '127.0.0.1',
    eventsPort: portOf(addresses.events),
    replayPort: addresses.replay === null ? null : portOf(addresses.replay),
    ranks: 1,
    topic: 'kv-events',
    api: null,
    ...over,
  };
}

function subscriptions(places = 100, limits = streamLimits) {
  const clock = new ManualClock();
  const recorder = new Recorder();
  const open = new Set<Holder>();
  const holders = new Map<string, readonly Holder[]>();
  let next = 0;
  const made = new KVEventSubscriptions({
    sink: recorder,
    clock,
    limits,
    ask: askOverHttp(clock),
    onHolders: (key, told) => holders.set(key, told),
    registry: {
      open: () => {
        if (open.size >= places) return null;
        open.add(next);
        return next++;
      },
      close: (holder) => {
        recorder.held.delete(holder);
        open.delete(holder);
      },
    },
  });
  closers.push(() => made.close());
  const phases = (): string[] => made.states().map(({ phase }) => phase);
  const held = (holder = 0): string[] => [...recorder.of(holder)];
  return { made, clock, recorder, open, holders, phases, held, counters: made.counters };
}

describe('one engine', () => {
  test('a new subscriber is told what was published before, then follows', async () => {
    const engine = await publisher();
    engine.publish(storedBatch(1, 2));
    const { made, phases, held, counters } = subscriptions();
    made.reconcile([targetOf(engine.addresses)]);
    expect(phases()).toEqual(['connecting']);
    await until(() => {
      expect(held()).toEqual(['1', '2']);
      expect(phases()).toEqual(['live']);
    });
    engine.publish(storedBatch(3));
    await until(() => {
      expect(held()).toEqual(['1', '2', '3']);
    });
    expect([counters.gaps, counters.dropped, counters.restarts]).toEqual([0, 0, 0]);
  });

  test('batches lost on the way are replayed', async () => {
    const engine = await publisher();
    const { made, phases, held, counters, recorder } = subscriptions();
    made.reconcile([targetOf(engine.addresses)]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    engine.publish(storedBatch(1));
    await until(() => {
      expect(held()).toEqual(['1']);
    });
    engine.lose(2);
    for (const hash of [2, 3, 4]) engine.publish(storedBatch(hash));
    await until(() => {
      expect(held()).toEqual(['1', '2', '3', '4']);
    });
    expect([counters.gaps, counters.dropped]).toEqual([1, 0]);
    expect(recorder.calls.filter((call) => call.includes('stored')).length).toBe(4);
  });

  test('without a replay endpoint a gap drops the entries, and they grow again', async () => {
    const engine = await publisher(false);
    const { made, held, counters } = subscriptions();
    made.reconcile([targetOf(engine.addresses)]);
    await publishUntilHeard(engine, held);
    engine.lose(1);
    engine.publish(storedBatch(2));
    engine.publish(storedBatch(3));
    await until(() => {
      expect(held()).toEqual(['3']);
    });
    expect([counters.gaps, counters.dropped]).toEqual([1, 1]);
  });

  test.each([true, false])(
    'an engine that dies and comes back starts with an empty cache, replay: %s',
    async (replays) => {
      const engine = await publisher(replays);
      const { made, held, phases, counters } = subscriptions();
      made.reconcile([targetOf(engine.addresses)]);
      await publishUntilHeard(engine, held);
      engine.kill();
      await until(() => {
        expect(phases()).toEqual(['connecting']);
      });
      await engine.revive();
      await publishUntilHeard(engine, held, 7);
      expect(held()).toEqual(['7']);
      expect(counters.disconnects).toBe(1);
      expect(counters.restarts + counters.dropped).toBeGreaterThan(0);
    },
  );

  /** Without replay a batch may be published before the subscription has arrived. */
  async function publishUntilHeard(engine: KvEventPublisher, held: () => string[], hash = 1): Promise<void> {
    await until(() => {
      if (!held().includes(String(hash))) engine.publish(storedBatch(hash));
      expect(held()).toContain(String(hash));
    });
  }

  test('nobody there: given up after a while with a reason, and alive again when somebody is', async () => {
    const engine = await publisher();
    engine.kill();
    const { made, phases, clock, held } = subscriptions();
    made.reconcile([targetOf(engine.addresses)]);
    await until(() => {
      expect(made.states()[0].ranks.length).toBe(1);
    });
    clock.advance(streamLimits.giveUpAfter);
    expect(phases()).toEqual(['given_up']);
    expect(made.states()[0].reason).toContain('no connection');
    await engine.revive();
    engine.publish(storedBatch(5));
    await until(() => {
      expect(phases()).toEqual(['live']);
      expect(held()).toEqual(['5']);
    });
    expect(made.states()[0].reason).toBe('');
  });

  test('a port that speaks something else is given up', async () => {
    const server = await httpServer('nothing');
    const { made, phases, clock } = subscriptions();
    made.reconcile([targetOf({ events: `tcp://127.0.0.1:${server}`, replay: null })]);
    await until(() => {
      expect(made.states()[0].ranks.length).toBe(1);
    });
    clock.advance(streamLimits.giveUpAfter);
    expect(phases()).toEqual(['given_up']);
  });
});

describe('engines that misbehave', () => {
  /** Raw sockets, to say anything. */
  async function raw() {
    const events = new Publisher({ linger: 0 });
    const replay = new Router({ linger: 0 });
    await events.bind(loopback);
    await replay.bind(loopback);
    closers.push(() => {
      events.close();
      replay.close();
    });
    const addresses = { events: events.lastEndpoint ?? '', replay: replay.lastEndpoint };
    return { events, replay, addresses };
  }

  const number = (value: bigint): Buffer => {
    const frame = Buffer.alloc(8);
    frame.writeBigInt64BE(value);
    return frame;
  };

  /** Answers every replay by what `answer` gives for its first number. */
  async function answering(socket: Router, answer: (first: bigint) => (Uint8Array | string)[][]): Promise<void> {
    for await (const [client, , start] of socket) {
      for (const frames of answer(start.readBigUInt64BE())) await socket.send([client, ...frames]);
    }
  }

  const end = ['', '', number(-1n), ''];

  test('rubbish frames beside good ones are counted and passed over', async () => {
    const { events, addresses } = await raw();
    const { made, phases, held, counters } = subscriptions();
    made.reconcile([targetOf({ ...addresses, replay: null })]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    let sequence = 0n;
    await until(() => {
      if (held().length === 0) void events.send(['kv-events', number(sequence++), storedBatch(1)]);
      expect(held()).toEqual(['1']);
    });
    const rubbish: (Uint8Array | string)[][] = [
      ['kv-events'],
      ['kv-events', 'short', storedBatch(8)],
      ['kv-events', number(-1n), storedBatch(8)],
      ['kv-events', number(-7n), storedBatch(8)],
      ['kv-events', number(sequence), storedBatch(8), 'more'],
    ];
    for (const frames of rubbish) await events.send(frames);
    await events.send(['kv-events', number(sequence), storedBatch(2)]);
    await until(() => {
      expect(held()).toEqual(['1', '2']);
    });
    expect(counters.malformed).toMatchObject({ frames: 2, sequence: 3 });
    await events.send(['kv-events', number(sequence + 1n), 'no batch']);
    await events.send(['kv-events', number(sequence + 2n), storedBatch(3)]);
    await until(() => {
      expect(held()).toEqual(['3']);
    });
  });

  test('a replay that hangs is given up in time, and tried again later', async () => {
    const { events, replay, addresses } = await raw();
    let firsts: bigint[] = [];
    let answers: (Uint8Array | string)[][] = [];
    void answering(replay, (first) => {
      firsts.push(first);
      return answers;
    });
    const { made, phases, held, clock, counters } = subscriptions();
    made.reconcile([targetOf(addresses)]);
    await until(() => {
      expect(firsts).toEqual([0n]);
    });
    expect(phases()).toEqual(['replaying']);
    let sequence = 5n;
    await until(() => {
      void events.send(['kv-events', number(sequence++), storedBatch(5)]);
      clock.advance(streamLimits.replayIdle / 2);
      expect(phases()).toEqual(['live']);
      expect(held()).toEqual(['5']);
    });
    expect(counters.replayFailures).toBeGreaterThan(0);
    answers = [
      ['', 'kv-events', number(0n), storedBatch(1)],
      ['', 'kv-events', number(sequence - 1n), storedBatch(5)],
      end,
    ];
    firsts = [];
    clock.advance(streamLimits.replayBackoff);
    await until(() => {
      expect(held()).toContain('5');
      expect(phases()).toEqual(['live']);
      expect(firsts.length).toBeGreaterThan(0);
    });
  });

  test('a replay without topic frames is understood too', async () => {
    const { replay, addresses } = await raw();
    void answering(replay, () => [
      ['', number(0n), storedBatch(1)],
      ['', number(1n), storedBatch(2)],
      ['', number(-1n), ''],
    ]);
    const { made, phases, held } = subscriptions();
    made.reconcile([targetOf(addresses)]);
    await until(() => {
      expect(held()).toEqual(['1', '2']);
      expect(phases()).toEqual(['live']);
    });
  });

  test('a replay that answers with rubbish is given up after so much of it', async () => {
    const { replay, addresses } = await raw();
    void answering(replay, () => Array.from({ length: 40 }, () => ['not', 'a', 'replay']));
    const { made, phases, held, counters } = subscriptions();
    made.reconcile([targetOf(addresses)]);
    await until(() => {
      expect(phases()).toEqual(['live']);
      expect(counters.replayFailures).toBe(1);
    });
    expect(counters.malformed.replay).toBe(streamLimits.replayRubbish + 1);
    expect(held()).toEqual([]);
  });

  test('a message over the limit costs the connection, not the memory', async () => {
    const { events, addresses } = await raw();
    const { made, phases, counters } = subscriptions();
    made.reconcile([targetOf({ ...addresses, replay: null })]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    await until(() => {
      if (counters.disconnects === 0) void events.send(['kv-events', number(0n), Buffer.alloc(5 * 1024 * 1024)]);
      expect(counters.disconnects).toBeGreaterThan(0);
    });
    expect(counters.messages).toBe(0);
  });
});

describe('many engines', () => {
  test('an engine that goes away loses its holders before the call returns', async () => {
    const [a, b] = [await publisher(), await publisher()];
    a.publish(storedBatch(1));
    b.publish(storedBatch(2));
    const { made, open, held, holders } = subscriptions();
    const first = targetOf(a.addresses);
    const second = targetOf(b.addresses, { key: 'engine-b' });
    made.reconcile([first, second]);
    await until(() => {
      expect([held(0), held(1)]).toEqual([['1'], ['2']]);
    });
    made.reconcile([second]);
    expect([...open]).toEqual([1]);
    expect([holders.get('engine-a'), holders.get('engine-b')]).toEqual([[], [1]]);
    expect(made.states().map(({ key }) => key)).toEqual(['engine-b']);
  });

  test('the same address under another name is another holder', async () => {
    const engine = await publisher();
    const { made, open, phases } = subscriptions();
    made.reconcile([targetOf(engine.addresses)]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    made.reconcile([targetOf(engine.addresses, { key: 'its successor' })]);
    expect([...open]).toEqual([1]);
  });

  test('another address under the same name is another holder, and the same one stays', async () => {
    const [a, b] = [await publisher(), await publisher()];
    const { made, open, phases } = subscriptions();
    made.reconcile([targetOf(a.addresses)]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    made.reconcile([targetOf(a.addresses)]);
    expect([...open]).toEqual([0]);
    made.reconcile([targetOf(b.addresses)]);
    expect([...open]).toEqual([1]);
  });

  test('an index without a place gives the stream up with a reason, until there is one', async () => {
    const [a, b] = [await publisher(), await publisher()];
    const { made, phases } = subscriptions(1);
    const second = targetOf(b.addresses, { key: 'engine-b' });
    made.reconcile([targetOf(a.addresses), second]);
    await until(() => {
      expect(phases()).toEqual(['live', 'given_up']);
    });
    expect(made.states()[1].reason).toContain('no place');
    made.reconcile([second]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
  });

  test('nothing is left when all is closed: no holder, no timer', async () => {
    const engine = await publisher();
    engine.kill();
    const { made, open, clock } = subscriptions();
    const gone = targetOf(engine.addresses);
    made.reconcile([gone, { ...gone, key: 'b', ranks: 4, api: '127.0.0.1:1' }]);
    await until(() => {
      expect(open.size).toBe(5);
    });
    await made.close();
    made.reconcile([gone]);
    expect(open.size).toBe(0);
    expect(clock.pending).toBe(0);
    expect(made.states()).toEqual([]);
  });

  test('a program that has closed its subscriptions ends by itself', async () => {
    const fixture = fileURLToPath(new URL('./ends-by-itself.fixture.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [fixture], { timeout: 20_000 });
    expect(stdout).toBe('holders left: 0\n');
  });
});

/** An HTTP server that answers every request alike; its port. */
async function httpServer(body: string, status = 200): Promise<number> {
  const server: Server = createServer((_request, response) => {
    response.writeHead(status).end(body);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('data-parallel ranks', () => {
  /** Publishers on neighbouring ports, as the ranks of one engine have them. */
  async function neighbours(): Promise<[KvEventPublisher, KvEventPublisher]> {
    for (;;) {
      const first = await publisher(false);
      const events = `tcp://127.0.0.1:${portOf(first.addresses.events) + 1}`;
      try {
        const second = await KvEventPublisher.bind({ events, replay: null }, () => undefined);
        closers.push(() => {
          second.close();
        });
        return [first, second];
      } catch {
        // Somebody else has that port: another pair.
      }
    }
  }

  test('rank r is at port + r, with a holder of its own, and clears only that', async () => {
    const [first, second] = await neighbours();
    const { made, held, phases, holders } = subscriptions();
    made.reconcile([targetOf(first.addresses, { ranks: 2 })]);
    await until(() => {
      expect(phases()).toEqual(['live']);
    });
    expect(holders.get('engine-a')).toEqual([0, 1]);
    await until(() => {
      first.publish(storedBatch(1));
      second.publish(storedBatch(2));
      expect([held(0), held(1)]).toEqual([['1'], ['2']]);
    });
    second.publish(encode([1, [['AllBlocksCleared']]]));
    await until(() => {
      expect([held(0), held(1)]).toEqual([['1'], []]);
    });
  });

  test('the engine itself says which ports and topics its ranks have; only those are believed', async () => {
    const [a, b] = [await publisher(), await publisher()];
    a.publish(storedBatch(1));
    b.publish(storedBatch(2));
    const entry = ({ addresses: { events, replay } }: KvEventPublisher) => ({
      enable_kv_cache_events: true,
      publisher: 'zmq',
      endpoint: `tcp://192.0.2.1:${portOf(events)}`,
      replay_endpoint: `tcp://*:${portOf(replay)}`,
      topic: 'kv',
    });
    const api = `127.0.0.1:${await httpServer(JSON.stringify({ 0: entry(a), 1: entry(b) }))}`;
    const { made, holders, recorder } = subscriptions();
    made.reconcile([targetOf({ events: 'tcp://x:1', replay: null }, { api })]);
    await until(() => {
      const all = (holders.get('engine-a') ?? []).map((holder) => [...recorder.of(holder)]);
      expect(all).toEqual([['1'], ['2']]);
    });
    expect(made.states()[0].ranks.map(({ rank, phase }) => `${rank} ${phase}`)).toEqual(['0 live', '1 live']);
  });

  test.each([
    ['without such a path', 404, '{"detail":"Not Found"}'],
    ['without events', 200, '{}'],
  ])('an engine %s is taken as it was described', async (_name, status, body) => {
    const engine = await publisher();
    const api = `127.0.0.1:${await httpServer(body, status)}`;
    const { made, phases, open, clock } = subscriptions();
    made.reconcile([targetOf(engine.addresses, { api })]);
    await until(() => {
      expect(phases()).toEqual(['live']);
      // Neither the question's time-out nor a further question is due.
      expect(clock.pending).toBe(0);
    });
    expect([...open]).toEqual([0]);
  });

  test('an engine that cannot be asked yet is asked again', async () => {
    const engine = await publisher();
    const { events, replay } = engine.addresses;
    const bodies = ['x'.repeat(100_000), JSON.stringify([1])];
    const good = { publisher: 'zmq', endpoint: events, replay_endpoint: replay, topic: '' };
    const server = createServer((_request, response) => {
      response.end(bodies.shift() ?? JSON.stringify({ 0: good }));
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', resolve);
    await promise;
    closers.push(() => server.close());
    const { made, phases, clock, open } = subscriptions();
    const api = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    made.reconcile([targetOf({ events: 'tcp://127.0.0.1:1', replay: null }, { api })]);
    await until(() => {
      clock.advance(500);
      expect(phases()).toEqual(['live']);
    });
    expect([...open]).toEqual([1]);
    expect(bodies).toEqual([]);
  });
});
