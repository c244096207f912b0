import { createServer, type Socket } from 'node:net';

/**
 * The other end of the benchmark, in a process of its own: answers with bytes made beforehand, so that it never is
 * what limits. `/chat` gets 1 KB of JSON once its body is there, `/stream/N` gets N chunks of 150 bytes.
 */
const json = Buffer.alloc(1_024, 'x');
const answer = Buffer.concat([
  Buffer.from(
    'HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 07:43:02 GMT\r\nserver: uvicorn\r\n' +
      `content-length: ${json.length}\r\ncontent-type: application/json\r\n\r\n`,
  ),
  json,
]);
const streamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 07:43:02 GMT\r\nserver: uvicorn\r\n' +
    'content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n',
);
const event = Buffer.from(`96\r\n${`data: ${'x'.repeat(142)}\n\n`}\r\n`);
const streamEnd = Buffer.from('0\r\n\r\n');

const server = createServer({ noDelay: true }, (socket) => {
  let pending = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, Buffer.from(bytes)]);
    const headEnd = pending.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const head = pending.toString('latin1', 0, headEnd).toLowerCase();
    const length = Number(/content-length: *(\d+)/.exec(head)?.[1] ?? 0);
    if (pending.length < headEnd + 4 + length) return;
    pending = Buffer.alloc(0);
    const chunks = /^post \/stream\/(\d+) /.exec(head);
    if (chunks === null) socket.write(answer);
    else stream(socket, Number(chunks[1]));
  });
});

/** One event every 5 ms, as an engine's decoding steps make them: so that a read finds one event. */
function stream(socket: Socket, chunks: number): void {
  socket.write(streamHead);
  let left = chunks;
  const timer = setInterval(() => {
    socket.write(left > 0 ? event : streamEnd);
    if (left-- <= 0 || socket.destroyed) clearInterval(timer);
  }, 5);
}

server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.(address.port);
});
process.on('disconnect', () => process.exit(0));
