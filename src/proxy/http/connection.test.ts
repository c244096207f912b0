import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { addressOf, createProxyServer, type ProxyServer } from '../server.ts';
import {
  ClientConnection, headersTimeout, keepAliveTimeout, lingerTimeout, requestTimeout, sendTimeout,
  type ClientRequest,
} from './connection.ts'; // prettier-ignore
import type { Response } from './response.ts';

/** A request as a test sees it, with what is needed to answer it. */
interface Seen {
  readonly method: string;
  readonly target: string;
  readonly response: Response;
  readonly connection: ClientConnection;
  body: string;
  /** `reading`, then `whole` or `aborted`. */
  state: string;
  /** Calls of the response's listener. */
  readonly heard: string[];
}

let clock: ManualClock;
let server: ProxyServer;
let seen: Seen[];
/** Called once a request has come whole, or for `/refused` when its head has. */
let answer: (one: Seen) => void;
let clients: Socket[];
/** Connections that the server has. */
let open: number;
const count = (): number => open;

const ok = ({ response, target }: Seen): void => {
  response.writeHead(200, ['content-length', String(target.length)]);
  response.end(Buffer.from(target));
};
const later = (): void => undefined;

function take(request: ClientRequest, response: Response): void {
  if (!(request instanceof ClientConnection)) throw new Error('a request is its connection');
  const { method, target } = request.head;
  const one: Seen = { method, target, response, connection: request, body: '', state: 'reading', heard: [] };
  seen.push(one);
  response.listener = { onClose: () => void one.heard.push('close'), onDrain: () => void one.heard.push('drain') };
  if (target === '/refused') {
    one.state = 'refused';
    answer(one);
    return;
  }
  request.receive({
    onBody: (bytes, start, end) => (one.body += bytes.toString('latin1', start, end)),
    onEnd() {
      one.state = 'whole';
      answer(one);
    },
    onAbort: () => (one.state = 'aborted'),
  });
}

beforeEach(async () => {
  clock = new ManualClock();
  seen = [];
  clients = [];
  answer = ok;
  open = 0;
  server = createProxyServer({ maxConnections: 0, clock }, take);
  server.on('connection', (socket) => {
    open += 1;
    socket.on('close', () => (open -= 1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  // It closes when every connection is gone.
  await new Promise((resolve) => server.close(resolve));
  await until(() => count() === 0);
  clock.advance(1000);
  expect(clock.pending).toBe(0);
  for (const { state, response } of seen) {
    expect(state).not.toBe('reading');
    expect(response.ended || response.closed).toBe(true);
  }
});

/** A client made of a bare socket. */
class Client {
  text = '';
  ended = false;
  closed = false;
  readonly socket: Socket;

  constructor(options: { allowHalfOpen?: boolean } = {}) {
    const [host, port] = addressOf(server).split(':');
    this.socket = connect({ host, port: Number(port), ...options });
    clients.push(this.socket);
    this.socket.setEncoding('latin1').on('data', (text: string) => (this.text += text));
    this.socket.on('error', () => undefined);
    this.socket.on('end', () => (this.ended = true));
    this.socket.on('close', () => (this.closed = true));
  }

  send(...parts: string[]): this {
    this.socket.write(parts.join(''), 'latin1');
    return this;
  }

  /** The answers so far, each cut before the next. */
  get answers(): string[] {
    return this.text.split(/(?=HTTP\/1\.1 )/).filter((text) => text !== '');
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** Turns the event loop until nothing can be under way on loopback. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

const get = (target: string, more = ''): string => `GET ${target} HTTP/1.1\r\nhost: x\r\n${more}\r\n`;
const post = (target: string, body: string, more = ''): string =>
  `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);

describe('a kept connection', () => {
  it('carries one request after the other', async () => {
    const client = new Client();
    for (const target of ['/a', '/b', '/c']) {
      client.send(post(target, 'body'));
      await until(() => client.answers.length === seen.length && client.text.endsWith(target));
    }
    expect(seen.map(({ method, target, body }) => `${method} ${target} ${body}`)).toEqual([
      'POST /a body',
      'POST /b body',
      'POST /c body',
    ]);
    expect(client.text).toMatch(/\r\nconnection: keep-alive\r\nkeep-alive: timeout=75\r\n/);
    expect(client.closed).toBe(false);
  });

  it('has a date that is now', async () => {
    const client = new Client().send(get('/'));
    await until(() => client.text !== '');
    const date = /\r\ndate: (.*)\r\n/.exec(client.text)?.[1] ?? '';
    expect(Math.abs(Date.now() - Date.parse(date))).toBeLessThan(10_000);
  });

  it.each([
    ['where the client says so', get('/', 'connection: close\r\n')],
    ['of HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
  ])('ends with its answer %s', async (_name, request) => {
    const client = new Client().send(request, get('/more'));
    await until(() => client.closed);
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\nconnection: close\r\n\r\n\/$/s);
    expect(seen).toHaveLength(1);
  });

  it('of HTTP/1.0 goes on where the client asks for it and the answer has a length', async () => {
    const ask = 'GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n';
    const client = new Client().send(ask);
    await until(() => client.text.endsWith('/a'));
    client.send(ask);
    await until(() => client.answers.length === 2);
    expect(client.text).toContain('connection: keep-alive');
  });
});

describe('pipelined requests', () => {
  it('are answered one after the other, and handed on one after the other', async () => {
    answer = later;
    const client = new Client().send(post('/a', '1'), post('/b', '2'), get('/c'));
    await until(() => seen.length === 1);
    await quiet();
    expect(seen).toHaveLength(1);
    ok(seen[0]);
    await until(() => seen.length === 2);
    ok(seen[1]);
    await until(() => seen.length === 3);
    ok(seen[2]);
    await until(() => client.answers.length === 3);
    expect(client.answers.map(bodyOf)).toEqual(['/a', '/b', '/c']);
    expect(seen.map(({ body }) => body)).toEqual(['1', '2', '']);
  });

  it('may be cut anywhere', async () => {
    answer = (one) => void setImmediate(() => ok(one));
    const client = new Client();
    client.socket.setNoDelay(true);
    for (const byte of post('/a', '123') + get('/b') + post('/c', '45')) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => client.answers.length === 3);
    expect(client.answers.map(bodyOf)).toEqual(['/a', '/b', '/c']);
    expect(seen.map(({ body }) => body)).toEqual(['123', '', '45']);
  });

  it('in great number take no stack, and each gets its answer', async () => {
    const count = 5000;
    const client = new Client().send(get('/a').repeat(count));
    await until(() => client.answers.length === count && client.text.endsWith('/a'));
    expect(seen).toHaveLength(count);
  });

  it('are left in the kernel where there are many while one is answered', async () => {
    answer = later;
    const client = new Client().send(get('/a'));
    await until(() => seen.length === 1);
    client.send(get('/b').repeat(400_000));
    await quiet();
    await quiet();
    expect(seen[0].connection.socket.bytesRead).toBeLessThan(500_000);
    expect(client.socket.writableLength).toBeGreaterThan(0);
    answer = ok;
    ok(seen[0]);
    await until(() => seen.length > 10_000);
  });

  it('wait where the client reads no answers', async () => {
    const client = new Client();
    client.socket.pause();
    answer = ({ response }) => {
      response.writeHead(200, ['content-length', '100000']);
      response.end(Buffer.alloc(100_000, 'x'));
    };
    client.send(get('/a').repeat(1000));
    await quiet();
    await quiet();
    expect(seen.length).toBeLessThan(200);
    client.socket.resume();
    await until(() => seen.length === 1000);
  });

  it('are given up where the client leaves', async () => {
    answer = later;
    const client = new Client().send(post('/a', '1'), post('/b', '2'));
    await until(() => seen.length === 1);
    client.socket.destroy();
    await until(() => seen[0].heard.length > 0);
    expect(seen[0].heard).toEqual(['close']);
    ok(seen[0]);
    await quiet();
    expect(seen).toHaveLength(1);
  });
});

describe('an answer', () => {
  it('to HEAD has its length and no body', async () => {
    const client = new Client().send('HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n', get('/b'));
    await until(() => client.answers.length === 2);
    expect(client.answers[0]).toMatch(/\r\ncontent-length: 2\r\n.*\r\n\r\n$/s);
    expect(bodyOf(client.answers[1])).toBe('/b');
  });

  it.each([204, 304])('of %d has no body', async (status) => {
    answer = ({ response }) => {
      response.writeHead(status, ['content-length', '3', 'x-a', 'b']);
      response.end(Buffer.from('abc'));
    };
    const client = new Client().send(get('/a'), get('/b'));
    await until(() => client.answers.length === 2);
    expect(client.answers[0]).toMatch(/\r\n\r\n$/);
    expect(client.text).not.toContain('transfer-encoding');
    expect(client.answers[0].includes('content-length: 3')).toBe(status === 304);
  });

  it('of unknown length comes in chunks, a write for each piece', async () => {
    answer = ({ response }) => {
      response.writeHead(200, ['content-type', 'text/event-stream']);
      response.write(Buffer.from('one'));
      response.write(Buffer.alloc(0));
      response.write(Buffer.alloc(20_000, 'x'));
      response.end(Buffer.from('two'));
    };
    const client = new Client().send(get('/a'));
    await until(() => client.text.endsWith('\r\n0\r\n\r\n'));
    expect(client.text).toMatch(/\r\ntransfer-encoding: chunked\r\n/);
    expect(bodyOf(client.text)).toBe(`3\r\none\r\n4e20\r\n${'x'.repeat(20_000)}\r\n3\r\ntwo\r\n0\r\n\r\n`);
  });

  it('without a piece is complete all the same', async () => {
    answer = ({ response }) => {
      response.writeHead(200, []);
      response.end();
    };
    const client = new Client().send(get('/a'), get('/b'));
    await until(() => client.answers.length === 2 && client.text.endsWith('0\r\n\r\n'));
    expect(client.answers.map(bodyOf)).toEqual(['0\r\n\r\n', '0\r\n\r\n']);
  });

  it('of unknown length to HTTP/1.0 ends with the connection, also where it was to be kept', async () => {
    answer = ({ response }) => {
      response.writeHead(200, []);
      response.write(Buffer.from('one'));
      response.end(Buffer.from('two'));
    };
    const client = new Client().send('GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
    await until(() => client.closed);
    expect(client.text).toMatch(/\r\nconnection: close\r\n\r\nonetwo$/);
    expect(client.text).not.toContain('chunked');
  });

  it('of an engine cannot say what becomes of the connection', async () => {
    answer = ({ response }) => {
      response.writeHead(200, [
        'Connection', 'close', 'Keep-Alive', 'timeout=1', 'Transfer-Encoding', 'gzip', 'trailer', 'x', 'UPGRADE', 'h2c', 'Content-Length', '2', 'Date', 'then',
      ]); // prettier-ignore
      response.end(Buffer.from('hi'));
    };
    const client = new Client().send(get('/a'), get('/b'));
    await until(() => client.answers.length === 2);
    expect(client.answers[0]).toBe(
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: then\r\nconnection: keep-alive\r\nkeep-alive: timeout=75\r\n\r\nhi',
    );
  });

  it.each([
    ['CR', 'a\rb'],
    ['LF', 'a\nb'],
    ['a whole line', 'a\r\nset-cookie: b'],
    ['NUL', 'a\0b'],
    ['DEL', 'a\x7fb'],
    ['what becomes LF when it is cut down to a byte', 'a\u010ab'],
  ])('with %s in a header is not begun', async (_name, text) => {
    answer = (one) => {
      const { response } = one;
      expect(() => response.writeHead(200, ['x-a', text])).toThrow(TypeError);
      expect(() => response.writeHead(200, [text, 'x'])).toThrow(TypeError);
      expect(response.headersSent).toBe(false);
      ok(one);
    };
    const client = new Client().send(get('/a'));
    await until(() => client.text.endsWith('/a'));
  });

  it.each(['', '-1', '1x', '0x1', '1, 1'])('with the length %j is not begun', async (length) => {
    answer = (one) => {
      expect(() => one.response.writeHead(200, ['content-length', length])).toThrow(TypeError);
      ok(one);
    };
    const client = new Client().send(get('/a'));
    await until(() => client.text.endsWith('/a'));
  });

  it('with two lengths, of an interim status, or with a second head is a fault of ours', async () => {
    answer = (one) => {
      const { response } = one;
      expect(() => response.writeHead(200, ['content-length', '1', 'content-length', '1'])).toThrow(TypeError);
      expect(() => response.writeHead(101, [])).toThrow(TypeError);
      ok(one);
      expect(() => response.writeHead(200, [])).toThrow('one head');
    };
    const client = new Client().send(get('/a'));
    await until(() => client.text.endsWith('/a'));
  });

  it.each([
    ['shorter', '5', 'abc'],
    ['longer', '2', 'abc'],
  ])('that is %s than it said ends the connection', async (_name, length, text) => {
    answer = ({ response }) => {
      response.writeHead(200, ['content-length', length]);
      response.end(Buffer.from(text));
    };
    const client = new Client().send(get('/a'), get('/b'));
    await until(() => client.closed);
    expect(client.answers.length).toBeLessThan(2);
    expect(seen).toHaveLength(1);
    expect(client.text).not.toContain('abc\r\n');
  });

  it('holds its writer back where the client does not read, and says when it has caught up', async () => {
    answer = later;
    const client = new Client().send(get('/a'));
    await until(() => seen.length === 1);
    client.socket.pause();
    const [{ response, heard }] = seen;
    response.writeHead(200, []);
    const piece = Buffer.alloc(100_000, 'x');
    let sent = 0;
    // The kernel takes some megabytes before it takes no more.
    do {
      heard.length = 0;
      while (response.write(piece)) sent += 1;
      await quiet();
    } while (heard.length > 0);
    client.socket.resume();
    await until(() => heard.length > 0);
    expect(heard).toEqual(['drain']);
    response.end();
    await until(() => client.text.endsWith('0\r\n\r\n'));
    expect(client.text.length).toBeGreaterThan((sent + 1) * 100_000);
  });

  it('that is broken off has last words and no end', async () => {
    answer = ({ response }) => {
      response.writeHead(200, []);
      response.write(Buffer.from('one'));
      response.breakOff(Buffer.from('last'));
      expect(response.write(Buffer.from('more'))).toBe(true);
      response.end(Buffer.from('more'));
    };
    const client = new Client().send(get('/a'), get('/b'));
    await until(() => client.closed);
    expect(bodyOf(client.text)).toBe('3\r\none\r\n4\r\nlast\r\n');
    expect(seen[0].heard).toEqual([]);
  });
});

describe('a client that expects to be told to go on', () => {
  const head = (target: string): string =>
    `POST ${target} HTTP/1.1\r\nhost: x\r\nexpect: 100-Continue\r\ncontent-length: 4\r\n\r\n`;

  it('is told so, once, when somebody wants its body', async () => {
    const client = new Client().send(head('/a'));
    await until(() => client.text !== '');
    expect(client.text).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    await until(() => client.text.endsWith('/a'));
    expect(seen[0].body).toBe('body');
    client.send(get('/b'));
    await until(() => client.text.endsWith('/b'));
    expect(client.text.split('100 Continue')).toHaveLength(2);
  });

  it('is not told so where nobody does, and cannot use the connection again', async () => {
    const client = new Client().send(head('/refused'));
    await until(() => client.text !== '');
    expect(client.text).toMatch(/^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/s);
    // What it sends now may be the body or a request.
    client.send(get('/b'));
    await until(() => client.closed);
    expect(seen).toHaveLength(1);
  });
});

describe('a request that is refused before its body', () => {
  it('is answered at once, and the next one is read where the body ends', async () => {
    const client = new Client().send('POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
    await until(() => client.text !== '');
    client.send('67890', get('/b'));
    await until(() => client.text.endsWith('/b'));
    expect(client.answers).toHaveLength(2);
  });

  describe('with an answer that closes the connection', () => {
    let client: Client;
    beforeEach(async () => {
      answer = (one) => {
        one.response.close = true;
        ok(one);
      };
      client = new Client().send('POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345');
      await until(() => client.text !== '');
      await quiet();
      expect(client.ended).toBe(false);
    });

    it('waits for the rest, so that no reset overtakes the answer', async () => {
      client.send('67890', get('/b'));
      await until(() => client.closed);
      expect(seen).toHaveLength(1);
    });

    it('does not wait for ever', async () => {
      clock.advance(lingerTimeout - 1000);
      await quiet();
      expect(client.closed).toBe(false);
      clock.advance(2000);
      await until(() => client.closed);
    });

    it('ends when the client leaves', async () => {
      client.socket.destroy();
      await until(() => count() === 0);
    });

    it('ends where the rest is no HTTP', async () => {
      client.send('678');
      await quiet();
      client.socket.end();
      await until(() => client.closed);
    });
  });
});

describe('what is no HTTP', () => {
  it('is answered as OpenAI would, and the connection ends', async () => {
    const client = new Client().send('GET / HTTP/1.1\r\nhost : x\r\n\r\n');
    await until(() => client.closed);
    expect(client.text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n.*\r\nconnection: close\r\n\r\n/s);
    expect(JSON.parse(bodyOf(client.text))).toEqual({
      error: { message: expect.stringContaining('name') as string, type: 'invalid_request_error', code: 'invalid_request', param: null },
    }); // prettier-ignore
    expect(seen).toEqual([]);
  });

  it.each([
    ['headers that are too large', get('/a', `x-a: ${'x'.repeat(17_000)}\r\n`), 431, 'headers_too_large'],
    ['an expectation that nobody can meet', get('/a', 'expect: x\r\n'), 417, 'expectation_failed'],
  ])('with %s has its own status', async (_name, bytes, status, code) => {
    const client = new Client().send(bytes);
    await until(() => client.closed);
    expect(client.text.startsWith(`HTTP/1.1 ${status} `)).toBe(true);
    expect(client.text).toContain(`"code":"${code}"`);
  });

  it('in the middle of a body ends the request', async () => {
    const client = new Client().send('POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n');
    await until(() => seen[0]?.body === 'hi');
    client.send('nonsense\r\n');
    await until(() => client.closed);
    expect(seen[0].state).toBe('aborted');
    expect(seen[0].response.closed).toBe(true);
    expect(client.text).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('behind a request is told after its answer', async () => {
    answer = later;
    const client = new Client().send(get('/a'), 'nonsense\r\n\r\n');
    await until(() => seen.length === 1);
    await quiet();
    expect(client.text).toBe('');
    ok(seen[0]);
    await until(() => client.closed);
    expect(client.answers.map((text) => text.slice(9, 12))).toEqual(['200', '400']);
  });

  it('in a body whose request has been answered only ends the connection', async () => {
    const client = new Client().send('POST /refused HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    await until(() => client.text.endsWith('/refused'));
    client.send('nonsense\r\n');
    await until(() => client.closed);
    expect(client.answers).toHaveLength(1);
  });

  it('is answered also where the client goes on sending, which is not read for ever', async () => {
    const client = new Client({ allowHalfOpen: true }).send('nonsense\r\n\r\n', 'x'.repeat(1_000_000));
    await until(() => client.ended);
    expect(client.text).toMatch(/^HTTP\/1\.1 400 /);
    client.send('x'.repeat(1_000_000));
    await quiet();
    clock.advance(lingerTimeout + 1000);
    await until(() => count() === 0);
  });
});

describe('a client that leaves', () => {
  it.each([
    ['closes its side', (socket: Socket) => void socket.end()],
    ['closes the connection', (socket: Socket) => void socket.destroy()],
    ['resets the connection', (socket: Socket) => void socket.resetAndDestroy()],
  ])('is noticed while its request is answered, where it %s', async (_name, leave) => {
    answer = later;
    const client = new Client().send(post('/a', 'body'));
    await until(() => seen.length === 1);
    leave(client.socket);
    await until(() => seen[0].heard.length > 0);
    expect(seen[0].heard).toEqual(['close']);
    const { response } = seen[0];
    ok(seen[0]);
    expect(response.closed).toBe(true);
    await until(() => count() === 0);
  });

  it('while it sends its body is noticed, too', async () => {
    const client = new Client().send(post('/a', 'body').slice(0, -2));
    await until(() => seen.length === 1);
    client.socket.end();
    await until(() => seen[0].state === 'aborted');
    expect(seen[0].heard).toEqual(['close']);
  });

  it('in the middle of a head leaves nothing', async () => {
    const client = new Client().send('GET / HT');
    await quiet();
    client.socket.end();
    await until(() => count() === 0);
    expect(seen).toEqual([]);
  });

  it('gets what was answered before it closed its side', async () => {
    const client = new Client({ allowHalfOpen: true });
    client.socket.end(get('/a'));
    await until(() => client.closed || client.ended);
    expect(bodyOf(client.text)).toBe('/a');
  });
});

describe('the time', () => {
  it('for headers is limited, and told', async () => {
    const client = new Client().send('GET / HTTP/1.1\r\nhost:');
    await quiet();
    clock.advance(headersTimeout - 2000);
    await quiet();
    expect(client.text).toBe('');
    clock.advance(3000);
    await until(() => client.closed);
    expect(client.text).toMatch(/^HTTP\/1\.1 408 .*"code":"request_timeout"/s);
  });

  it('for headers is not stretched by a byte now and then', async () => {
    const client = new Client();
    await until(() => client.socket.readyState === 'open');
    for (let second = 0; second < 70 && !client.closed; second += 10) {
      client.send('x');
      await quiet();
      clock.advance(10_000);
      await quiet();
    }
    expect(client.text).toMatch(/^HTTP\/1\.1 408 /);
  });

  it('before a first request is limited, and nothing is said', async () => {
    const client = new Client();
    await until(() => count() === 1);
    await quiet();
    clock.advance(headersTimeout + 1000);
    await until(() => client.closed);
    expect(client.text).toBe('');
  });

  it('for a whole request is limited, and told', async () => {
    const client = new Client().send(post('/a', 'body').slice(0, -1));
    await until(() => seen.length === 1);
    clock.advance(requestTimeout - 2000);
    await quiet();
    expect(client.text).toBe('');
    clock.advance(3000);
    await until(() => client.closed);
    expect(client.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(seen[0].state).toBe('aborted');
  });

  it('for the rest of a request that has been answered is limited, too', async () => {
    const client = new Client().send('POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n');
    await until(() => client.text.endsWith('/refused'));
    clock.advance(requestTimeout + 1000);
    await until(() => client.closed);
    expect(client.answers).toHaveLength(1);
  });

  it('between requests is limited, and begins anew with each', async () => {
    const client = new Client();
    for (const target of ['/a', '/b']) {
      client.send(get(target));
      await until(() => client.text.endsWith(target));
      clock.advance(keepAliveTimeout - 2000);
      await quiet();
      expect(client.closed).toBe(false);
    }
    clock.advance(3000);
    await until(() => client.closed);
    expect(client.answers).toHaveLength(2);
  });

  it('for an answer is not', async () => {
    answer = later;
    const client = new Client().send(get('/a'));
    await until(() => seen.length === 1);
    clock.advance(24 * 3_600_000);
    ok(seen[0]);
    await until(() => client.text.endsWith('/a'));
  });

  it.each([
    ['that keeps the connection', ''],
    ['that ends it', 'connection: close\r\n'],
  ])('for reading the end of an answer %s is limited', async (_name, more) => {
    answer = ({ response }) => {
      response.writeHead(200, []);
      response.end(Buffer.alloc(50_000_000, 'x'));
    };
    const client = new Client();
    client.socket.pause();
    client.send(get('/a', more));
    await until(() => seen.length === 1);
    clock.advance(sendTimeout - 2000);
    await quiet();
    expect(count()).toBe(1);
    clock.advance(3000);
    await until(() => count() === 0);
  });

  it('is kept by one timer for all connections', async () => {
    for (let i = 0; i < 20; i++) new Client().send(get('/a'));
    await until(() => seen.length === 20);
    expect(clock.pending).toBe(1);
  });
});

describe('a server that is closed', () => {
  it('closes idle connections, and those under way after their answers', async () => {
    const idle = new Client().send(get('/a'));
    await until(() => idle.text.endsWith('/a'));
    answer = later;
    const busy = new Client().send(get('/b'));
    await until(() => seen.length === 2);
    let closed = false;
    server.close(() => (closed = true));
    await until(() => idle.closed);
    expect(closed).toBe(false);
    ok(seen[1]);
    await until(() => busy.closed && closed);
    expect(busy.text).toMatch(/\r\nconnection: close\r\n/);
  });

  it('lets a slow client read to the end what has been answered', async () => {
    answer = ({ response }) => {
      response.writeHead(200, []);
      response.end(Buffer.alloc(20_000_000, 'x'));
    };
    const client = new Client();
    client.socket.pause();
    client.send(get('/a'));
    await until(() => seen.length === 1);
    server.close().closeIdleConnections();
    await quiet();
    client.socket.resume();
    await until(() => client.closed);
    expect(client.text.endsWith('\r\n0\r\n\r\n')).toBe(true);
  });

  it('serves a connection whose first request is under way, and then ends it', async () => {
    const client = new Client();
    await until(() => count() === 1);
    server.close().closeIdleConnections();
    client.send(get('/a'));
    await until(() => client.closed);
    expect(client.text).toMatch(/\r\nconnection: close\r\n\r\n\/a$/);
  });

  it('closes all connections where that is wanted', async () => {
    answer = later;
    const busy = new Client().send(get('/a'));
    await until(() => seen.length === 1);
    server.close().closeAllConnections();
    await until(() => busy.closed);
    expect(seen[0].heard).toEqual(['close']);
  });

  it('leaves a connection alone on which half a request has come', async () => {
    const client = new Client().send('GET /a HTTP/1.1\r\n');
    await quiet();
    server.closeIdleConnections();
    client.send('host: x\r\n\r\n');
    await until(() => client.text.endsWith('/a'));
  });
});
