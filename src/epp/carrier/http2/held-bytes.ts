/** Bytes of a stream that nobody takes now, in one piece, however small the frames were that brought them. */
export class HeldBytes {
  /** They are bytes[0, length). */
  bytes: Buffer;
  length = 0;

  constructor() {
    this.bytes = Buffer.allocUnsafe(1024);
  }

  /** Adds from[start, end), copied. */
  add(from: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, this.bytes.length * 2));
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    from.copy(this.bytes, this.length, start, end);
    this.length = length;
  }
}
