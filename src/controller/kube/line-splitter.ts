const lineFeed = 10;

/**
 * Splits bytes into lines at line feeds, however they are cut into pieces. Pieces of a line are joined once, when it is
 * whole, so a long line costs no more for coming in many pieces.
 */
export class LineSplitter {
  private readonly maxLength: number;
  private pieces: Buffer[] = [];
  private held = 0;

  /** `maxLength` in bytes, of one line. */
  constructor(maxLength: number) {
    this.maxLength = maxLength;
  }

  /** The lines that end in this piece, without their line feeds and without empty ones. Throws RangeError on a line too long. */
  *push(piece: Buffer): Generator<string> {
    let start = 0;
    for (let end = piece.indexOf(lineFeed); end >= 0; end = piece.indexOf(lineFeed, start)) {
      this.hold(piece.subarray(start, end));
      start = end + 1;
      const line = this.take();
      if (line !== '') yield line;
    }
    if (start < piece.length) this.hold(piece.subarray(start));
  }

  private hold(piece: Buffer): void {
    this.held += piece.length;
    if (this.held > this.maxLength) throw new RangeError(`a line is longer than ${this.maxLength} bytes`);
    this.pieces.push(piece);
  }

  private take(): string {
    const [first] = this.pieces;
    const line = this.pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.pieces);
    this.pieces = [];
    this.held = 0;
    return line.toString('utf8').trim();
  }
}
