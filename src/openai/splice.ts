/** Bytes made of ranges of other bytes, in their order, and of what is put between them. */
export class Splice {
  private readonly source: Buffer;
  private readonly pieces: Buffer[] = [];
  /** The range that is still to be added: neighbours become one piece. */
  private from = 0;
  private to = 0;

  constructor(source: Buffer) {
    this.source = source;
  }

  /** Takes over a range of the source; `to` is exclusive. */
  keep(from: number, to: number): void {
    if (from !== this.to) {
      this.flush();
      this.from = from;
    }
    this.to = to;
  }

  add(piece: Buffer): void {
    this.flush();
    this.pieces.push(piece);
  }

  whole(): Buffer {
    this.flush();
    return Buffer.concat(this.pieces);
  }

  private flush(): void {
    if (this.to > this.from) this.pieces.push(this.source.subarray(this.from, this.to));
    this.from = this.to;
  }
}
