import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encode } from '@msgpack/msgpack';
import { afterEach, describe, expect, test } from 'vitest';
import { noFault } from '../../sim/faults.ts';
import { KvEventPublisher } from '../../sim/kv-publisher.ts';
import { startSimEngine } from '../../sim/server.ts';
import {
  atEnd,
  closeAll,
  httpServer,
  loopback,
  portOf,
  publisher,
  storedBatch,
  subscriptions,
  targetOf,
  until,
} from './loopback.fixture.ts';

afterEach(closeAll);

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

describe('data-parallel ranks', () => {
  /** Publishers on neighbouring ports, as the ranks of one engine have them. */
  async function neighbours(): Promise<[KvEventPublisher, KvEventPublisher]> {
    for (;;) {
      const first = await publisher(false);
      const events = `tcp://127.0.0.1:${portOf(first.addresses.events) + 1}`;
      try {
        const second = await KvEventPublisher.bind({ events, replay: null }, () => undefined);
        atEnd(() => {
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
    await until(() => {
      expect(made.states()[0].ranks.map(({ rank, phase }) => `${rank} ${phase}`)).toEqual(['0 live', '1 live']);
    });
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
    atEnd(() => server.close());
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

test('a simulated engine of two ranks, through evictions, lost events and a restart: what is held is what it caches', async () => {
  const service = { kvTokens: 1_600 };
  const kvEvents = { events: loopback, replay: loopback };
  const options = { models: ['m'], adapters: ['l'], ranks: 2, speedUp: 1_000, maxModelLength: 1_600 };
  const engine = await startSimEngine({ ...options, service, kvEvents });
  atEnd(() => engine.close());
  const { made, phases, recorder, holders, counters } = subscriptions();
  const target = targetOf({ events: engine.kvEvents?.events ?? '', replay: null }, { api: engine.address });
  made.reconcile([target]);
  const ask = async (turn: number): Promise<void> => {
    const prompt = Array.from({ length: 100 + ((turn * 37) % 500) }, (_, i) => (turn % 11) * 1_000 + i);
    const answer = await fetch(`http://${engine.address}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: turn % 5 === 0 ? 'l' : 'm', prompt, max_tokens: 3 }),
    });
    await answer.arrayBuffer();
  };
  const agrees = (): Promise<void> =>
    until(() => {
      const held = (holders.get('engine-a') ?? []).map((holder) => recorder.of(holder).size);
      expect(held.length).toBe(2);
      expect(held[0] + held[1]).toBe(engine.state().cachedBlocks);
    });
  await until(() => {
    expect(made.states()[0].ranks.length).toBe(2);
    expect(phases()).toEqual(['live']);
  });
  for (let turn = 0; turn < 20; turn += 2) await Promise.all([ask(turn), ask(turn + 1)]);
  await agrees();
  expect((holders.get('engine-a') ?? []).every((holder) => recorder.of(holder).size > 0)).toBe(true);
  engine.setFault({ ...noFault, type: 'lose-events', count: 3 });
  for (let turn = 20; turn < 60; turn += 2) await Promise.all([ask(turn), ask(turn + 1)]);
  await agrees();
  expect(counters.gaps).toBeGreaterThan(0);
  engine.setFault({ ...noFault, type: 'restart-events', seconds: 0 });
  for (let turn = 60; turn < 80; turn += 2) await Promise.all([ask(turn), ask(turn + 1)]);
  await agrees();
  expect(counters.disconnects).toBe(2);
  expect(counters.blocksRemoved).toBeGreaterThan(0);
});
