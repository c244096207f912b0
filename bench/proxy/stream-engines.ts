import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { chatPath, metricsBody, modelsBody, streamEvent } from './payloads.ts';

/**
 * Engines that stream, in a process of its own: `stream-engines.ts EVENTS MILLISECONDS` listens on eight ports, sends
 * their numbers to its parent, and answers each chat request with so many events, one every so many milliseconds,
 * each in a write and an HTTP chunk of its own.
 */
const events = Number(process.argv[2]);
const interval = Number(process.argv[3]);
const engines = 8;

const head = 'HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 07:43:02 GMT\r\nserver: uvicorn\r\n';
const streamHead = Buffer.from(
  `${head}content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n`,
);
const chunk = Buffer.from(`${streamEvent.length.toString(16)}\r\n${streamEvent}\r\n`);
const streamEnd = Buffer.from('0\r\n\r\n');

function whole(body: string, type: string): Buffer {
  return Buffer.from(`${head}content-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
}
const answers = new Map([
  ['/health', whole('', 'text/plain')],
  ['/metrics', whole(metricsBody, 'text/plain')],
  ['/v1/models', whole(modelsBody, 'application/json')],
]);
const notFound = Buffer.from('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');

function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
    const headEnd = pending.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const text = pending.toString('latin1', 0, headEnd);
    const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0);
    if (pending.length < headEnd + 4 + length) return;
    pending = Buffer.alloc(0);
    const path = text.split(' ', 2)[1];
    if (path === chatPath) stream(socket);
    else socket.write(answers.get(path) ?? notFound);
  });
}

function stream(socket: Socket): void {
  socket.write(streamHead);
  let left = events;
  const timer = setInterval(() => {
    socket.write(left > 0 ? chunk : streamEnd);
    if (left-- <= 0 || socket.destroyed) clearInterval(timer);
  }, interval);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

const servers = Array.from({ length: engines }, () => createServer({ noDelay: true }, serve).listen(0, '127.0.0.1'));
await Promise.all(servers.map((server) => once(server, 'listening')));
process.send?.(servers.map(portOf));
process.on('disconnect', () => process.exit(0));
