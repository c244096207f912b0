import { CR, LF, SEMICOLON, valueByte } from './octets.ts';

const State = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, over: 6 } as const;

/** 2^48 bytes is more than any chunk; more digits could lose precision in a double. */
const maxSizeDigits = 12;
/** Bytes of a chunk's extensions, which nobody reads. */
const maxExtensionBytes = 256;

const hexValue = Int8Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  return /[0-9a-fA-F]/.test(char) ? Number.parseInt(char, 16) : -1;
});

/** What stands around the data of the chunked coding (RFC 9112 §7.1), up to the trailers. */
export class ChunkFrame {
  /** Bytes of data still to come in this chunk. */
  remaining = 0;
  /** What was invalid. */
  fault = '';
  private state: number = State.size;
  /** Digits of this chunk's size, and bytes of its extensions, so far. */
  private sizeDigits = 0;
  private extensionBytes = 0;

  begin(): void {
    this.state = State.size;
    this.remaining = 0;
    this.sizeDigits = 0;
    this.extensionBytes = 0;
  }

  /** Whether data comes next. */
  get inData(): boolean {
    return this.state === State.data;
  }

  /** Whether the last chunk has come: trailers come next. */
  get isOver(): boolean {
    return this.state === State.over;
  }

  /** So many bytes of data have been read. */
  took(count: number): void {
    this.remaining -= count;
    if (this.remaining === 0) this.state = State.dataCr;
  }

  /** Reads what stands before data or trailers; returns where to go on, or -1 after a fault. */
  read(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at >= 0 && at < to && this.state !== State.data && this.state !== State.over) at = this.step(bytes, at, to);
    return at;
  }

  private step(bytes: Buffer, at: number, to: number): number {
    switch (this.state) {
      case State.size:
        return this.readSize(bytes, at, to);
      case State.extension:
        return this.readExtension(bytes, at, to);
      case State.sizeLf:
        return this.expect(bytes[at] === LF, this.remaining > 0 ? State.data : State.over, at);
      case State.dataCr:
        return this.expect(bytes[at] === CR, State.dataLf, at);
      default:
        this.sizeDigits = 0;
        this.extensionBytes = 0;
        return this.expect(bytes[at] === LF, State.size, at);
    }
  }

  private readSize(bytes: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const byte = bytes[at];
      const value = hexValue[byte];
      if (value < 0) {
        const ends = this.sizeDigits > 0 && (byte === CR || byte === SEMICOLON);
        return this.expect(ends, byte === CR ? State.sizeLf : State.extension, at);
      }
      if (++this.sizeDigits > maxSizeDigits) return this.fail('a chunk size has too many digits');
      this.remaining = this.remaining * 16 + value;
    }
    return to;
  }

  private readExtension(bytes: Buffer, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const byte = bytes[at];
      if (byte === CR) return this.expect(true, State.sizeLf, at);
      if (valueByte[byte] === 0) return this.fail('a chunk extension holds a control character');
      if (++this.extensionBytes > maxExtensionBytes) return this.fail('a chunk extension is too long');
    }
    return to;
  }

  private expect(valid: boolean, next: number, at: number): number {
    if (!valid) return this.fail('a chunk is not framed as size CRLF data CRLF');
    this.state = next;
    return at + 1;
  }

  private fail(fault: string): -1 {
    this.fault = fault;
    return -1;
  }
}
