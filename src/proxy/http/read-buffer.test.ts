import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { read, readIntoBuffer } from './read-buffer.ts';

/** Two sockets that are connected: the accepted one and its peer. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the server listens on no port');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const peer = connect(bound.port, '127.0.0.1');
  const [socket] = await accepted;
  server.close();
  return [socket, peer];
}

it('accepted sockets read into one buffer with this Node; where this fails, each read costs a buffer again', async () => {
  const [one, onePeer] = await pair();
  const [other, otherPeer] = await pair();
  const buffers = new Set<ArrayBufferLike>();
  const got: string[] = [];
  for (const socket of [one, other]) {
    expect(readIntoBuffer(socket, (bytes, length) => {
      buffers.add(bytes.buffer);
      got.push(bytes.toString('latin1', 0, length));
    })).toBe(true); // prettier-ignore
    socket.resume();
  }
  onePeer.end('hello');
  await once(one, 'end');
  otherPeer.end('world');
  await once(other, 'end');
  expect(got).toEqual(['hello', 'world']);
  expect(buffers.size).toBe(1);
});

it('they can be paused, and go on', async () => {
  const [socket, peer] = await pair();
  let read_ = 0;
  read(socket, (_bytes, length) => (read_ += length));
  socket.pause();
  peer.end(Buffer.alloc(1_000_000));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(read_).toBe(0);
  socket.resume();
  await once(socket, 'end');
  expect(read_).toBe(1_000_000);
});

it('a socket that is made differently reads as usual', async () => {
  const [inner, peer] = await pair();
  const stream = Duplex.from(inner);
  const got: string[] = [];
  read(stream as Socket, (bytes, length) => got.push(bytes.toString('latin1', 0, length)));
  peer.end('hello');
  await once(stream, 'end');
  expect(got.join('')).toBe('hello');
});
