import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { ApiServer, until } from './api-server.fixture.ts';
import { KubeUnreachable, type WatchEvent, type WatchHandler } from './contract.ts';
import { HttpKubeClient } from './http-client.ts';

const pods = '/api/v1/namespaces/a/pods';
const watchPath = `${pods}?watch=true&resourceVersion=100&timeoutSeconds=300`;
const anything = () => true;

let server: ApiServer;
let clock: ManualClock;
let client: HttpKubeClient;

beforeEach(async () => {
  server = await ApiServer.start();
  clock = new ManualClock();
  client = new HttpKubeClient({ connection: server.connection, clock, version: '1.2.3' });
});

afterEach(async () => {
  client.close();
  await server.close();
});

describe('a call', () => {
  it('says who it is and brings the answer, whatever its status', async () => {
    expect(await client.send({ method: 'GET', path: pods })).toMatchObject({ status: 200, body: { items: [] } });
    expect(server.seen[0]?.headers).toMatchObject({
      authorization: 'Bearer t',
      'user-agent': 'hermes-router/1.2.3',
      accept: 'application/json',
    });
    server.once(anything, { status: 404, body: { message: 'gone' } });
    expect(await client.send({ method: 'GET', path: pods })).toEqual({ status: 404, body: { message: 'gone' } });
    expect(clock.pending).toBe(0);
  });

  it('sends a body with its type', async () => {
    const body = { metadata: { name: 'ö' } };
    await client.send({ method: 'POST', path: pods, body, contentType: 'application/apply-patch+yaml' });
    expect(server.seen[0]?.body).toEqual(body);
    expect(server.seen[0]?.headers['content-type']).toBe('application/apply-patch+yaml');
  });

  it('tells how long the server wants to be left alone', async () => {
    server.once(anything, { status: 429, headers: { 'retry-after': '7' } });
    expect(await client.send({ method: 'GET', path: pods })).toMatchObject({ status: 429, retryAfter: 7000 });
  });

  it('follows no redirect', async () => {
    server.once(anything, { status: 307, headers: { location: '/elsewhere' } });
    expect((await client.send({ method: 'GET', path: pods })).status).toBe(307);
    expect(server.seen).toHaveLength(1);
  });

  it('puts the path of the server address before its own', async () => {
    const { connection } = server;
    const behind = { ...connection, server: new URL(`${connection.server.href}clusters/c1/`) };
    const proxied = new HttpKubeClient({ connection: behind, clock, version: '1' });
    await proxied.send({ method: 'GET', path: '/api/v1/pods' });
    proxied.close();
    expect(server.seen[0]?.path).toBe('/clusters/c1/api/v1/pods');
  });

  it.each([
    ['hangs', 'hang' as const, 15_000, undefined],
    ['hangs and the caller waits a shorter time', 'hang' as const, 700, 700],
  ])('gives up when the server %s', async (_name, reply, time, timeout) => {
    server.once(anything, reply);
    const call = client.send({ method: 'GET', path: pods, ...(timeout !== undefined && { timeout }) });
    const rejected = expect(call).rejects.toThrow(`no answer in ${time} ms`);
    await until(() => server.seen.length === 1);
    clock.advance(time - 1);
    expect(client.requests.size).toBe(0);
    clock.advance(1);
    await rejected;
    await expect(call).rejects.toBeInstanceOf(KubeUnreachable);
    expect(client.requests.get('GET none')?.count).toBe(1);
  });

  it('gives up when the body stops half-way', async () => {
    server.once(anything, { status: 200, headers: { 'content-length': '100' }, body: '{"a":' });
    const rejected = expect(client.send({ method: 'GET', path: pods })).rejects.toBeInstanceOf(KubeUnreachable);
    await until(() => server.seen.length === 1);
    // Ends whether the server notices its own fault or the deadline does.
    clock.advance(15_000);
    await rejected;
  });

  it('rejects a broken connection, and an answer that is no JSON', async () => {
    server.once(anything, 'cut');
    await expect(client.send({ method: 'GET', path: pods })).rejects.toBeInstanceOf(KubeUnreachable);
    server.once(anything, { status: 200, body: '<html>' });
    await expect(client.send({ method: 'GET', path: pods })).rejects.toThrow('no JSON');
  });

  it('passes on the text of a refusal by something in between', async () => {
    server.once(anything, { status: 502, body: '<html>' });
    expect(await client.send({ method: 'GET', path: pods })).toEqual({ status: 502, body: '<html>' });
  });

  it('rejects when nobody listens', async () => {
    await server.close();
    await expect(client.send({ method: 'GET', path: pods })).rejects.toThrow('ECONNREFUSED');
    server = await ApiServer.start();
  });

  it('counts by verb and status, and asks for a newer identity after a 401', async () => {
    const refused = vi.fn();
    const { connection } = server;
    const credentials = { current: () => Promise.resolve({ authorization: 'Bearer old' }), refused };
    const other = new HttpKubeClient({ connection: { ...connection, credentials }, clock, version: '1' });
    server.once(anything, { status: 401 });
    await other.send({ method: 'GET', path: pods });
    expect(refused).toHaveBeenCalledOnce();
    await other.send({ method: 'GET', path: pods });
    await other.send({ method: 'GET', path: pods });
    expect([...other.requests.values()]).toEqual([
      { verb: 'GET', status: '401', count: 1 },
      { verb: 'GET', status: '200', count: 2 },
    ]);
    other.close();
  });

  it('does not wait for credentials longer than for an answer', async () => {
    const credentials = { current: () => new Promise<never>(() => undefined), refused: () => undefined };
    const other = new HttpKubeClient({ connection: { ...server.connection, credentials }, clock, version: '1' });
    const rejected = expect(other.send({ method: 'GET', path: pods })).rejects.toThrow('no answer in 15000 ms');
    clock.advance(15_000);
    await rejected;
  });

  it('rejects what is under way when it is closed', async () => {
    server.once(anything, 'hang');
    const rejected = expect(client.send({ method: 'GET', path: pods })).rejects.toBeInstanceOf(KubeUnreachable);
    await until(() => server.seen.length === 1);
    client.close();
    await rejected;
    expect(clock.pending).toBe(0);
  });
});

class Recorded implements WatchHandler {
  opened = 0;
  readonly events: WatchEvent[] = [];
  readonly ends: { status: number | null; error: Error | null; retryAfter: number | undefined }[] = [];
  open(): void {
    this.opened += 1;
  }
  event(event: WatchEvent): void {
    this.events.push(event);
  }
  end(status: number | null, error: Error | null, retryAfter?: number): void {
    this.ends.push({ status, error, retryAfter });
  }
}

describe('a watch', () => {
  let told: Recorded;
  let stop: () => void;

  async function open(path = watchPath): Promise<void> {
    told = new Recorded();
    stop = client.watch(path, told);
    await until(() => told.opened === 1);
  }

  it('tells events in their order, however the bytes are cut, and its normal end', async () => {
    await open();
    const [{ response }] = [...server.watches];
    const bytes = Buffer.from(`{"type":"ADDED","object":{"n":"ö"}}\n\n{"type":"DELETED","object":{"n":2}}\n`);
    for (const byte of bytes) {
      response.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    server.endWatches();
    await until(() => told.ends.length === 1);
    expect(told.events).toEqual([
      { type: 'ADDED', object: { n: 'ö' } },
      { type: 'DELETED', object: { n: 2 } },
    ]);
    expect(told.ends).toEqual([{ status: null, error: null, retryAfter: undefined }]);
    expect(clock.pending).toBe(0);
    expect(client.requests.get('WATCH 200')?.count).toBe(1);
  });

  it('tells a refusal with its status and its wish to be left alone', async () => {
    server.once(anything, { status: 503, headers: { 'retry-after': '3' }, body: { message: 'busy' } });
    told = new Recorded();
    client.watch(watchPath, told);
    await until(() => told.ends.length === 1);
    expect(told.ends[0]).toMatchObject({ status: 503, retryAfter: 3000 });
    expect(told.ends[0]?.error?.message).toContain('busy');
    expect(told.opened).toBe(0);
  });

  it.each<[string, () => void, string]>([
    ['breaks off', () => server.cutWatches(), 'aborted'],
    ['brings a line that is no JSON', () => server.line('nonsense'), 'JSON'],
    ['brings a line that is no event', () => server.line({ type: 'NEWS' }), 'no event'],
    ['brings a line without an end', () => server.line('x'.repeat(9_000_000)), 'longer than 8388608 bytes'],
  ])('ends once with an error when it %s', async (_name, happens, words) => {
    await open();
    happens();
    await until(() => told.ends.length > 0);
    await until(() => server.watches.size === 0);
    expect(told.ends).toHaveLength(1);
    expect(told.ends[0]?.status).toBeNull();
    expect(told.ends[0]?.error?.message).toContain(words);
  });

  it('counts as hung when nothing comes for longer than bookmarks take', async () => {
    await open();
    clock.advance(100_000);
    server.bookmark();
    await until(() => told.events.length === 1);
    clock.advance(149_999);
    expect(told.ends).toEqual([]);
    clock.advance(1);
    expect(told.ends).toHaveLength(1);
    expect(told.ends[0]?.error).toBeInstanceOf(KubeUnreachable);
    await until(() => server.watches.size === 0);
    expect(clock.pending).toBe(0);
  });

  it('counts as hung when it outlives its time, even if something comes', async () => {
    await open();
    for (let sent = 1; sent <= 3; sent += 1) {
      clock.advance(100_000);
      server.bookmark();
      await until(() => told.events.length === sent);
    }
    clock.advance(14_999);
    expect(told.ends).toEqual([]);
    clock.advance(1);
    expect(told.ends).toHaveLength(1);
  });

  it('counts as unanswered when the server neither takes nor refuses it', async () => {
    server.once(anything, 'hang');
    told = new Recorded();
    client.watch(watchPath, told);
    await until(() => server.seen.length === 1);
    clock.advance(15_000);
    expect(told.ends).toHaveLength(1);
    expect(told.ends[0]?.error?.message).toContain('did not take a watch');
    expect(client.requests.get('WATCH none')?.count).toBe(1);
  });

  it('is closed without a further word, even in the middle of a piece', async () => {
    await open();
    told.event = (event) => {
      told.events.push(event);
      stop();
    };
    server.line('{"type":"ADDED","object":1}\n{"type":"ADDED","object":2}');
    await until(() => server.watches.size === 0);
    expect(told.events).toHaveLength(1);
    expect(told.ends).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['before the request is out', 0],
    ['before the answer', 1],
  ])('is closed %s without a word', async (_name, requests) => {
    server.once(({ query }) => query.has('watch'), 'hang');
    told = new Recorded();
    stop = client.watch(watchPath, told);
    await until(() => server.seen.length >= requests);
    stop();
    // A later call shows that whatever the closed watch still does has been done.
    await client.send({ method: 'GET', path: pods });
    expect(told).toMatchObject({ opened: 0, events: [], ends: [] });
    expect(clock.pending).toBe(0);
  });

  it('ends without a word when the client is closed', async () => {
    await open();
    client.close();
    await until(() => server.watches.size === 0);
    expect(told.ends).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
