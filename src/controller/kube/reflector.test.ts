import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { createLog } from '../../observability/log.ts';
import { ApiServer, until, type Seen } from './api-server.fixture.ts';
import type { KubeClient, KubeObject } from './contract.ts';
import { HttpKubeClient } from './http-client.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';

const path = '/api/v1/namespaces/a/pods';
const isList = (seen: Seen): boolean => seen.query.get('watch') === null;
const isWatch = (seen: Seen): boolean => seen.query.get('watch') === 'true';
const isMore = (seen: Seen): boolean => seen.query.has('continue');

let server: ApiServer;
/** Of the reflector: one alarm is set while it waits. */
let clock: ManualClock;
/** Of the client: its time-outs. */
let wire: ManualClock;
let client: HttpKubeClient;
/** Watches that the reflector knows to be open, so far. */
let opened: number;
let openedBefore: number;
let reflector: Reflector<string>;
let changes: string[];
let states: number;
let lines: string[];

function pod(name: string, value = 'v1'): KubeObject {
  return { metadata: { name, namespace: 'a' }, value };
}

function options(more: Partial<ReflectorOptions<string>> = {}): ReflectorOptions<string> {
  return {
    client: tapped,
    path,
    keep: (object) => (object.value === 'hidden' ? null : String(object.value)),
    onChange: (key, value, previous) => changes.push(`${key} ${previous ?? '-'}>${value ?? '-'}`),
    onState: () => (states += 1),
    clock,
    log: createLog((line) => lines.push(line)),
    random: () => 0.5,
    ...more,
  };
}

beforeEach(async () => {
  server = await ApiServer.start();
  clock = new ManualClock();
  wire = new ManualClock();
  client = new HttpKubeClient({ connection: server.connection, clock: wire, version: '1' });
  opened = 0;
  openedBefore = 0;
  changes = [];
  states = 0;
  lines = [];
  reflector = new Reflector(options());
});

afterEach(async () => {
  reflector.close();
  client.close();
  expect(clock.pending + wire.pending).toBe(0);
  await server.close();
});

const tapped: KubeClient = {
  namespace: 'a',
  send: (request) => client.send(request),
  watch: (watched, handler) =>
    client.watch(watched, {
      open: () => {
        handler.open?.();
        opened += 1;
      },
      event: (event) => handler.event(event),
      end: (status, error, retryAfter) => handler.end(status, error, retryAfter),
    }),
  close: () => client.close(),
};

/** The reflector knows of one more open watch. */
const watching = async (): Promise<void> => {
  openedBefore += 1;
  await until(() => opened === openedBefore);
};

/** The reflector waits before it tries again. */
const waiting = (): Promise<void> => until(() => clock.pending === 1);

async function started(...objects: KubeObject[]): Promise<void> {
  for (const object of objects) server.put(path, object);
  reflector.start();
  await watching();
  changes = [];
}

/** The state machine has nothing under way but alarms. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
}

describe('a list', () => {
  it('is taken in before it counts as synced, and is watched from its version on', async () => {
    server.put(path, pod('p'));
    server.put(path, pod('q', 'hidden'));
    expect(reflector.synced).toBe(false);
    reflector.start();
    expect(reflector.staleSince).toBe(clock.now());
    await watching();
    expect(reflector.synced).toBe(true);
    expect([...reflector.items]).toEqual([['a/p', 'v1']]);
    expect(changes).toEqual(['a/p ->v1']);
    expect(server.seen[1]?.query.get('resourceVersion')).toBe('102');
    expect(server.seen[1]?.query.get('allowWatchBookmarks')).toBe('true');
    expect(server.seen[1]?.query.get('timeoutSeconds')).toBe('450');
    expect(states).toBe(2);
  });

  it('comes in pages', async () => {
    for (let index = 0; index < 1200; index += 1) server.put(path, pod(`p${index}`));
    reflector.start();
    await watching();
    expect(reflector.items.size).toBe(1200);
    expect(server.count(isList)).toBe(3);
    expect(server.seen[0]?.query.get('limit')).toBe('500');
  });

  it('carries the query of its caller, in the watch too', async () => {
    reflector = new Reflector(options({ query: { labelSelector: 'app=vllm,x in (a)' } }));
    await started();
    expect(server.seen.map(({ query }) => query.get('labelSelector'))).toEqual([
      'app=vllm,x in (a)',
      'app=vllm,x in (a)',
    ]);
  });

  it('starts anew at once when a page is too old, and only once without a pause', async () => {
    for (let index = 0; index < 600; index += 1) server.put(path, pod(`p${index}`));
    const stop = server.always(isMore, { status: 410 });
    reflector.start();
    await waiting();
    expect(reflector.items.size).toBe(0);
    await settled();
    expect(server.count(isList)).toBe(4);
    stop();
    clock.advance(800);
    await watching();
    expect(reflector.items.size).toBe(600);
  });

  it.each([
    [401, { message: 'who are you' }],
    [403, { message: 'you must not' }],
    [404, { message: 'no such CRD' }],
    [500, 'nonsense'],
    [200, { items: 'none' }],
    [200, { metadata: { resourceVersion: '9999' }, items: [{ no: 'metadata' }] }],
    [200, '<html>'],
  ])('answered %i %j means away: what was known stays, and the waits double', async (status, body) => {
    await started(pod('p'));
    const stopWatches = server.always(isWatch, { status: 404, body: { message: 'gone' } });
    const stopLists = server.always(isList, { status, body });
    server.cutWatches();
    await waiting();
    const before = server.seen.length;
    // The watch is tried first, and refused; from then on lists, at 800 ms, 1.6 s, … 25.6 s, 30 s.
    for (const delay of [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
      await waiting();
      const sent = server.seen.length;
      clock.advance(delay - 1);
      await settled();
      expect(server.seen.length).toBe(sent);
      clock.advance(1);
      await until(() => server.seen.length === sent + 1);
    }
    expect(server.seen.length - before).toBe(8);
    expect([...reflector.items.keys()]).toEqual(['a/p']);
    expect(changes).toEqual([]);
    expect(reflector.synced).toBe(true);
    await waiting();
    stopLists();
    stopWatches();
    clock.advance(30_000);
    await watching();
    expect(reflector.staleSince).toBeNull();
    expect(changes).toEqual([]);
  });

  it('is not asked for before the server wants to be asked', async () => {
    server.once(isList, { status: 429, headers: { 'retry-after': '5' } });
    reflector.start();
    await waiting();
    clock.advance(4999);
    await settled();
    expect(server.seen).toHaveLength(1);
    clock.advance(1);
    await watching();
    expect(reflector.synced).toBe(true);
  });

  it.each([
    [403, 'give the service account the right'],
    [404, 'install the CRD'],
  ])('that is refused with %s tells what was left out at the installation', async (status, cure) => {
    server.once(isList, { status });
    reflector.start();
    await waiting();
    expect(lines.join()).toContain(`"cure":"${cure}`);
    clock.advance(800);
    await watching();
    expect(reflector.synced).toBe(true);
  });

  it('that the server takes too long for is asked for again', async () => {
    server.once(isList, 'hang');
    reflector.start();
    await until(() => server.seen.length === 1);
    wire.advance(15_000);
    await waiting();
    clock.advance(800);
    await watching();
  });

  it('older than what was seen is passed over, until it must be a cluster restored from a backup', async () => {
    await started(pod('p'));
    server.put(path, pod('p', 'v2'));
    await until(() => changes.length === 1);
    server.version = 50;
    server.once(isWatch, { status: 410 });
    const old = { status: 200, body: { metadata: { resourceVersion: '99' }, items: [] } };
    const stop = server.always(isList, old);
    clock.advance(10_000);
    server.endWatches();
    await waiting();
    let tries = 0;
    for (; reflector.items.size > 0 && tries < 20; tries += 1) {
      const sent = server.seen.length;
      clock.advance(30_000);
      await until(() => server.seen.length > sent && (clock.pending === 1 || reflector.items.size === 0));
    }
    stop();
    expect(tries).toBe(2);
    expect(lines.some((line) => line.includes('gone back to an older version'))).toBe(true);
    expect(changes).toEqual(['a/p v1>v2', 'a/p v2>-']);
  });

  it('older than what was seen changes nothing when the next is as new, and each time is judged by itself', async () => {
    await started(pod('p'));
    const body = { metadata: { resourceVersion: '99' }, items: [] };
    for (let round = 0; round < 2; round += 1) {
      server.once(isList, { status: 200, body });
      server.once(isWatch, { status: 410 });
      clock.advance(70_000);
      server.endWatches();
      await waiting();
      clock.advance(800);
      await watching();
    }
    expect(lines.filter((line) => line.includes('older than what was seen'))).toHaveLength(2);
    expect(changes).toEqual([]);
  });
});

describe('a watch', () => {
  it('brings what is added, modified and deleted', async () => {
    await started(pod('p'));
    server.put(path, pod('q'));
    server.put(path, pod('p', 'v2'));
    server.put(path, pod('q', 'hidden'));
    server.remove(path, 'p');
    server.put(path, pod('r', 'hidden'));
    server.remove(path, 'r');
    server.put(path, pod('s'));
    await until(() => changes.length === 5);
    expect(changes).toEqual(['a/q ->v1', 'a/p v1>v2', 'a/q v1>-', 'a/p v2>-', 'a/s ->v1']);
  });

  it('passes over what the caller calls no change, and keeps what it has', async () => {
    const first = { value: 'v1' };
    const held: Reflector<{ value: string }> = new Reflector({
      ...options(),
      keep: (object) => (object.value === 'v1' ? { ...first } : { value: String(object.value) }),
      changed: (previous, next) => previous.value !== next.value,
      onChange: (key, value) => changes.push(`${key} ${value?.value ?? '-'}`),
    });
    server.put(path, pod('p'));
    held.start();
    await until(() => server.watches.size === 1);
    const before = held.items.get('a/p');
    server.put(path, pod('p'));
    server.put(path, pod('p', 'v2'));
    await until(() => changes.length === 2);
    expect(changes).toEqual(['a/p v1', 'a/p v2']);
    expect(before).toEqual(first);
    held.close();
  });

  it('goes on from the version of the newest event or bookmark', async () => {
    await started();
    clock.advance(10_000);
    server.put(path, pod('p'));
    await until(() => changes.length === 1);
    server.version = 250;
    server.bookmark();
    server.line({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '99' } } });
    server.endWatches();
    await watching();
    expect(server.seen.at(-1)?.query.get('resourceVersion')).toBe('250');
    expect(server.count(isList)).toBe(1);
  });

  it('is opened again at once when it ends in its time, without being stale in between', async () => {
    await started();
    const before = states;
    for (let round = 0; round < 3; round += 1) {
      clock.advance(10_000);
      server.endWatches();
      await watching();
    }
    expect(states).toBe(before);
    expect(server.count(isList)).toBe(1);
  });

  it('that the server ends again and again is not opened in a hot loop', async () => {
    await started();
    for (const delay of [800, 1600, 3200]) {
      server.endWatches();
      await waiting();
      await settled();
      const sent = server.seen.length;
      clock.advance(delay - 1);
      await settled();
      expect(server.seen.length).toBe(sent);
      clock.advance(1);
      await watching();
    }
    expect(server.count(isList)).toBe(1);
    expect(server.count(isWatch)).toBe(4);
  });

  it('that breaks off after a good life is opened from where it was after the shortest wait', async () => {
    await started(pod('p'));
    for (let round = 0; round < 3; round += 1) {
      clock.advance(10_000);
      server.cutWatches();
      await waiting();
      expect(reflector.staleSince).toBe(clock.now());
      server.put(path, pod('p', `w${round}`));
      clock.advance(800);
      await watching();
    }
    await until(() => changes.length === 3);
    expect(changes).toEqual(['a/p v1>w0', 'a/p w0>w1', 'a/p w1>w2']);
    expect(server.count(isList)).toBe(1);
  });

  it('that hangs is noticed, and what happened meanwhile is caught up', async () => {
    await started(pod('p'));
    const [hung] = [...server.watches];
    server.watches.clear();
    server.put(path, pod('p', 'v2'));
    wire.advance(150_000);
    await until(() => hung.response.destroyed);
    expect(reflector.staleSince).toBe(clock.now());
    clock.advance(800);
    await watching();
    await until(() => changes.length === 1);
    expect(changes).toEqual(['a/p v1>v2']);
  });

  it.each<[string, () => void]>([
    ['when it is opened', () => server.endWatches()],
    [
      'in mid-stream',
      () => server.line({ type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } }),
    ],
  ])('whose version is too old %s lists anew at once; only what is really gone is deleted', async (_name, happens) => {
    await started(pod('p'), pod('q'), pod('r'));
    clock.advance(10_000);
    server.once(isWatch, { status: 410 });
    server.removeUnseen(path, 'p');
    server.put('/other', pod('x'));
    const [{ response }] = [...server.watches];
    server.watches.clear();
    server.put(path, pod('q', 'v2'));
    server.watches.add({ path, response });
    happens();
    await until(() => changes.length === 2);
    expect(changes).toEqual(['a/p v1>-', 'a/q v1>v2']);
    expect(server.count(isList)).toBe(2);
  });

  it('that is too old is listed for at once again, once a watch has lived long since', async () => {
    await started(pod('p'));
    for (let round = 2; round < 4; round += 1) {
      clock.advance(10_000);
      server.once(isWatch, { status: 410 });
      server.endWatches();
      await watching();
      expect(server.count(isList)).toBe(round);
    }
    expect(clock.pending).toBe(0);
  });

  it('that is too old again and again is not listed for in a hot loop', async () => {
    await started(pod('p'));
    server.always(isWatch, { status: 410 });
    server.endWatches();
    await waiting();
    clock.advance(800);
    // 410, a list at once, 410, and now a wait.
    await waiting();
    expect([server.count(isList), server.count(isWatch)]).toEqual([2, 3]);
    for (const delay of [1600, 3200, 6400, 12_800, 25_600, 30_000]) {
      await waiting();
      const [lists, watches] = [server.count(isList), server.count(isWatch)];
      clock.advance(delay - 1);
      await settled();
      expect(server.count(isList)).toBe(lists);
      clock.advance(1);
      await until(() => server.count(isWatch) === watches + 1 && clock.pending === 1);
      expect(server.count(isList)).toBe(lists + 1);
    }
    expect(changes).toEqual([]);
    await waiting();
  });

  it.each([429, 500, 503])('refused with %i is tried again from where it was, no sooner than asked', async (status) => {
    await started(pod('p'));
    server.cutWatches();
    await waiting();
    server.once(isWatch, { status, headers: { 'retry-after': '9' } });
    await waiting();
    clock.advance(800);
    await until(() => server.count(isWatch) === 2);
    await waiting();
    clock.advance(8999);
    await settled();
    expect(server.count(isWatch)).toBe(2);
    clock.advance(1);
    await watching();
    expect(server.count(isList)).toBe(1);
  });

  it('refused because the CRD is gone goes on when it is there again', async () => {
    await started(pod('p'));
    const back = server.always(() => true, { status: 404, body: { message: 'not found' } });
    server.endWatches();
    await waiting();
    clock.advance(800);
    await waiting();
    clock.advance(1600);
    await until(() => server.count(isList) === 2);
    expect(reflector.items.size).toBe(1);
    back();
    await waiting();
    clock.advance(3200);
    await watching();
    expect(changes).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['an error without a code', { type: 'ERROR', object: 'nonsense' }],
    ['an error of the server', { type: 'ERROR', object: { code: 400, message: 'no' } }],
    ['an event without an object', { type: 'ADDED', object: { metadata: {} } }],
  ])('with %s in its stream lists anew, after a wait', async (_name, line) => {
    await started(pod('p'));
    server.line(line);
    await waiting();
    expect(server.count(isList)).toBe(1);
    clock.advance(800);
    await watching();
    expect(server.count(isList)).toBe(2);
    expect(changes).toEqual([]);
  });
});

describe('a reflector', () => {
  it('logs an object that cannot be read, keeps what it had of it and goes on with the others', async () => {
    reflector = new Reflector(
      options({
        keep: ({ value }) => {
          if (value === 'odd') throw new Error('I do not understand');
          return String(value);
        },
      }),
    );
    await started(pod('p'), pod('q', 'odd'));
    server.put(path, pod('p', 'odd'));
    server.put(path, pod('r'));
    await until(() => changes.length === 1);
    expect([...reflector.items]).toEqual([
      ['a/p', 'v1'],
      ['a/r', 'v1'],
    ]);
    expect(lines.filter((line) => line.includes('I do not understand'))).toHaveLength(2);
    server.line({ type: 'ERROR', object: { code: 410 } });
    await until(() => server.count(isList) === 2 && server.watches.size === 1);
    expect(reflector.items.get('a/p')).toBe('v1');
  });

  it('logs a listener that throws and goes on', async () => {
    reflector = new Reflector(
      options({
        onChange: () => {
          throw new Error('I stumbled');
        },
      }),
    );
    await started(pod('p'), pod('q'));
    expect(reflector.items.size).toBe(2);
    expect(lines.filter((line) => line.includes('I stumbled'))).toHaveLength(2);
  });

  it.each<[string, (happens: () => void) => Partial<ReflectorOptions<string>>]>([
    ['a change is told', (close) => ({ onChange: close })],
    ['the state is told', (close) => ({ onState: () => reflector.synced && close() })],
  ])('may be closed while %s', async (_name, when) => {
    let closed = false;
    reflector = new Reflector(
      options(
        when(() => {
          closed = true;
          reflector.close();
        }),
      ),
    );
    server.put(path, pod('p'));
    reflector.start();
    await until(() => closed);
    await settled();
    expect(server.count(isWatch)).toBe(0);
  });

  it.each<[string, () => Promise<void>]>([
    ['lists', () => until(() => server.seen.length === 1)],
    ['watches', () => watching()],
  ])('that is closed while it %s tells no more', async (_name, reached) => {
    server.put(path, pod('p'));
    reflector.start();
    await reached();
    reflector.close();
    const [told, said] = [changes.length, states];
    server.put(path, pod('p', 'v2'));
    await until(() => server.watches.size === 0);
    await settled();
    expect([changes.length, states]).toEqual([told, said]);
    expect(clock.pending).toBe(0);
  });
});
