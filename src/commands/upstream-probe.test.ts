import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer as createHttp2Server } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { ProbeRequest, ProbeResult } from '../datalayer/probe.ts';
import { realClock } from '../datalayer/testkit.ts';
import { UpstreamProbe } from './upstream-probe.ts';

const read = (name: string) => readFileSync(new URL(`../datalayer/testdata/${name}`, import.meta.url), 'utf8');
const cert = read('engine.test-cert.pem');
const key = read('engine.test-key.pem');

let probe: UpstreamProbe;
let servers: { server: Server; sockets: Set<Socket> }[];

beforeEach(() => {
  probe = new UpstreamProbe(realClock);
  servers = [];
});

afterEach(async () => {
  probe.close();
  for (const { server, sockets } of servers) {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  servers.push({ server, sockets });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return portOf(server);
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const http = (answer: (request: IncomingMessage, response: ServerResponse) => void) => listen(createServer(answer));

function ask(port: number, changes: Partial<ProbeRequest> & { https?: boolean } = {}): Promise<ProbeResult> {
  const { https = false, ...rest } = changes;
  const origin = `${https ? 'https' : 'http'}://127.0.0.1:${port}`;
  const access = { origin, tls: https ? {} : null, authorization: null };
  return new Promise((resolve) => {
    probe.get({ access, path: '/health', timeout: 2_000, maxBytes: 1_000, ...rest }, (result) => {
      // The body is read before `done` returns: after that it is no longer its own.
      resolve(result.ok ? { ok: true, body: Buffer.from(result.body) } : result);
    });
  });
}

const fault = (result: ProbeResult) => (result.ok ? result.body.toString() : result.fault);

describe('UpstreamProbe', () => {
  it('reads an answer whole', async () => {
    const port = await http((request, response) => {
      response.write(`${request.method} `);
      setImmediate(() => response.end(request.url));
    });
    expect(fault(await ask(port, { path: '/metrics?a=b' }))).toBe('GET /metrics?a=b');
  });

  it('puts answers of many pieces together, several at a time, each its own', async () => {
    const port = await http((request, response) => {
      const letter = request.url?.at(1) ?? '';
      let pieces = 20;
      const more = (): void => {
        if (pieces-- > 0) response.write(letter.repeat(10_000), () => setImmediate(more));
        else response.end();
      };
      more();
    });
    const answers = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(async (letter) => {
      const result = await ask(port, { path: `/${letter}`, maxBytes: 1_000_000 });
      expect(fault(result)).toBe(letter.repeat(200_000));
    });
    await Promise.all(answers);
  });

  it('reads an empty answer', async () => {
    const port = await http((_request, response) => response.end());
    expect(fault(await ask(port))).toBe('');
  });

  it('sends the key, where there is one', async () => {
    const port = await http((request, response) => response.end(request.headers.authorization ?? 'none'));
    const access = { origin: `http://127.0.0.1:${port}`, tls: null, authorization: 'Bearer canary' };
    expect(fault(await ask(port, { access }))).toBe('Bearer canary');
    expect(fault(await ask(port))).toBe('none');
  });

  it('reuses its connections, three at most', async () => {
    const seen = new Set<unknown>();
    const port = await http((request, response) => {
      seen.add(request.socket);
      response.end('x');
    });
    for (let i = 0; i < 20; i++) await ask(port);
    expect(seen.size).toBeLessThanOrEqual(3);
  });

  it('does not let a hung path hold up another', async () => {
    const port = await http((request, response) => {
      if (request.url === '/health') response.end('well');
    });
    const hung = ask(port, { path: '/metrics' });
    expect(fault(await ask(port))).toBe('well');
    probe.close();
    expect(fault(await hung)).toBe('failed');
  });

  it.each([301, 302, 307, 308])('does not follow a redirect (%i)', async (status) => {
    let asked = 0;
    const port = await http((_request, response) => {
      asked += 1;
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    expect(fault(await ask(port))).toBe('status');
    expect(asked).toBe(1);
  });

  it.each([400, 401, 404, 500, 503])('takes status %i for a fault and says so', async (status) => {
    const port = await http((_request, response) => response.writeHead(status).end('no'));
    expect(await ask(port)).toEqual({ ok: false, fault: 'status', message: `answered with status ${status}` });
  });

  it('passes over early hints', async () => {
    const port = await http((_request, response) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.end('well');
    });
    expect(fault(await ask(port))).toBe('well');
  });

  it.each([
    { says: 'never answers', answer: () => {} },
    { says: 'sends only a head', answer: (response: ServerResponse) => response.writeHead(200).flushHeaders() },
    {
      says: 'drips its body',
      answer: (response: ServerResponse) => {
        const timer = setInterval(() => response.write('.'), 10);
        response.on('close', () => clearInterval(timer));
      },
    },
  ])('gives up on an engine that $says, and closes the connection', async ({ answer }) => {
    let closed: Promise<unknown> = Promise.resolve();
    const port = await http((request, response) => {
      closed = new Promise((resolve) => request.socket.on('close', resolve));
      answer(response);
    });
    expect(fault(await ask(port, { timeout: 100 }))).toBe('timeout');
    await closed;
  });

  it('reads no more of an endless answer than it may, and closes the connection', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const port = await http((request, response) => {
      closed = new Promise((resolve) => request.socket.on('close', resolve));
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      };
      response.on('drain', more);
      more();
    });
    expect(fault(await ask(port, { maxBytes: 100_000 }))).toBe('too_large');
    await closed;
  });

  it('tells that nobody listens', async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(fault(await ask(port))).toBe('refused');
  });

  it('tells that a connection broke', async () => {
    const port = await listen(createTcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())));
    expect(fault(await ask(port))).toBe('reset');
  });

  it('tells that the answer was cut short', async () => {
    const port = await http((_request, response) => {
      response.writeHead(200, { 'content-length': 10 }).write('half');
      setTimeout(() => response.destroy(), 10);
    });
    expect(fault(await ask(port))).toBe('reset');
  });

  it('takes garbage for a fault', async () => {
    const port = await listen(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    expect(fault(await ask(port))).toBe('failed');
  });

  it('takes an address that is no URL for a fault', async () => {
    const access = { origin: 'http://no port:x', tls: null, authorization: null };
    expect(fault(await ask(1, { access }))).toBe('failed');
  });

  it.each([
    { says: 'a key that no header can carry', tls: null, authorization: 'Bearer a\nb' },
    { says: 'a certificate that is none', tls: { ca: 'no PEM' }, authorization: null },
    {
      says: 'a certificate that is broken',
      tls: { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
      authorization: null,
    },
  ])('takes $says for a fault', async ({ tls, authorization }) => {
    const port = await http((_request, response) => response.end());
    const origin = `${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`;
    expect(fault(await ask(port, { access: { origin, tls, authorization } }))).toBe('failed');
  });

  it('says so when it is closed', async () => {
    probe.close();
    expect(fault(await ask(1))).toBe('failed');
  });

  describe('over TLS', () => {
    const tlsEngine = () => listen(createTlsServer({ cert, key }, (_request, response) => response.end('safe')));

    it.each([
      {
        says: 'trusts the certificate it was given, under the name it was given',
        tls: { ca: cert, serverName: 'engine.test' },
        is: 'safe',
      },
      { says: 'refuses another name', tls: { ca: cert, serverName: 'other.test' }, is: 'failed' },
      { says: 'refuses a certificate that nobody signed', tls: {}, is: 'failed' },
    ])('$says', async ({ tls, is }) => {
      const port = await tlsEngine();
      const access = { origin: `https://127.0.0.1:${port}`, tls, authorization: null };
      expect(fault(await ask(port, { access }))).toBe(is);
    });

    it('speaks HTTP/1.1 also where the engine offers HTTP/2', async () => {
      const engine = createHttp2Server({ cert, key, allowHTTP1: true }, (request, response) => {
        response.end(request.httpVersion);
      });
      const port = await listen(engine);
      const tls = { ca: cert, serverName: 'engine.test' };
      const access = { origin: `https://127.0.0.1:${port}`, tls, authorization: null };
      expect(fault(await ask(port, { access }))).toBe('1.1');
    });

    it('takes an engine without TLS for a fault', async () => {
      const port = await http((_request, response) => response.end('plain'));
      expect(['failed', 'reset']).toContain(fault(await ask(port, { https: true })));
    });
  });

  it('never sends a probe whose time ran out while it waited for a connection', async () => {
    const seen: (string | undefined)[] = [];
    const port = await http((request, response) => {
      seen.push(request.url);
      if (request.url === '/well') response.end('well');
    });
    const hung = [1, 2, 3].map(() => ask(port, { timeout: 200 }));
    expect(fault(await ask(port, { path: '/late', timeout: 50 }))).toBe('timeout');
    await Promise.all(hung);
    expect(fault(await ask(port, { path: '/well' }))).toBe('well');
    expect(seen).toEqual(['/health', '/health', '/health', '/well']);
  });

  it('sets no timer of its own that outlives its answer', async () => {
    const port = await http((_request, response) => response.end());
    const clock = new ManualClock();
    probe.close();
    probe = new UpstreamProbe(clock);
    await ask(port);
    const { pending } = clock;
    for (let i = 0; i < 20; i++) await ask(port);
    expect(clock.pending).toBe(pending);
    clock.advance(10_000);
    // What is left looks once a minute for endpoints that are asked no more.
    expect(clock.pending).toBe(1);
    clock.advance(200_000);
    expect(clock.pending).toBe(0);
  });

  it('lets an endpoint go that is asked no more, and knows it anew', async () => {
    const port = await http((_request, response) => response.end('well'));
    const clock = new ManualClock();
    probe.close();
    probe = new UpstreamProbe(clock);
    for (let i = 0; i < 3; i++) {
      expect(fault(await ask(port))).toBe('well');
      clock.advance(200_000);
    }
  });

  it('leaves no connection behind', async () => {
    const port = await http((request, response) => {
      if (request.url === '/health') response.end();
    });
    await ask(port);
    const hung = ask(port, { path: '/metrics' });
    probe.close();
    await hung;
    const connections = () =>
      new Promise<number>((resolve) => servers[0].server.getConnections((_error, count) => resolve(count)));
    while ((await connections()) > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
