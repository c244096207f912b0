/** The bytes of a head or trailer section that has not come whole, kept from one read to the next. */
export class KeptBytes {
  /** They are in `bytes[0, length)`; null while there are none. */
  bytes: Buffer | null = null;
  length = 0;

  /** Adds bytes[from, to), which belong to the reader again after the call; returns what now holds all of them. */
  add(bytes: Buffer, from: number, to: number): Buffer {
    const length = this.length + to - from;
    if (this.bytes === null || this.bytes.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, length * 2));
      this.bytes?.copy(grown, 0, 0, this.length);
      this.bytes = grown;
    }
    bytes.copy(this.bytes, this.length, from, to);
    this.length = length;
    return this.bytes;
  }

  clear(): void {
    this.bytes = null;
    this.length = 0;
  }
}
