import type { Socket } from 'node:net';
import { noTable } from './hpack-encoder.ts';
import { ErrorCode, Flag, frameHeadBytes, FrameType, maxPayloadBytes } from './protocol.ts';

/** Bytes that are gathered before another buffer is taken. */
const slabBytes = 32 * 1024;
/** Bytes that wait for the peer at most before streams keep theirs. */
const highWater = 1024 * 1024;
const nothing = Buffer.alloc(0);

/** Frames on their way to the socket: all of one turn go out as one write. */
export class Outbox {
  private readonly socket: Socket;
  /** Frames are in slab[from, to); used again from its start once the kernel has taken all. */
  private slab: Buffer = nothing;
  private from = 0;
  private to = 0;
  /** Parts of earlier slabs, which stand before it. */
  private full: Buffer[] = [];
  /** Whether the peer is still to hear that we use no table of fields, and whether it has. */
  private owesNoTable = false;
  private usesNoTable = false;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Whether nothing waits for `flush`. */
  get isEmpty(): boolean {
    return this.from === this.to && this.full.length === 0;
  }

  /** Whether we have more than the peer takes. */
  get isFull(): boolean {
    return this.full.length * slabBytes + this.socket.writableLength >= highWater;
  }

  /** Begins a frame; so many bytes of payload follow by `put`. */
  frame(type: number, flags: number, stream: number, length: number): void {
    this.makeRoom(frameHeadBytes);
    const { slab, to } = this;
    slab[to] = length >> 16;
    slab[to + 1] = length >> 8;
    slab[to + 2] = length;
    slab[to + 3] = type;
    slab[to + 4] = flags;
    this.to = to + 5;
    this.putNumber(stream);
  }

  /** Adds bytes[start, end), copied. */
  put(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end;) {
      this.makeRoom(1);
      const count = Math.min(end - at, this.slab.length - this.to);
      this.slab.set(count === bytes.length ? bytes : bytes.subarray(at, at + count), this.to);
      this.to += count;
      at += count;
    }
  }

  /** A frame whose payload is one number. */
  number(type: typeof FrameType.windowUpdate | typeof FrameType.rstStream, stream: number, value: number): void {
    this.frame(type, 0, stream, 4);
    this.makeRoom(4);
    this.putNumber(value);
  }

  /** A frame of stream 0 with few bytes. */
  control(type: number, flags: number, payload: Uint8Array): void {
    this.frame(type, flags, 0, payload.length);
    this.put(payload, 0, payload.length);
  }

  goaway(lastStream: number, code: number): void {
    this.frame(FrameType.goaway, 0, 0, 8);
    this.makeRoom(8);
    this.putNumber(lastStream);
    this.putNumber(code);
  }

  /** The peer wants a smaller table of fields than by default; the next block says that we use none. */
  useNoTable(): void {
    if (this.usesNoTable) return;
    this.owesNoTable = true;
    this.usesNoTable = true;
  }

  /** A header block, in as many frames as it takes. */
  headers(stream: number, fields: Uint8Array, endStream: boolean): void {
    const block = this.owesNoTable ? Buffer.concat([noTable, fields]) : fields;
    this.owesNoTable = false;
    const end = endStream ? Flag.endStream : 0;
    let type: number = FrameType.headers;
    for (let at = 0; at < block.length || at === 0;) {
      const next = Math.min(at + maxPayloadBytes, block.length);
      const last = next === block.length ? Flag.endHeaders : 0;
      this.frame(type, type === FrameType.headers ? end | last : last, stream, next - at);
      this.put(block, at, next);
      type = FrameType.continuation;
      at = next;
    }
  }

  /** Tells the peer that nothing more is read of a stream, without blaming it. */
  partWith(stream: number): void {
    this.number(FrameType.rstStream, stream, ErrorCode.noError);
  }

  /** Hands all to the socket; after the end of the connection it is dropped. */
  flush(): void {
    const { socket, slab, from, to, full } = this;
    if (this.isEmpty) return;
    this.from = to;
    if (!socket.writable) {
      this.full = [];
      return;
    }
    if (full.length === 0) socket.write(slab.subarray(from, to));
    else {
      this.full = [];
      socket.cork();
      for (const bytes of full) socket.write(bytes);
      if (to > from) socket.write(slab.subarray(from, to));
      socket.uncork();
    }
    // What the socket still holds must stay as it is. TLS may read while it writes, and then more has come meanwhile.
    if (socket.writableLength > 0 || this.to !== this.from) return;
    this.from = 0;
    this.to = 0;
  }

  private makeRoom(bytes: number): void {
    if (this.to + bytes <= this.slab.length) return;
    if (this.to > this.from) this.full.push(this.slab.subarray(this.from, this.to));
    this.slab = Buffer.allocUnsafeSlow(slabBytes);
    this.from = 0;
    this.to = 0;
  }

  private putNumber(value: number): void {
    const { slab, to } = this;
    slab[to] = value >>> 24;
    slab[to + 1] = value >>> 16;
    slab[to + 2] = value >>> 8;
    slab[to + 3] = value;
    this.to = to + 4;
  }
}
