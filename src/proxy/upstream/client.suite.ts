import { createHash } from 'node:crypto';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../router/clock.ts';
import { invalidAnswers, validAnswers } from './answers.fixture.ts';
import { staleWindow } from './connection.ts';
import type { UpstreamClient, UpstreamRequest, UpstreamTarget } from './client.ts';
import { type Engine, ManualClock, post, Recorder, startEngine, turns, type Answerer } from './engine.fixture.ts';

const hello = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
const chunkedHead = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const megabyte = 1 << 20;

/** What an implementation is to be made of, and whether it is undici, whose parser is not ours to change. */
export interface Implementation {
  readonly name: string;
  readonly isUndici: boolean;
  readonly make: (clock: Clock) => UpstreamClient;
}

/** The contract of UpstreamClient, which every implementation keeps. */
export function describeClient({ name, isUndici, make }: Implementation): void {
  const clock = new ManualClock();
  let client = make(clock);
  const engines: Engine[] = [];

  async function engineThat(answer: Answerer): Promise<Engine> {
    const engine = await startEngine(answer);
    engines.push(engine);
    return engine;
  }

  function send(target: UpstreamTarget, request: UpstreamRequest = post(), answer = new Recorder()) {
    const exchange = client.dispatch(target, request, answer);
    return { exchange, answer };
  }

  async function fetched(target: UpstreamTarget, request: UpstreamRequest = post()): Promise<Recorder> {
    const { answer } = send(target, request);
    await answer.over;
    expect(answer.misordered).toEqual([]);
    return answer;
  }

  /** Every test ends by closing the client; a connection that outlives it hangs here. */
  afterEach(async () => {
    client.close();
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
    client = make(clock);
  });

  describe(`${name}: answers`, () => {
    const cases = validAnswers.map((answer) => ({ ...answer, odd: isUndici ? answer.undici : undefined }));

    it.each(cases)('reads $name', async ({ bytes, method, status, body, headers, closes, reusable, odd }) => {
      const engine = await engineThat((socket, _request, count) => {
        if (count > 1) socket.write(hello);
        else if (closes === true) socket.end(bytes, 'latin1');
        else socket.write(bytes, 'latin1');
      });
      const answer = await fetched(engine.target, post({ method: method ?? 'POST' }));
      if (odd !== undefined && odd !== 'closed') {
        expect(answer.error?.failure).toBe(odd);
        return;
      }
      expect(answer.error).toBeNull();
      expect(answer.status).toBe(status ?? 200);
      expect(answer.body).toBe(body);
      if (headers !== undefined) {
        expect(answer.headers.flatMap((text, i, all) => (i % 2 === 0 ? [`${text}: ${all[i + 1]}`] : []))).toEqual(
          headers,
        );
      }
      await turns(3);
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(reusable && odd === undefined ? 1 : 2);
    });

    const refused = invalidAnswers.filter(({ undici }) => !isUndici || undici !== 'accepts');

    it.each(refused)('refuses $name and the connection it came on', async ({ bytes, undici }) => {
      const engine = await engineThat((socket, _request, count) => {
        socket.write(count === 1 ? Buffer.from(bytes, 'latin1') : hello);
      });
      const answer = await fetched(engine.target);
      expect(answer.error?.failure).toBe(isUndici && undici !== undefined ? undici : 'invalid');
      await engine.closed(1);
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(2);
    });

    it('reads an answer that comes byte by byte', async () => {
      const bytes = `${chunkedHead}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`;
      const engine = await engineThat((socket) => {
        void (async () => {
          for (const byte of bytes) {
            socket.write(byte);
            await turns(1);
          }
        })();
      });
      expect((await fetched(engine.target)).body).toBe('hello world');
    });

    it('ends every exchange, whatever is changed in an answer', async () => {
      let reply = '';
      const engine = await engineThat((socket) => socket.end(reply, 'latin1'));
      const texts = validAnswers.filter(({ bytes }) => bytes.length < 2_000).map(({ bytes }) => bytes);
      const change = fc.record({ at: fc.nat(600), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 4 }) });
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...texts), change, async (text, { at, remove, insert }) => {
          const start = at % (text.length + 1);
          reply = text.slice(0, start) + Buffer.from(insert).toString('latin1') + text.slice(start + remove);
          const answer = await fetched(engine.target);
          expect(answer.ended).toBe(answer.error === null);
        }),
        { numRuns: 200 },
      );
    });

    it('keeps what it handed on untouched by later reads', async () => {
      const engine = await engineThat((socket, _request, count) => {
        socket.write(hello.replace('hello', String(count).repeat(5)));
      });
      const first = await fetched(engine.target);
      for (let i = 0; i < 20; i++) await fetched(engine.target);
      expect(first.body).toBe('11111');
    });
  });

  describe(`${name}: requests`, () => {
    it('sends the request as it was given', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      const headers = 'X-A: 1\r\nX-B: two words\r\n';
      await fetched(engine.target, post({ path: '/v1/chat/completions?a=b', headers, body: Buffer.from('{"a":"é"}') }));
      const [head, body] = engine.requests[0].split('\r\n\r\n');
      const lines = head.split('\r\n');
      expect(lines[0]).toBe('POST /v1/chat/completions?a=b HTTP/1.1');
      expect(lines).toEqual(expect.arrayContaining(['X-A: 1', 'X-B: two words', 'content-length: 10']));
      expect(lines).toContain(`host: ${engine.target.host}:${engine.target.port}`);
      expect(body).toBe(Buffer.from('{"a":"é"}').toString('latin1'));
    });

    it.each([
      { method: 'POST', body: null, length: '0' },
      { method: 'POST', body: Buffer.alloc(0), length: '0' },
      { method: 'GET', body: Buffer.from('{}'), length: '2' },
      { method: 'GET', body: null, length: undefined },
      { method: 'HEAD', body: null, length: undefined },
    ])('gives the length $length to a $method with the body $body', async ({ method, body, length }) => {
      const engine = await engineThat((socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'));
      await fetched(engine.target, post({ method, body }));
      expect(/content-length: (\d+)/.exec(engine.requests[0])?.[1]).toBe(length);
    });

    it.each([
      { what: 'a line break in the path', request: post({ path: '/a\r\nx: y' }) },
      { what: 'a space in the path', request: post({ path: '/a HTTP/1.1' }) },
      { what: 'a character that loses its high byte to a line feed', request: post({ headers: 'x: \u010ay: z\r\n' }) },
    ])('refuses $what', ({ request }) => {
      const target = { host: '127.0.0.1', port: 9 };
      expect(() => client.dispatch(target, request, new Recorder())).toThrow(TypeError);
    });

    it('carries a large body up and a large answer down unchanged', async () => {
      const body = Buffer.alloc(24 * megabyte, 'abcdefghijklmnopqrstuvwxyz0123456789');
      const server = createHttpServer((request, response) => {
        const hash = createHash('sha256');
        request.on('data', (chunk: Buffer) => hash.update(chunk));
        request.on('end', () => {
          response.setHeader('x-hash', hash.digest('hex'));
          response.end(body);
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const answer = await fetched(targetOf(server.address()), post({ body }));
      const hash = createHash('sha256').update(body).digest('hex');
      expect(answer.header('x-hash')).toBe(hash);
      expect(createHash('sha256').update(Buffer.concat(answer.chunks)).digest('hex')).toBe(hash);
      server.close();
    });

    it('speaks to a real HTTP server, many times at once', async () => {
      const server = createHttpServer((request, response) => {
        response.write(`${request.url}:`);
        request.pipe(response);
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const target = targetOf(server.address());
      for (let round = 0; round < 3; round++) {
        const sent = Array.from({ length: 50 }, (_, i) =>
          fetched(target, post({ path: `/${i}`, body: Buffer.from(`b${i}`) })),
        );
        expect((await Promise.all(sent)).map((answer) => answer.body)).toEqual(sent.map((_, i) => `/${i}:b${i}`));
      }
      server.close();
    });
  });

  describe(`${name}: connections`, () => {
    it('uses one connection for requests that follow one another', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      for (let i = 0; i < 5; i++) await fetched(engine.target);
      expect(engine.connections).toBe(1);
    });

    it('uses a connection each for requests at the same time, and those again later', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count % 4 === 0) for (const one of engine.sockets) one.write(hello);
        else expect(socket.closed).toBe(false);
      });
      for (let round = 0; round < 3; round++) {
        await Promise.all(Array.from({ length: 4 }, () => fetched(engine.target)));
        await turns(3);
      }
      expect(engine.connections).toBe(4);
    });

    it('finds an engine by its name', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      expect((await fetched({ host: 'localhost', port: engine.target.port })).body).toBe('hello');
    });

    it('calls nobody before dispatch has returned', async () => {
      client.close();
      const { answer } = send({ host: '127.0.0.1', port: 9 });
      expect(answer.error).toBeNull();
      await answer.over;
      expect(answer.error?.failure).toBe('connect');
    });

    it.each([
      { how: 'closes', end: 'destroy' },
      { how: 'resets', end: 'resetAndDestroy' },
    ] as const)('sends a request again when the engine $how an idle connection just then', async ({ end }) => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 2) socket[end]();
        else socket.write(hello);
      });
      await fetched(engine.target);
      const answer = await fetched(engine.target);
      expect(answer.error).toBeNull();
      expect(answer.body).toBe('hello');
      expect(engine.requests).toHaveLength(3);
      expect(engine.requests[2]).toBe(engine.requests[1]);
      expect(engine.connections).toBe(2);
    });

    it('sends a request again on a fresh connection, not on another idle one', async () => {
      let answering = true;
      const engine = await engineThat((socket) => {
        if (answering || engine.connections > 3) socket.write(hello);
        else socket.destroy();
      });
      const first = Array.from({ length: 3 }, () => fetched(engine.target));
      await Promise.all(first);
      expect(engine.connections).toBe(3);
      await turns(3);
      answering = false;
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(4);
    });

    it('sends a request a second time, not a third', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) socket.write(hello);
        else socket.destroy();
      });
      await fetched(engine.target);
      const answer = await fetched(engine.target);
      expect(answer.error).toMatchObject({ failure: 'reset', reused: true });
      expect(engine.requests).toHaveLength(3);
    });

    it('calls it a reset when the engine is gone at the second try: the first may have killed it', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) return socket.write(hello);
        engine.stopListening();
        return socket.destroy();
      });
      await fetched(engine.target);
      const answer = await fetched(engine.target);
      expect(answer.error).toMatchObject({ failure: 'reset', reused: true });
    });

    it('does not send again what broke long after it was sent', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) return socket.write(hello);
        clock.advance(staleWindow + 100);
        return socket.destroy();
      });
      await fetched(engine.target);
      const answer = await fetched(engine.target);
      expect(answer.error).toMatchObject({ failure: 'reset', reused: true });
      expect(engine.requests).toHaveLength(2);
    });

    it('does not send again what broke on a fresh connection', async () => {
      const engine = await engineThat((socket) => socket.destroy());
      const answer = await fetched(engine.target);
      expect(answer.error).toMatchObject({ failure: 'reset', reused: false });
      expect(engine.requests).toHaveLength(1);
    });

    it('knows a fresh connection from an earlier one that had carried answers', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) socket.write(hello.replace('content', 'connection: close\r\ncontent'));
        else socket.destroy();
      });
      await fetched(engine.target);
      await engine.closed(1);
      const answer = await fetched(engine.target);
      expect(answer.error).toMatchObject({ failure: 'reset', reused: false });
      expect(engine.requests).toHaveLength(2);
    });

    it('does not send again what broke inside the head', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) socket.write(hello);
        else socket.end('HTTP/1.1 200 OK\r\nconte');
      });
      await fetched(engine.target);
      const answer = await fetched(engine.target);
      expect(answer.error?.failure).toBe('reset');
      expect(engine.requests).toHaveLength(2);
    });

    it('opens a new connection when the engine has closed the idle one', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      await fetched(engine.target);
      engine.sockets[0].destroy();
      await engine.closed(1);
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(2);
      expect(engine.requests).toHaveLength(2);
    });

    it('closes an idle connection on which the engine speaks unasked', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      await fetched(engine.target);
      engine.sockets[0].write(hello.replace('hello', 'harm!'));
      await engine.closed(1);
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(2);
    });

    // Undici takes a request that its socket has buffered for sent.
    it.skipIf(isUndici)('does not use a connection again whose request was answered before it had gone', async () => {
      const sockets: Socket[] = [];
      const server = createTcpServer((socket) => {
        sockets.push(socket);
        socket.on('error', () => undefined);
        socket.once('data', () => socket.pause().write(hello));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const target = targetOf(server.address());
      const answer = await fetched(target, post({ body: Buffer.alloc(64 * megabyte) }));
      expect(answer.body).toBe('hello');
      expect((await fetched(target)).body).toBe('hello');
      expect(sockets).toHaveLength(2);
      server.close();
      for (const socket of sockets) socket.destroy();
    });

    it('closes the idle connections of endpoints that are gone, and keeps the others', async () => {
      const [kept, gone] = [
        await engineThat((socket) => socket.write(hello)),
        await engineThat((socket) => socket.write(hello)),
      ];
      await fetched(kept.target);
      await fetched(gone.target);
      client.retain(new Set([kept.target]));
      await gone.closed(1);
      await fetched(kept.target);
      expect(kept.connections).toBe(1);
    });

    it('lets an exchange end whose endpoint is gone, then closes its connection', async () => {
      let finish = (): void => undefined;
      const engine = await engineThat((socket) => {
        socket.write(hello.slice(0, -2));
        finish = () => socket.write('lo');
      });
      const { answer } = send(engine.target);
      await answer.headCame;
      client.retain(new Set());
      finish();
      await answer.over;
      expect(answer.body).toBe('hello');
      await engine.closed(1);
    });

    it('ends exchanges whose endpoint is gone when it is closed', async () => {
      const engine = await engineThat((socket) => socket.write(hello.slice(0, -2)));
      const { answer } = send(engine.target);
      await answer.headCame;
      client.retain(new Set());
      client.close();
      await answer.over;
      expect(answer.error?.failure).toBe('cut');
      await engine.closed(1);
    });

    it('ends the exchanges under way when it is closed', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 2) socket.write(hello.slice(0, -2));
      });
      const before = send(engine.target).answer;
      await turns(5);
      const inside = send(engine.target).answer;
      await inside.headCame;
      client.close();
      await Promise.all([before.over, inside.over]);
      expect([before.error?.failure, inside.error?.failure]).toEqual(['reset', 'cut']);
      await engine.closed(2);
    });
  });

  describe(`${name}: breaks`, () => {
    it('says connect when nobody listens', async () => {
      const engine = await startEngine(() => undefined);
      await engine.close();
      const answer = await fetched(engine.target);
      expect(answer.error?.failure).toBe('connect');
      expect(answer.error?.message).toContain(`127.0.0.1:${engine.target.port}`);
    });

    it('says what failed for each address of a name', async () => {
      const engine = await startEngine(() => undefined);
      await engine.close();
      const answer = await fetched({ host: 'localhost', port: engine.target.port });
      expect(answer.error?.failure).toBe('connect');
      expect(answer.error?.message).toContain(isUndici ? 'localhost' : 'ECONNREFUSED');
    });

    it.each([0, 70_000])('says connect when there is no such port as %d', async (port) => {
      expect((await fetched({ host: '127.0.0.1', port })).error?.failure).toBe('connect');
    });

    it('says connect_timeout when the connection takes too long', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      const { answer } = send(engine.target, post({ connectTimeout: 1_000 }));
      // The kernel has connected by the next turn, but nobody has looked yet.
      await turns(1);
      clock.advance(1_000);
      await answer.over;
      expect(answer.error?.failure).toBe('connect_timeout');
      await turns(10);
      expect(engine.requests).toEqual([]);
    });

    it('has no limit for the answer, only for the connection', async () => {
      const engine = await engineThat((socket) => {
        clock.advance(60_000);
        socket.write(hello);
      });
      expect((await fetched(engine.target, post({ connectTimeout: 1_000 }))).body).toBe('hello');
      expect((await fetched(engine.target, post({ connectTimeout: 1_000 }))).body).toBe('hello');
    });

    it.each([
      { what: 'a body short of its length', bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello' },
      { what: 'a stream without its last chunk', bytes: `${chunkedHead}5\r\nhello\r\n` },
      { what: 'a stream cut inside a chunk', bytes: `${chunkedHead}9\r\nhello` },
      { what: 'a stream cut inside its trailers', bytes: `${chunkedHead}5\r\nhello\r\n0\r\nx: y\r\n` },
    ])('says cut for $what', async ({ bytes }) => {
      const engine = await engineThat((socket) => socket.end(bytes));
      const answer = await fetched(engine.target);
      expect(answer.body).toBe('hello');
      expect(answer.error?.failure).toBe('cut');
    });

    // Undici takes any end for the end, as macOS may report a proper one so.
    it.skipIf(isUndici)('says cut for a body up to the close that is reset', async () => {
      const engine = await engineThat((socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nhello'));
      const { answer } = send(engine.target);
      answer.onChunk = () => {
        engine.sockets[0].resetAndDestroy();
        return true;
      };
      await answer.over;
      expect(answer.error?.failure).toBe('cut');
    });

    it('goes on after each kind of break', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count % 3 === 0) socket.write(hello);
        else if (count % 3 === 1) socket.destroy();
        else socket.end(hello.slice(0, -2));
      });
      const seen: string[] = [];
      for (let i = 0; i < 9; i++) {
        const answer = await fetched(engine.target);
        seen.push(answer.error?.failure ?? answer.body);
      }
      expect(seen).toContain('hello');
      expect(seen).toContain('cut');
    });
  });

  describe(`${name}: aborts`, () => {
    it('sends nothing when it is aborted at once', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      const { exchange, answer } = send(engine.target);
      exchange.abort();
      await turns(10);
      expect(engine.requests).toEqual([]);
      expect([answer.status, answer.error]).toEqual([0, null]);
    });

    it('closes the connection before the head', async () => {
      const engine = await engineThat(() => exchange.abort());
      const { exchange, answer } = send(engine.target);
      await turns(1);
      await new Promise((resolve) => setImmediate(resolve));
      while (engine.connections === 0) await turns(1);
      await engine.closed(1);
      expect([answer.status, answer.ended, answer.error]).toEqual([0, false, null]);
    });

    it('closes the connection in the middle of a stream', async () => {
      const engine = await engineThat((socket) => socket.write(`${chunkedHead}5\r\nhello\r\n`));
      const { exchange, answer } = send(engine.target);
      answer.onChunk = () => {
        exchange.abort();
        return true;
      };
      await answer.headCame;
      await engine.closed(1);
      expect([answer.body, answer.ended, answer.error]).toEqual(['hello', false, null]);
    });

    it.each([
      { when: 'the head', hook: 'onStatus', body: '' },
      { when: 'the data', hook: 'onChunk', body: 'hello' },
    ] as const)('says no more after an abort in $when of an answer that has come whole', async ({ hook, body }) => {
      const engine = await engineThat((socket) => socket.write(hello));
      const { exchange, answer } = send(engine.target);
      answer[hook] = () => {
        exchange.abort();
        return true;
      };
      await answer.headCame;
      await engine.closed(1);
      expect([answer.body, answer.ended, answer.error]).toEqual([body, false, null]);
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(2);
    });

    it('leaves the connection alone when it is aborted or resumed after the end', async () => {
      const engine = await engineThat((socket) => socket.write(hello));
      const { exchange, answer } = send(engine.target);
      await answer.over;
      const next = send(engine.target);
      exchange.abort();
      exchange.resume();
      await next.answer.over;
      expect(next.answer.body).toBe('hello');
      expect(engine.connections).toBe(1);
    });

    it('does not resume the pause of the exchange that follows', async () => {
      const engine = await engineThat((socket, _request, count) => {
        socket.write(count === 1 ? hello : `${chunkedHead}5\r\nhello\r\n`);
      });
      const first = send(engine.target);
      await first.answer.over;
      const next = send(engine.target);
      next.answer.onChunk = () => {
        first.exchange.resume();
        setImmediate(() => first.exchange.resume());
        return false;
      };
      await next.answer.headCame;
      engine.sockets[0].write('5\r\nworld\r\n');
      await turns(20);
      expect(next.answer.body).toBe('hello');
      expect(engine.connections).toBe(1);
    });

    it.each(['onStatus', 'onChunk'] as const)('ends an exchange whose reader throws in %s', async (hook) => {
      const engine = await engineThat((socket) => socket.write(hello));
      const bug = new Error('a bug of the reader');
      const { answer } = send(engine.target);
      answer[hook] = () => {
        throw bug;
      };
      await answer.over;
      expect(answer.error).toMatchObject({ failure: 'cut', cause: bug });
      await engine.closed(1);
      expect((await fetched(engine.target)).body).toBe('hello');
    });
  });

  describe(`${name}: backpressure`, () => {
    it('stops reading while it is paused, and loses nothing', async () => {
      const total = 32 * megabyte;
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`;
      const engine = await engineThat((socket) => {
        socket.write(head);
        socket.write(Buffer.alloc(total));
      });
      const { exchange, answer } = send(engine.target);
      let paused = true;
      answer.onChunk = () => !paused;
      await answer.headCame;
      await turns(500);
      expect(answer.size).toBeLessThan(megabyte);
      expect(engine.sockets[0].writableLength).toBeGreaterThan(0);
      expect(answer.ended).toBe(false);
      paused = false;
      exchange.resume();
      await answer.over;
      expect(answer.size).toBe(total);
    });

    it('goes on from pause to pause', async () => {
      const chunks = 200;
      const event = `96\r\n${'x'.repeat(150)}\r\n`;
      const engine = await engineThat((socket) => {
        socket.write(chunkedHead);
        void (async () => {
          for (let i = 0; i < chunks; i++) {
            socket.write(event);
            if (i % 3 === 0) await turns(1);
          }
          socket.write('0\r\n\r\n');
        })();
      });
      const { exchange, answer } = send(engine.target);
      answer.onChunk = () => {
        setImmediate(() => exchange.resume());
        return false;
      };
      await answer.over;
      expect(answer.size).toBe(chunks * 150);
    });

    it('uses a connection again whose last data caused a pause', async () => {
      const engine = await engineThat((socket, _request, count) => {
        if (count === 1) return socket.write(hello);
        return void (async () => {
          for (const piece of hello) {
            socket.write(piece);
            await turns(1);
          }
        })();
      });
      const { exchange, answer } = send(engine.target);
      answer.onChunk = () => {
        setImmediate(() => exchange.resume());
        return false;
      };
      await answer.over;
      expect((await fetched(engine.target)).body).toBe('hello');
      expect(engine.connections).toBe(1);
    });

    it('can be aborted while it is paused', async () => {
      const engine = await engineThat((socket) => socket.write(`${chunkedHead}5\r\nhello\r\n`));
      const { exchange, answer } = send(engine.target);
      answer.onChunk = () => false;
      await answer.headCame;
      exchange.abort();
      await engine.closed(1);
      expect(answer.error).toBeNull();
    });
  });
}

function targetOf(address: AddressInfo | string | null): UpstreamTarget {
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return { host: '127.0.0.1', port: address.port };
}
