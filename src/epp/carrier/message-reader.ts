import { GrpcStatus } from './carrier.ts';

/** Envoy sends bodies in pieces of up to 1 MiB; gRPC's own default is 4 MiB, and headers come on top. */
export const maxMessageBytes = 4 * 1024 * 1024 + 64 * 1024;

const prefixBytes = 5;
/** What is set aside for a message that comes in several chunks, before it has grown: a peer may announce at will. */
const firstBytes = 64 * 1024;
const nothing = Buffer.alloc(0);

/** A frame that ends its call, with the status to end it with. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Finds gRPC's messages (a compressed flag, four bytes of length, the message) in chunks that are cut anywhere. A
 * message that lies in one chunk is a view of it; others are put together.
 */
export class MessageReader {
  /** What is to be read is chunk[at, end). */
  private chunk: Buffer = nothing;
  private at = 0;
  private end = 0;
  /** How much of the prefix was read, and what it said so far. */
  private prefix = 0;
  private length = 0;
  /** A message that began in an earlier chunk, and how much of it is there. */
  private partial: Buffer | null = null;
  private filled = 0;

  /** Takes chunk[start, end); only after `next` has returned null. */
  feed(chunk: Buffer, start = 0, end = chunk.length): void {
    this.chunk = chunk;
    this.at = start;
    this.end = end;
  }

  /** Copies what has not been read: the chunk belongs to somebody else from now on. */
  keep(): void {
    const { chunk, at, end } = this;
    if (at < end) this.feed(Buffer.from(chunk.subarray(at, end)));
    else this.chunk = nothing;
  }

  /** Whether the peer stopped within a message. */
  get incomplete(): boolean {
    return this.prefix > 0;
  }

  /** The next whole message, or null when more must come first. Throws a `FrameError`. */
  next(): Buffer | null {
    if (this.prefix < prefixBytes && !this.readPrefix()) return null;
    return this.partial === null ? this.begin() : this.fill(this.partial);
  }

  private readPrefix(): boolean {
    const { chunk } = this;
    while (this.prefix < prefixBytes) {
      if (this.at === this.end) return false;
      const byte = chunk[this.at++] ?? 0;
      if (this.prefix > 0) this.length = this.length * 256 + byte;
      else if (byte !== 0) throw new FrameError(GrpcStatus.unimplemented, 'compressed messages are not supported');
      this.prefix += 1;
    }
    if (this.length > maxMessageBytes) {
      const text = `a message of ${this.length} bytes; at most ${maxMessageBytes} are taken`;
      throw new FrameError(GrpcStatus.resourceExhausted, text);
    }
    return true;
  }

  private begin(): Buffer | null {
    const { chunk, at, end, length } = this;
    if (end - at >= length) {
      this.at = at + length;
      return this.finish(chunk.subarray(at, this.at));
    }
    this.partial = Buffer.allocUnsafeSlow(Math.min(length, Math.max(firstBytes, end - at)));
    this.filled = 0;
    return this.fill(this.partial);
  }

  private fill(partial: Buffer): Buffer | null {
    const taken = Math.min(this.length - this.filled, this.end - this.at);
    const room = this.grown(partial, this.filled + taken);
    this.chunk.copy(room, this.filled, this.at, this.at + taken);
    this.at += taken;
    this.filled += taken;
    this.partial = room;
    return this.filled === this.length ? this.finish(room.subarray(0, this.length)) : null;
  }

  private grown(partial: Buffer, needed: number): Buffer {
    if (needed <= partial.length) return partial;
    const room = Buffer.allocUnsafeSlow(Math.min(this.length, Math.max(needed, partial.length * 2)));
    partial.copy(room, 0, 0, this.filled);
    return room;
  }

  private finish(message: Buffer): Buffer {
    this.prefix = 0;
    this.length = 0;
    this.partial = null;
    return message;
  }
}
