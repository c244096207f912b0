import type { Socket } from 'node:net';

/** Takes what a read returned: bytes[0, length), which are overwritten by the next read of any socket. */
export type Reader = (bytes: Buffer, length: number) => void;

/**
 * Where all plain connections of clients read to. A read and its callback are one synchronous step, and the reader has
 * copied what it keeps when it returns, so that no two sockets are ever in it at once.
 */
const buffer = Buffer.allocUnsafeSlow(65_536);

/**
 * Reads a connection's bytes, if that can be had into one buffer for all. Node offers that to sockets that connect
 * (`onread` of node:net) and not to those that are accepted, whose every read gets 64 KiB of its own: a tenth of the
 * CPU time of a request, and some MB. So what `onread` sets is set here. A Node that is made differently reads as
 * usual.
 */
export function read(socket: Socket, reader: Reader): void {
  if (!readIntoBuffer(socket, reader)) socket.on('data', (bytes: Buffer) => reader(bytes, bytes.length));
  else socket.resume();
}

/** Whether the socket now reads into the buffer. */
export function readIntoBuffer(socket: Socket, reader: Reader): boolean {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return false;
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer');
  slots ??= slotsOf(socket);
  if (typeof useUserBuffer !== 'function' || slots.length !== 2) return false;
  Reflect.set(socket, slots[0], buffer);
  Reflect.set(socket, slots[1], (length: number) => {
    reader(buffer, length);
    return true;
  });
  Reflect.apply(useUserBuffer, handle, [buffer]);
  return true;
}

/** The properties in which a socket keeps its buffer and its callback, or none. */
let slots: readonly symbol[] | null = null;

function slotsOf(socket: Socket): readonly symbol[] {
  const symbols = Object.getOwnPropertySymbols(socket);
  return ['kBuffer', 'kBufferCb'].flatMap((name) => symbols.filter(({ description }) => description === name));
}
