import { noUsage, usageIn, type Usage } from '../openai/usage.ts';

/** Bytes from an answer's end that are looked at: what engines write after the usage is far shorter. */
const kept = 4096;
const capacity = 2 * kept;
const empty = Buffer.alloc(0);

/**
 * The last bytes of an answer, copied because pieces are gone with their message. What is read of them does not depend
 * on how the answer was cut.
 */
export class ResponseTail {
  private bytes: Buffer = empty;
  private length = 0;

  push(piece: Buffer): void {
    const skipped = Math.max(0, piece.length - kept);
    if (skipped > 0) this.length = 0;
    const size = piece.length - skipped;
    this.makeRoom(size);
    piece.copy(this.bytes, this.length, skipped);
    this.length += size;
  }

  read(): Usage {
    if (this.length === 0) return noUsage;
    return usageIn(this.bytes.subarray(Math.max(0, this.length - kept), this.length));
  }

  private makeRoom(size: number): void {
    const needed = this.length + size;
    if (needed <= this.bytes.length) return;
    if (needed <= capacity) {
      // Most answers are one small piece: room for more is made when more comes.
      const grown = Buffer.allocUnsafe(this.bytes.length === 0 ? size : capacity);
      this.bytes.copy(grown, 0, 0, this.length);
      this.bytes = grown;
      return;
    }
    this.bytes.copy(this.bytes, 0, this.length - kept, this.length);
    this.length = kept;
  }
}
