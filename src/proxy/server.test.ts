import { once } from 'node:events';
import { get, request as httpsRequest } from 'node:https';
import { connect, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { selfSigned } from '../../test/e2e/testkit/certificate.ts';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { RequestHandler } from './http/connection.ts';
import { addressOf, createProxyServer, renewCertificate, type ProxyServer, type ServerOptions } from './server.ts';

let server: ProxyServer | null = null;

afterEach(() => {
  server?.close().closeAllConnections();
  server = null;
});

const hello: RequestHandler = (_request, response) => {
  response.writeHead(200, []);
  response.end(Buffer.from('hello'));
};

async function listening(options: Partial<ServerOptions>, listener = hello): Promise<number> {
  server = createProxyServer({ maxConnections: 0, clock: new ManualClock(), ...options }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Number(addressOf(server).split(':').at(-1));
}

/** What a TLS client gets, and the name on the certificate. */
async function fetched(port: number, ca: string): Promise<{ text: string; subject: string }> {
  const request = get({ host: '127.0.0.1', port, ca, agent: false });
  const response = await new Promise<NodeJS.ReadableStream & { socket: TLSSocket }>((resolve, reject) => {
    request.on('response', (message) => resolve(message as unknown as NodeJS.ReadableStream & { socket: TLSSocket }));
    request.on('error', reject);
  });
  const subject = String(response.socket.getPeerCertificate().subject.CN);
  let text = '';
  response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  await once(response, 'end');
  return { text, subject };
}

describe('createProxyServer', () => {
  it('speaks TLS, and takes up a renewed certificate without a new start', async () => {
    const [old, renewed] = [selfSigned('old.example'), selfSigned('new.example')];
    const port = await listening({ tls: old });
    expect(await fetched(port, old.cert)).toEqual({ text: 'hello', subject: 'old.example' });
    if (server !== null) renewCertificate(server, renewed);
    expect(await fetched(port, renewed.cert)).toEqual({ text: 'hello', subject: 'new.example' });
    await expect(fetched(port, old.cert)).rejects.toThrow();
  });

  it('reads bodies over TLS, and closes connections that have not ended their handshake', async () => {
    const pair = selfSigned('some.example');
    let read = 0;
    const port = await listening({ tls: pair }, (request, response) => {
      request.receive({
        onBody: (_bytes, start, end) => (read += end - start),
        onEnd: () => hello(request, response),
        onAbort: () => undefined,
      });
    });
    const posted = httpsRequest({ host: '127.0.0.1', port, ca: pair.cert, method: 'POST', agent: false });
    posted.end(Buffer.alloc(500_000));
    const [answer] = (await once(posted, 'response')) as [NodeJS.ReadableStream];
    await once(answer.resume(), 'end');
    expect(read).toBe(500_000);
    const silent = connect(port, '127.0.0.1');
    const accepted = server === null ? [] : once(server, 'connection');
    await accepted;
    server?.close().closeAllConnections();
    await once(silent, 'close');
  });

  it('closes connections that speak no TLS where it is spoken', async () => {
    const port = await listening({ tls: selfSigned('some.example') });
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(socket.resume(), 'close');
  });

  it('closes connections over the limit', async () => {
    const port = await listening({ maxConnections: 1 });
    const first = connect(port, '127.0.0.1');
    await once(first, 'connect');
    const second = connect(port, '127.0.0.1');
    await once(second, 'close');
    expect(first.readyState).toBe('open');
    first.destroy();
  });

  it('puts no answer to a broken request into the middle of another one', async () => {
    const port = await listening({}, (_request, response) => {
      response.writeHead(200, []);
      response.write(Buffer.from('begun'));
    });
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (piece: string) => {
      if (text === '') socket.write('no HTTP\r\n\r\n');
      text += piece;
    });
    socket.on('error', () => undefined);
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    await once(socket, 'close');
    expect(text).toContain('begun');
    expect(text).not.toContain(' 400 ');
  });

  it('names its address, also on IPv6', async () => {
    await listening({});
    expect(server !== null && addressOf(server)).toMatch(/^127\.0\.0\.1:[0-9]+$/);
    const other = createServer().listen(0, '::1');
    await once(other, 'listening');
    expect(addressOf(other)).toMatch(/^\[::1\]:[0-9]+$/);
    other.close();
    expect(() => addressOf(createServer())).toThrow('listens on no port');
  });
});
