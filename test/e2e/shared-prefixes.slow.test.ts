import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { wallClock } from '../../src/commands/wall-clock.ts';
import { connectRedis, type StoreConnection } from '../../src/indexer/shared/connection.ts';
import { blockBytes } from '../../src/router/prompt.ts';
import { closeReplicas, Replica, stream } from './redis/replica.ts';
import { StoreServer, storePrograms, tlsInFront } from './redis/server.ts';
import { selfSigned } from './testkit/certificate.ts';
import { until } from './testkit/until.ts';

let programs: { name: string; path: string }[];
let valkey: string;
const servers: StoreServer[] = [];

beforeAll(() => {
  programs = storePrograms();
  valkey = programs[0].path;
}, 300_000);

afterEach(async () => {
  closeReplicas();
  for (const server of servers.splice(0)) await server.dispose();
});

async function store(...flags: string[]): Promise<StoreServer> {
  const server = await StoreServer.start(valkey, ...flags);
  servers.push(server);
  return server;
}

const at = ({ port }: { port: number }) => ({ target: { port } });

function raw(server: StoreServer, login: { password?: string } = {}): Promise<StoreConnection> {
  return connectRedis({ host: '127.0.0.1', port: server.port, ...login }, wallClock);
}

describe('prefixes shared by replicas through a real server', () => {
  it('what one replica routes the other knows, in Redis 6.2 and in Valkey', async () => {
    for (const { path } of programs) {
      const server = await StoreServer.start(path);
      servers.push(server);
      const [a, b] = [new Replica(at(server)), new Replica(at(server))];
      await Promise.all([a.warm(), b.warm()]);
      a.route('abcd', 0);
      b.route('xyz', 1);
      await Promise.all([b.learns('abcd', 0), a.learns('xyz', 1)]);
      expect(b.found('abcd', 1)).toBe(0);
      // A conversation goes on elsewhere: only its new blocks travel.
      b.route('abcdef', 0);
      await a.learns('abcdef', 0);
      expect(b.store.counters.toldBlocks).toBe(3 + 2);
      closeReplicas();
    }
  });

  it('a replica that starts later knows all that is in use, from the moment it is warm', async () => {
    const server = await store();
    const a = new Replica(at(server));
    const prompts = Array.from({ length: 200 }, (_, i) => [...`${i}`].join('-') + 'abc');
    for (const [i, prompt] of prompts.entries()) a.route(prompt, i % 4);
    await until('all is written', () => a.store.counters.toldBlocks > 0 && a.store.counters.sent > 0);
    const b = new Replica(at(server));
    await b.warm();
    for (const [i, prompt] of prompts.entries()) expect(b.found(prompt, i % 4)).toBe(prompt.length);
    expect(b.store.counters.orphaned).toBe(0);
  });

  it('an engine that is found later than its entries is caught up with', async () => {
    const server = await store();
    const a = new Replica(at(server));
    const b = new Replica({ ...at(server), engines: 0 });
    await Promise.all([a.warm(), b.warm()]);
    a.route('abc', 2);
    await until('the entry came', () => b.store.counters.unknown > 0);
    expect(b.found('abc', 0)).toBe(0);
    // Engine e2 is at slot 0 there.
    b.know([2]);
    await b.learns('abc', 0);
  });

  it('a restart that one replica sees voids what all know, and a late view does not bring it back', async () => {
    const server = await store();
    const starts = { a: 100, b: 100 };
    const a = new Replica({ ...at(server), startedAt: () => starts.a });
    const b = new Replica({ ...at(server), startedAt: () => starts.b });
    await Promise.all([a.warm(), b.warm()]);
    a.route('abc', 0);
    await b.learns('abc', 0);
    starts.a = 200;
    a.store.forget(0);
    a.route('xy', 0);
    await b.learns('xy', 0);
    expect([b.found('abc', 0), a.found('abc', 0)]).toEqual([0, 0]);
    // B sees the restart itself: what it has learnt of the new process stays.
    starts.b = 200;
    b.store.forget(0);
    expect(b.found('xy', 0)).toBe(2);
    const c = new Replica(at(server));
    await c.warm();
    expect([c.found('abc', 0), c.found('xy', 0)]).toEqual([0, 2]);
  });

  it('an engine that tells no start time is forgotten by all when one sees it restart', async () => {
    const server = await store();
    const [a, b] = [new Replica(at(server)), new Replica(at(server))];
    await Promise.all([a.warm(), b.warm()]);
    a.route('abc', 0);
    await b.learns('abc', 0);
    a.store.forget(0);
    await until('B forgets', () => b.found('abc', 0) === 0);
    a.route('ab', 0);
    await b.learns('ab', 0);
  });

  it('keeps neither prompts nor their hashes: what lies in the store differs each time and opens with the key only', async () => {
    const server = await store();
    const a = new Replica(at(server));
    await a.warm();
    const stranger = new Replica({ ...at(server), key: Buffer.alloc(32, 'another key') });
    await stranger.warm();
    a.route('secret', 0);
    await until('it is written', () => a.store.counters.sent > 0);
    await until('the stranger saw it', () => stranger.store.counters.foreign > 0);
    expect(stranger.found('secret', 0)).toBe(0);
    const connection = await raw(server);
    const text = JSON.stringify(await connection.call(['XRANGE', stream, '-', '+'], 1000), (_key, value) =>
      value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
    );
    connection.close();
    for (const hidden of ['s'.repeat(8), 'e0', '10.0.0.0']) expect(text).not.toContain(hidden);
    expect(text.length).toBeGreaterThan(blockBytes);
  });

  it('the stream stays within its bounds, whoever writes to it', async () => {
    const server = await store();
    const a = new Replica(at(server));
    await a.warm();
    const connection = await raw(server);
    const rubbish = Buffer.alloc(100_000, 7);
    for (let i = 0; i < 450; i++) await connection.call(['XADD', stream, '*', 'b', rubbish], 5000);
    const used = async (): Promise<number> =>
      Number(await connection.call(['MEMORY', 'USAGE', stream, 'SAMPLES', '0'], 5000));
    await until('the oldest went', async () => (await used()) < 34 * 1024 * 1024);
    expect(await used()).toBeGreaterThan(25 * 1024 * 1024);
    connection.close();
    expect(a.store.state.connected).toBe(true);
    await until('every entry has been looked at', () => a.store.counters.foreign === 450);
  }, 60_000);
});

describe('the store goes away', () => {
  it('killed: local state rules, and what was routed meanwhile is shared when it is back, empty', async () => {
    const server = await store();
    const [a, b] = [new Replica(at(server)), new Replica(at(server))];
    await Promise.all([a.warm(), b.warm()]);
    a.route('abc', 0);
    await b.learns('abc', 0);
    await server.kill();
    await Promise.all([a.parted('Unreachable'), b.parted('Unreachable')]);
    a.route('pqr', 1);
    expect([a.found('pqr', 1), b.found('abc', 0)]).toEqual([3, 3]);
    await server.up();
    await Promise.all([a.connected(), b.connected()]);
    await b.learns('pqr', 1);
    // What is in use is told again, though others know it: a fresh replica does not.
    a.route('abc', 0);
    const c = new Replica(at(server));
    await c.learns('abc', 0);
    await c.learns('pqr', 1);
  });

  it('away from the start: serves on, and joins when it comes', async () => {
    const server = await store();
    await server.kill();
    const a = new Replica(at(server));
    await a.parted('Unreachable');
    a.route('abc', 0);
    expect(a.found('abc', 0)).toBe(3);
    await server.up();
    const b = new Replica(at(server));
    await b.learns('abc', 0);
  });

  it('hangs: said within seconds, nothing waits, shared again when it goes on', async () => {
    const server = await store();
    const [a, b] = [new Replica(at(server)), new Replica(at(server))];
    await Promise.all([a.warm(), b.warm()]);
    server.freeze();
    a.route('abc', 0);
    expect(a.found('abc', 0)).toBe(3);
    await a.parted('TimedOut');
    server.thaw();
    await Promise.all([a.connected(), b.learns('abc', 0)]);
  }, 60_000);

  it('hangs before it greets', async () => {
    const server = await store();
    server.freeze();
    const a = new Replica(at(server));
    await a.parted('TimedOut');
    server.thaw();
    await a.connected();
  }, 60_000);

  it('a long absence drops the oldest, counts them, and memory stays bounded', async () => {
    const server = await store();
    const a = new Replica(at(server));
    await a.connected();
    await server.kill();
    await a.parted('Unreachable');
    // 100 blocks each: 4 MiB of keys are 26 rounds.
    for (let round = 0; a.store.counters.dropped === 0; round++) {
      for (let i = 0; i < 200; i++) a.route(distinct(round * 200 + i), i % 4);
      await sleep(60);
      expect(round).toBeLessThan(100);
    }
    await server.up();
    await a.connected();
    const last = distinct(0);
    a.route(last, 0);
    const b = new Replica(at(server));
    await b.learns(last, 0);
  }, 60_000);

  it.each([
    ['a password is missing', ['--requirepass', 'right'], {}, 'Refused'],
    ['the password is wrong', ['--requirepass', 'right'], { password: 'wrong' }, 'Refused'],
    ['it is a read-only replica', ['--replicaof', '127.0.0.1', '1'], {}, 'Failing'],
    ['it is out of memory', ['--maxmemory', '100kb', '--maxmemory-policy', 'noeviction'], {}, 'Failing'],
  ])('%s: the reason is told', async (_sentence, flags, login, reason) => {
    const server = await store(...flags);
    const a = new Replica({ target: { port: server.port, ...login } });
    await until('the reason', () => a.states.some((state) => state.reason === reason));
    expect(a.store.state.connected).toBe(false);
    expect(JSON.stringify(a.states)).not.toContain('wrong"');
    a.route('abc', 0);
    expect(a.found('abc', 0)).toBe(3);
  });

  it('users, passwords, databases and TLS', async () => {
    const server = await store('--requirepass', 'right');
    const connection = await raw(server, { password: 'right' });
    await connection.call(['ACL', 'SETUSER', 'router', 'on', '>theirs', '~hermes:*', '-@all', '+@stream', '+pexpire', '+ping', '+select', '+auth'], 1000); // prettier-ignore
    connection.close();
    const pair = selfSigned('store.test');
    const front = await tlsInFront(server.port, pair);
    const login = { username: 'router', password: 'theirs', database: 3 };
    const trusted = { ca: pair.cert, serverName: 'store.test' };
    const a = new Replica({ target: { port: server.port, ...login } });
    const b = new Replica({ target: { port: front.port, ...login, tls: trusted } });
    a.route('abc', 0);
    await b.learns('abc', 0);
    const elsewhere = new Replica({ target: { port: server.port, ...login, database: 4 } });
    const untrusting = new Replica({ target: { port: front.port, ...login, tls: {} } });
    const misnamed = new Replica({
      target: { port: front.port, ...login, tls: { ca: pair.cert, serverName: 'other.test' } },
    });
    await Promise.all([elsewhere.warm(), untrusting.parted('Unreachable'), misnamed.parted('Unreachable')]);
    expect(elsewhere.found('abc', 0)).toBe(0);
    expect([untrusting.store.state.message, misnamed.store.state.message].join('\n')).toMatch(
      /self-signed[^]*other\.test/,
    );
    front.close();
  });

  it.each([
    ['a web server', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
    ['noise', Buffer.from([0, 255, 10, 13, 7, 36, 42, 10])],
    ['answers to nothing', '+PONG\r\n'.repeat(20)],
    ['a string without an end', '$2000000000\r\n'],
    ['arrays in arrays', '*1\r\n'.repeat(100_000)],
    ['other answers than were asked for', ':1\r\n'],
  ])('rubbish from the other side: %s', async (_sentence, bytes) => {
    const [server, port] = await rubbishServer(bytes);
    const a = new Replica({ target: { port } });
    await a.parted('Misbehaving');
    a.route('abc', 0);
    expect(a.found('abc', 0)).toBe(3);
    a.close();
    server.close();
  });
});

/** A prompt of 100 blocks, of which another number shares its first digits at most. */
function distinct(n: number): string {
  return `${n}.`.padEnd(100, 'x');
}

async function rubbishServer(bytes: string | Buffer): Promise<[Server, number]> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).on('data', () => socket.write(bytes)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('listens on no port');
  return [server, address.port];
}
