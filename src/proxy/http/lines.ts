import { CR, LF, valueByte } from './octets.ts';

/**
 * Looks for the empty line that ends a head or the trailers, through any number of reads. Refuses CR without LF, LF
 * without CR, and control characters: what two parsers could take for two different ends of a line.
 */
export class LineScanner {
  /** Whether the empty line has been found. */
  found = false;
  /** Bytes up to here, all reads together. */
  length = 0;
  /** How much of CRLFCRLF the last bytes are. */
  private newline = 0;

  /** Starts anew; `midLine` is false where a line end has just been read, so that an empty line may follow. */
  begin(midLine: boolean): void {
    this.found = false;
    this.length = 0;
    this.newline = midLine ? 0 : 2;
  }

  /** Goes on to another head, whose bytes count with those before. */
  goOn(): void {
    this.found = false;
    this.newline = 0;
  }

  /** Goes to just behind the next empty line, or to `to`; -1 where a byte may not stand where it stands. */
  scan(bytes: Buffer, from: number, to: number): number {
    let newline = this.newline;
    let at = from;
    while (at < to && newline < 4) {
      const byte = bytes[at++];
      if (valueByte[byte] === 1 && (newline & 1) === 0) newline = 0;
      else {
        newline = nextNewline(newline, byte);
        if (newline < 0) return -1;
      }
    }
    this.newline = newline;
    this.length += at - from;
    this.found = newline === 4;
    return at;
  }
}

/** How much of CRLFCRLF has been seen after a byte that is no part of a line; -1 where it may not stand here. */
function nextNewline(newline: number, byte: number): number {
  const afterCr = (newline & 1) === 1;
  if (byte === LF) return afterCr ? newline + 1 : -1;
  return byte === CR && !afterCr ? newline + 1 : -1;
}
