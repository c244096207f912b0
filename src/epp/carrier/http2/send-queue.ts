import type { Outbox } from './outbox.ts';

/** Bytes that wait to be sent on a stream, in the order of their pieces, which are kept and not copied. */
export class SendQueue {
  private pieces: Uint8Array[] = [];
  /** The first piece that is not sent, and what of it is. */
  private first = 0;
  private sent = 0;
  private total = 0;

  /** Bytes. */
  get length(): number {
    return this.total;
  }

  push(piece: Uint8Array): void {
    this.pieces.push(piece);
    this.total += piece.length;
  }

  /** Moves so many bytes, at most `length`, to where they are sent. */
  move(count: number, outbox: Outbox): void {
    for (let left = count; left > 0;) {
      const piece = this.pieces[this.first];
      if (piece === undefined) return;
      const moved = Math.min(left, piece.length - this.sent);
      outbox.put(piece, this.sent, this.sent + moved);
      left -= moved;
      this.total -= moved;
      this.sent += moved;
      if (this.sent === piece.length) this.next();
    }
  }

  clear(): void {
    this.pieces = [];
    this.first = 0;
    this.sent = 0;
    this.total = 0;
  }

  private next(): void {
    this.sent = 0;
    this.first += 1;
    if (this.total === 0) this.clear();
    else if (this.first === 64) {
      this.pieces = this.pieces.slice(this.first);
      this.first = 0;
    }
  }
}
