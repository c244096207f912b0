import { afterEach, describe, expect, test } from 'vitest';
import { Publisher, Router } from 'zeromq';
import type { KvEventPublisher } from '../../sim/kv-publisher.ts';
import { streamLimits } from './limits.ts';
import {
  atEnd,
  closeAll,
  httpServer,
  loopback,
  publisher,
  storedBatch,
  subscriptions,
  targetOf,
  until,
} from './loopback.fixture.ts';

afterEach(closeAll);

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
    atEnd(() => {
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
