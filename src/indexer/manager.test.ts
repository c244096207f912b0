import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { candidatesOf, endpoints, request } from '../../test/fixtures/fleet.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { nothingForeknown, type LookupQuery, type ManagerLookup } from '../router/foreknowledge.ts';
import { createManagerLookup, ManagerSource, type ManagerFailure } from './manager.ts';

const query: LookupQuery = {
  model: 'm',
  path: '/v1/completions',
  body: { prompt: 'hi' },
  candidates: ['10.0.0.0:8000'],
};
const good = JSON.stringify({ matches: [{ address: '10.0.0.0:8000', hit_rate: 0.5 }] });

interface Manager {
  readonly lookup: ManagerLookup;
  readonly failures: ManagerFailure[];
  readonly clock: ManualClock;
  /** Requests that have reached the server. */
  readonly seen: { method: string; url: string; body: unknown }[];
  /** Resolves when the server has been asked so often. */
  readonly asked: (times: number) => Promise<void>;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  token = null;
  for (const close of closing.splice(0)) await close();
});

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** What lookups send. */
let token: string | null = null;

function lookupAt(port: number, maxInFlight?: number): Omit<Manager, 'seen' | 'asked'> {
  const failures: ManagerFailure[] = [];
  const clock = new ManualClock();
  const { lookup, close } = createManagerLookup({
    url: new URL(`http://127.0.0.1:${port}/match_sort?v=1`),
    timeout: 100,
    token: () => token,
    random: () => 0,
    clock,
    onFailure: (reason) => failures.push(reason),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
  });
  closing.unshift(close);
  return { lookup, failures, clock };
}

/** A KV manager that answers as told. */
async function manager(answer: RequestListener, maxInFlight?: number): Promise<Manager> {
  const seen: Manager['seen'] = [];
  const waiters: { times: number; resolve: () => void }[] = [];
  const server = createServer((req, res) => {
    let text = '';
    req.on('data', (part: Buffer) => (text += part.toString()));
    req.on('end', () => {
      seen.push({ method: req.method ?? '', url: req.url ?? '', body: JSON.parse(text) });
      answer(req, res);
      for (const { times, resolve } of waiters) if (seen.length >= times) resolve();
    });
  });
  const port = await listening(server);
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const asked = (times: number): Promise<void> =>
    seen.length >= times ? Promise.resolve() : new Promise((resolve) => waiters.push({ times, resolve }));
  return { ...lookupAt(port, maxInFlight), seen, asked };
}

const hang: RequestListener = () => undefined;
const say =
  (status: number, text: string, headers: Record<string, string> = {}): RequestListener =>
  (_req, res) => {
    res.writeHead(status, headers).end(text);
  };

describe('createManagerLookup', () => {
  it('posts the prompt and the candidates, and returns the hit rates by address', async () => {
    const { lookup, seen, failures, clock } = await manager(say(200, good));
    expect(await lookup(query)).toEqual(new Map([['10.0.0.0:8000', 0.5]]));
    expect(seen).toEqual([
      { method: 'POST', url: '/match_sort?v=1', body: { model: 'm', prompt: 'hi', candidates: ['10.0.0.0:8000'] } },
    ]);
    expect(failures).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('sends the token of the moment, and none where there is none', async () => {
    const sent: (string | undefined)[] = [];
    const { lookup } = await manager((req, res) => {
      sent.push(req.headers.authorization);
      res.end(good);
    });
    for (const now of [null, 'first', 'second']) {
      token = now;
      await lookup(query);
    }
    expect(sent).toEqual([undefined, 'Bearer first', 'Bearer second']);
  });

  it('asks nothing for a request without a prompt', async () => {
    const { lookup, seen, failures } = await manager(say(200, good));
    expect(await lookup({ ...query, body: {} })).toBeNull();
    expect(seen).toEqual([]);
    expect(failures).toEqual([]);
  });

  const answers: { sentence: string; answer: RequestListener; failures: ManagerFailure[]; hits?: number }[] = [
    { sentence: 'a server error is a failure', answer: say(500, good), failures: ['status'] },
    { sentence: 'an unknown model is a failure', answer: say(404, good), failures: ['status'] },
    { sentence: 'a redirect is not followed', answer: say(307, '', { location: '/elsewhere' }), failures: ['status'] },
    { sentence: 'garbage is a failure', answer: say(200, '<html>'), failures: ['answer_invalid'] },
    { sentence: 'an answer without matches is a failure', answer: say(200, '{}'), failures: ['answer_invalid'] },
    {
      sentence: 'an answer over 1 MiB is a failure',
      answer: say(200, `{"matches":[],"x":"${'x'.repeat(1024 * 1024)}"}`),
      failures: ['answer_too_large'],
    },
    {
      sentence: 'an answer cut off in the middle is a failure',
      answer: (_req, res) => {
        res.writeHead(200, { 'content-length': '100' }).write('{"matches":');
        setImmediate(() => res.destroy());
      },
      failures: ['unreachable'],
    },
    {
      sentence: 'bad rows are counted, the others used',
      answer: say(200, '{"matches":[{"address":"x"},{"address":"y","hit_rate":1}]}'),
      failures: ['rows_ignored'],
      hits: 1,
    },
  ];
  it.each(answers)('$sentence', async ({ answer, failures: expected, hits = 0 }) => {
    const { lookup, failures, seen, clock } = await manager(answer);
    expect((await lookup(query))?.size).toBe(hits);
    expect(failures).toEqual(expected);
    expect(seen.length).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('gives up on a manager that hangs when the time is over', async () => {
    const { lookup, failures, clock, asked } = await manager(hang);
    const answer = lookup(query);
    await asked(1);
    clock.advance(100);
    expect((await answer)?.size).toBe(0);
    expect(failures).toEqual(['timeout']);
  });

  it('gives up on an answer that does not end', async () => {
    const { lookup, failures, clock, asked } = await manager((_req, res) => {
      res.writeHead(200).write('{"matches":[');
    });
    const answer = lookup(query);
    await asked(1);
    clock.advance(100);
    expect((await answer)?.size).toBe(0);
    expect(failures).toEqual(['timeout']);
  });

  it('gives up on a manager that accepts and says nothing', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => sockets.push(socket));
    const port = await listening(server);
    const { lookup, failures, clock } = lookupAt(port);
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    const answer = lookup(query);
    clock.advance(100);
    expect((await answer)?.size).toBe(0);
    expect(failures).toEqual(['timeout']);
  });

  it('goes without a manager that refuses connections, and asks it no more after five', async () => {
    const server = createTcpServer();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    const { lookup, failures } = lookupAt(port);
    for (let i = 0; i < 5; i++) expect((await lookup(query))?.size).toBe(0);
    expect(await lookup(query)).toBeNull();
    expect(failures).toEqual([...Array<ManagerFailure>(5).fill('unreachable'), 'breaker_open']);
  });

  it('lets no more than so many requests wait for a manager that hangs, each for one time-out', async () => {
    const { lookup, failures, clock, asked } = await manager(hang, 8);
    const waiting = Array.from({ length: 8 }, () => lookup(query));
    await asked(8);
    expect(await lookup(query)).toBeNull();
    expect(failures).toEqual(['too_many']);
    clock.advance(100);
    expect((await Promise.all(waiting)).map((hits) => hits?.size)).toEqual(Array(8).fill(0));
    // From here on nobody waits at all.
    expect(await lookup(query)).toBeNull();
    expect(failures.at(-1)).toBe('breaker_open');
    // Five seconds later one tries, the others still do not wait.
    clock.advance(5000);
    const trial = lookup(query);
    expect(await lookup(query)).toBeNull();
    await asked(9);
    clock.advance(100);
    await trial;
    expect(failures.filter((reason) => reason === 'timeout')).toHaveLength(9);
  });

  it('asks again after the pause when the manager has come back', async () => {
    let status = 503;
    const { lookup, clock } = await manager((req, res) => say(status, good)(req, res));
    for (let i = 0; i < 5; i++) await lookup(query);
    expect(await lookup(query)).toBeNull();
    status = 200;
    clock.advance(5000);
    expect((await lookup(query))?.size).toBe(1);
    expect((await lookup(query))?.size).toBe(1);
  });

  it('keeps asking a manager that refuses single requests: a client must not shut it off for all', async () => {
    const { lookup, seen } = await manager(say(413, ''));
    for (let i = 0; i < 12; i++) expect((await lookup(query))?.size).toBe(0);
    expect(seen).toHaveLength(12);
  });
});

describe('ManagerSource', () => {
  it('turns hit rates into tokens of the prompt, 0 where the manager said nothing', () => {
    const source = new ManagerSource();
    const candidates = candidatesOf(endpoints(3), 200, [7, 7, 7]);
    source.match(
      request({ known: { ...nothingForeknown, managerHits: new Map([['10.0.0.1:8000', 0.5]]) } }),
      candidates,
      candidates.cachedTokens,
    );
    expect([...candidates.cachedTokens.subarray(0, 3)]).toEqual([0, 100, 0]);
    source.match(request(), candidates, candidates.cachedTokens);
    expect([...candidates.cachedTokens.subarray(0, 3)]).toEqual([0, 0, 0]);
  });

  it('keeps nothing of its own', () => {
    const source = new ManagerSource();
    source.routed();
    source.forget();
    const candidates = candidatesOf(endpoints(1), 200);
    source.match(request(), candidates, candidates.cachedTokens);
    expect(candidates.cachedTokens[0]).toBe(0);
  });
});
