import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { UpstreamTarget } from './client.ts';
import type { Implementation } from './client.suite.ts';
import { type Engine, ManualClock, post, Recorder, startTlsEngine, turns, type Answerer } from './engine.fixture.ts';

const hello = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello';
const megabyte = 1 << 20;

interface Pem {
  readonly key: string;
  readonly cert: string;
}

/** A certificate that signs itself, so that it is its own CA. */
function selfSigned(names: string): Pem {
  const folder = mkdtempSync(join(tmpdir(), 'upstream-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const subject = ['-subj', '/CN=engine', '-addext', `subjectAltName=${names}`];
  const options = ['req', '-x509', '-nodes', '-days', '2', ...curve, ...subject, '-keyout', key, '-out', cert];
  execFileSync('openssl', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  const pem = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  rmSync(folder, { recursive: true });
  return pem;
}

/** TLS as every implementation of UpstreamClient does it. */
export function describeTls({ name, make }: Implementation): void {
  const clock = new ManualClock();
  let client = make(clock);
  let engine: Engine | null = null;
  let named: Pem;
  let addressed: Pem;

  beforeAll(() => {
    named = selfSigned('DNS:engine.test');
    addressed = selfSigned('IP:127.0.0.1');
  });

  afterEach(async () => {
    client.close();
    await engine?.close();
    client = make(clock);
  });

  async function start(pem: Pem, answer: Answerer = (socket) => socket.write(hello)): Promise<number> {
    engine = await startTlsEngine(answer, pem);
    return engine.target.port;
  }

  async function fetched(target: UpstreamTarget, body: Uint8Array = Buffer.from('{}')): Promise<Recorder> {
    const answer = new Recorder();
    client.dispatch(target, post({ body }), answer);
    await answer.over;
    expect(answer.misordered).toEqual([]);
    return answer;
  }

  describe(`${name}: TLS`, () => {
    it('verifies the name it was told, and uses the connection again', async () => {
      const port = await start(named);
      const target = { host: '127.0.0.1', port, tls: { ca: named.cert, serverName: 'engine.test' } };
      expect((await fetched(target)).body).toBe('hello');
      await turns(3);
      expect((await fetched(target)).body).toBe('hello');
      expect(engine?.connections).toBe(1);
    });

    it('verifies the address where it was told no name', async () => {
      const port = await start(addressed);
      expect((await fetched({ host: '127.0.0.1', port, tls: { ca: addressed.cert } })).body).toBe('hello');
    });

    it.each([
      { what: 'another name than the certificate has', tls: () => ({ ca: named.cert, serverName: 'other.test' }) },
      { what: 'an address that the certificate does not have', tls: () => ({ ca: named.cert }) },
      { what: 'a certificate of an unknown CA', tls: () => ({ ca: addressed.cert, serverName: 'engine.test' }) },
      { what: 'a certificate that no system knows', tls: () => ({ serverName: 'engine.test' }) },
    ])('refuses $what and sends nothing', async ({ tls }) => {
      const port = await start(named);
      const answer = await fetched({ host: '127.0.0.1', port, tls: tls() });
      expect(answer.error?.failure).toBe('connect');
      expect(engine?.requests).toEqual([]);
    });

    it('refuses a CA that is none', async () => {
      const port = await start(named);
      const tls = {
        ca: '-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n',
        serverName: 'engine.test',
      };
      expect((await fetched({ host: '127.0.0.1', port, tls })).error?.failure).toBe('connect');
    });

    it('says connect when the engine speaks no TLS', async () => {
      const server = createServer((socket) => socket.end(hello)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      const answer = await fetched({ host: '127.0.0.1', port, tls: { serverName: 'engine.test' } });
      expect(answer.error?.failure).toBe('connect');
      server.close();
    });

    it('says connect_timeout when the handshake is never answered', async () => {
      const server = createServer((socket) => {
        socket.on('error', () => socket.destroy());
        socket.once('data', () => clock.advance(1_000));
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      const answer = new Recorder();
      const tls = { serverName: 'engine.test' };
      client.dispatch({ host: '127.0.0.1', port, tls }, post({ connectTimeout: 1_000 }), answer);
      await answer.over;
      expect(answer.error?.failure).toBe('connect_timeout');
      server.close();
    });

    it('carries large bodies both ways, with pauses', async () => {
      const body = Buffer.alloc(4 * megabyte, '0123456789abcdef');
      const port = await start(named, (socket, request) => {
        const received = request.slice(request.indexOf('\r\n\r\n') + 4);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${received.length}\r\n\r\n`);
        socket.write(received, 'latin1');
      });
      const answer = new Recorder();
      const target = { host: '127.0.0.1', port, tls: { ca: named.cert, serverName: 'engine.test' } };
      const exchange = client.dispatch(target, post({ body }), answer);
      answer.onChunk = () => {
        setImmediate(() => exchange.resume());
        return false;
      };
      await answer.over;
      expect(Buffer.concat(answer.chunks).equals(body)).toBe(true);
    });
  });
}
