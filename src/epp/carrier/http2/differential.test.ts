// What an independent client of HTTP/2 writes, and what we read of it.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import fc from 'fast-check';
import { frame, FrameType } from '../frames.fixture.ts';
import { FrameReader, type Frame } from './frame-reader.ts';
import { HeaderBlock } from './header-block.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { FrameType as Type } from './protocol.ts';

type Fields = readonly (readonly [name: string, value: string])[];

/** The bytes of a connection on which node:http2 makes one request after the other. */
async function recorded(requests: readonly Fields[]): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  session.on('error', () => undefined);
  const socket = await accepted;
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(frame(FrameType.settings, 0, 0));
  await once(session, 'remoteSettings');
  for (const fields of requests) {
    const headers: Record<string, string> = { ':method': 'POST', ':path': '/x' };
    for (const [name, value] of fields) headers[name] = value;
    session
      .request(headers)
      .on('error', () => undefined)
      .end('body');
  }
  const pinged = new Promise<void>((resolve) => session.ping(() => resolve()));
  while (!Buffer.concat(chunks).includes(Buffer.from('0000080600', 'hex'))) await once(socket, 'data');
  session.destroy();
  await Promise.all([pinged, once(socket, 'close')]);
  server.close();
  return Buffer.concat(chunks);
}

/** The fields and the body of each stream. */
function decoded(bytes: Buffer, cuts: readonly number[]): { fields: Fields; body: string }[] {
  const found = new Map<number, { fields: (readonly [string, string])[]; body: string }>();
  const of = (stream: number) => found.get(stream) ?? { fields: [], body: '' };
  const decoder = new HpackDecoder();
  const block = new HeaderBlock();
  let current = 0;
  const finish = (): void => {
    const one = of(block.stream);
    found.set(block.stream, one);
    decoder.decode(block.bytes, block.start, block.end, {
      onField: ({ name, value }) => one.fields.push([name, value]),
    });
  };
  const reader = new FrameReader({
    onDataBegin: ({ stream }) => void (current = stream),
    onData: (bytes, start, end) => void (of(current).body += bytes.toString('latin1', start, end)),
    onDataEnd: () => undefined,
    onFrame: (frame: Frame) => {
      if (frame.type === Type.headers && block.begin(frame)) finish();
      if (frame.type === Type.continuation && block.add(frame)) finish();
    },
  });
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    const piece = Buffer.from(bytes.subarray(at, end));
    reader.read(piece, 0, piece.length);
    piece.fill(0);
    at = end;
  }
  return [...found.values()];
}

const own = new Set([':method', ':path', ':scheme', ':authority']);
const theirs = (all: readonly { fields: Fields; body: string }[]): Fields[] =>
  all.map(({ fields }) => fields.filter(([name]) => !own.has(name)));

it('random requests of node:http2, cut anywhere, are read as they were sent', { timeout: 120_000 }, async () => {
  const name = fc.stringMatching(/^x-[a-z0-9]{1,12}$/);
  const value = fc.oneof(
    fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/),
    fc.constantFrom('', 'application/grpc', 'a', '\xe4\xf6\xfc', '~'.repeat(5000)),
  );
  const fields = fc.uniqueArray(fc.tuple(name, value), { maxLength: 12, selector: ([name]) => name });
  const requests = fc.array(fields, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(requests, fc.array(fc.nat(20_000), { maxLength: 20 }), async (requests, cuts) => {
      const bytes = await recorded(requests);
      const sorted = cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b);
      const found = decoded(bytes, sorted);
      expect(theirs(found)).toEqual(requests);
      expect(found.map(({ body }) => body)).toEqual(requests.map(() => 'body'));
    }),
    { numRuns: 60 },
  );
});

it('a small connection is read alike wherever it is cut', async () => {
  const requests: Fields[] = [[['te', 'trailers']], [['x-a', 'b c']], [['x-a', 'b c']]];
  const bytes = await recorded(requests);
  for (let cut = 0; cut <= bytes.length; cut += 1) expect(theirs(decoded(bytes, [cut]))).toEqual(requests);
});

it("Huffman's codes of all bytes that may be in a value are those of node:http2", async () => {
  const values = Array.from({ length: 256 }, (_, byte) => byte)
    .filter((byte) => byte === 9 || (byte >= 32 && byte !== 127))
    // Short codes around it make the whole shorter than it is without a code.
    .map((byte, index): Fields => [[`x-${index}`, `${'a'.repeat(40)}${String.fromCharCode(byte)}${'e'.repeat(40)}`]]);
  const bytes = await recorded(values);
  expect(theirs(decoded(bytes, []))).toEqual(values);
  expect(bytes.includes('a'.repeat(40))).toBe(false);
});
