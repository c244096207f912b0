import fc from 'fast-check';
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RoutingError } from '../router/errors.ts';
import { BodyBudget } from '../openai/body-budget.ts';
import { readBody } from './body-reader.ts';
import { until } from './door.fixture.ts';
import type { ClientRequest as Received } from './http/connection.ts';
import { RequestHead } from './http/request-head.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { addressOf, createProxyServer, type ProxyServer } from './server.ts';

interface Called {
  readonly error: RoutingError | null;
  readonly body: string;
}

let server: ProxyServer;
let budget: BodyBudget;
let called: Called[];
/** Bytes that have come in, by the socket's own count. */
let arrived: number;

beforeEach(async () => {
  called = [];
  arrived = 0;
  budget = new BodyBudget({ maxBody: 100, maxBuffered: 250 });
  // Nobody answers: what comes after a refusal still arrives.
  server = createProxyServer({ maxConnections: 0, clock: new ManualClock() }, (request) => {
    readBody(budget, counted(request), (error, body) => called.push({ error, body: body.toString() }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

/** The same request, whose bytes are counted on their way. */
function counted(request: Received): Received {
  return {
    head: request.head,
    receive(sink) {
      request.receive({
        onBody(bytes, start, end) {
          sink.onBody(bytes, start, end);
          arrived += end - start;
        },
        onEnd: () => sink.onEnd(),
        onAbort: () => sink.onAbort(),
      });
    },
  };
}

afterEach(() => {
  server.close().closeAllConnections();
});

/** A request whose body is sent piece by piece; `null` leaves the length unsaid. */
function post(length: number | null): ClientRequest {
  const [host, port] = addressOf(server).split(':');
  const headers = length === null ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(length) };
  const request = httpRequest({ host, port, method: 'POST', headers, agent: false });
  request.on('error', () => undefined);
  request.flushHeaders();
  return request;
}

async function sent(request: ClientRequest, text: string): Promise<void> {
  const before = arrived;
  request.write(text);
  await until(() => arrived === before + text.length);
}

describe('readBody', () => {
  it('hands over a body in one piece, and counts it until it is released', async () => {
    post(5).end('hello');
    await until(() => called.length === 1);
    expect(called).toEqual([{ error: null, body: 'hello' }]);
    expect(budget.held).toBe(5);
    budget.release(5);
    expect(budget.held).toBe(0);
  });

  it('puts the pieces of a body together', async () => {
    const request = post(null);
    for (const piece of ['a', 'bc', 'def']) await sent(request, piece);
    expect(budget.held).toBe(6);
    expect(called).toEqual([]);
    request.end();
    await until(() => called.length === 1);
    expect(called[0].body).toBe('abcdef');
  });

  it('hands over an empty body', async () => {
    post(0).end();
    await until(() => called.length === 1);
    expect(called).toEqual([{ error: null, body: '' }]);
  });

  it.each([
    ['takes a body of just the limit', 100, null],
    ['refuses one byte more', 101, 'request_too_large'],
  ])('%s', async (_name, length, code) => {
    post(length).end('x'.repeat(length));
    await until(() => called.length === 1);
    expect(called[0].error?.code ?? null).toBe(code);
    expect(budget.held).toBe(code === null ? length : 0);
  });

  it('refuses what is announced too large before it has come', async () => {
    post(1_000_000);
    await until(() => called.length === 1);
    expect(called[0].error?.code).toBe('request_too_large');
    expect(arrived).toBe(0);
  });

  it('refuses what grows too large, once, and holds nothing of it', async () => {
    const request = post(null);
    await sent(request, 'x'.repeat(60));
    expect(budget.held).toBe(60);
    await sent(request, 'x'.repeat(60));
    await until(() => called.length === 1);
    expect(called[0].error?.code).toBe('request_too_large');
    expect(budget.held).toBe(0);
    request.end('more');
    await until(() => arrived === 124);
    expect(called).toHaveLength(1);
    expect(budget.held).toBe(0);
  });

  it('refuses a body for which there is no room, and takes the next once there is', async () => {
    for (let i = 0; i < 2; i++) post(100).end('x'.repeat(100));
    await until(() => called.length === 2);
    post(100).end('x'.repeat(100));
    await until(() => called.length === 3);
    expect(called[2].error).toMatchObject({ code: 'overloaded', source: 'router', retryable: true });
    expect(budget.held).toBe(200);
    budget.release(100);
    post(100).end('x'.repeat(100));
    await until(() => called.length === 4);
    expect(called[3].error).toBeNull();
  });

  it('gives back what it holds of a client that leaves, and calls nobody', async () => {
    const request = post(100);
    await sent(request, 'x'.repeat(40));
    expect(budget.held).toBe(40);
    request.destroy();
    await until(() => budget.held === 0);
    expect(called).toEqual([]);
  });

  it('puts any pieces of any size together, announced or not, from a buffer that is used again', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 70_000 }), { maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.boolean(), (pieces, announced) => {
        const roomy = new BodyBudget({ maxBody: 1_000_000, maxBuffered: 1_000_000 });
        const head = new RequestHead();
        const whole = Buffer.concat(pieces.map((size, i) => Buffer.alloc(size, i + 1)));
        if (announced) head.contentLength = whole.length;
        let got: Buffer | null = null;
        const request: Received = {
          head,
          receive(sink) {
            const read = Buffer.alloc(70_010);
            for (const [i, size] of pieces.entries()) {
              read.fill(i + 1, 10, 10 + size);
              sink.onBody(read, 10, 10 + size);
              read.fill(0xff);
            }
            expect(roomy.held).toBe(whole.length);
            sink.onEnd();
          },
        };
        readBody(roomy, request, (error, body) => {
          expect(error).toBeNull();
          got = body;
        });
        expect(whole.equals(got ?? Buffer.from('none'))).toBe(true);
      }),
    );
  });
});
