import type { Frame } from './frame-reader.ts';
import { ConnectionError, ErrorCode, Flag } from './protocol.ts';

/** Bytes of a header block at most, as it comes; its fields are counted apart. */
const maxBlockBytes = 256 * 1024;
/** CONTINUATION frames for one block at most: full ones need 16, and empty ones would go on for ever. */
const maxContinuations = 64;
const nothing = Buffer.alloc(0);

/** The header block that is coming: one frame of HEADERS and what CONTINUATION adds to it. */
export class HeaderBlock {
  /** Of the HEADERS frame. */
  stream = 0;
  flags = 0;
  /** The block is bytes[start, end). */
  bytes: Buffer = nothing;
  start = 0;
  end = 0;
  /** Whether more must come before any other frame. */
  isOpen = false;
  private continuations = 0;

  /** Takes HEADERS; true once the block is whole. */
  begin(frame: Frame): boolean {
    this.stream = frame.stream;
    this.flags = frame.flags;
    this.bytes = frame.bytes;
    this.start = frame.start;
    this.end = frame.end;
    this.strip();
    this.isOpen = (frame.flags & Flag.endHeaders) === 0;
    if (!this.isOpen) return true;
    this.continuations = 0;
    this.own(Buffer.from(this.bytes.subarray(this.start, this.end)));
    return false;
  }

  /** Takes CONTINUATION of the same stream; true once the block is whole. */
  add(frame: Frame): boolean {
    this.continuations += 1;
    if (this.end + frame.length > maxBlockBytes || this.continuations > maxContinuations) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, 'a header block without end');
    }
    this.own(Buffer.concat([this.bytes, frame.bytes.subarray(frame.start, frame.end)]));
    this.isOpen = (frame.flags & Flag.endHeaders) === 0;
    return !this.isOpen;
  }

  /** Lets go of what has been read. */
  clear(): void {
    this.bytes = nothing;
  }

  private own(bytes: Buffer): void {
    this.bytes = bytes;
    this.start = 0;
    this.end = bytes.length;
  }

  /** Takes off padding and priority. */
  private strip(): void {
    if ((this.flags & Flag.padded) !== 0) {
      this.end -= this.bytes[this.start] ?? 0;
      this.start += 1;
    }
    if ((this.flags & Flag.priority) !== 0) this.start += 5;
    if (this.start > this.end) throw new ConnectionError(ErrorCode.protocolError, 'headers shorter than their padding');
  }
}
