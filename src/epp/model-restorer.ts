const empty = Buffer.alloc(0);
const key = Buffer.from('"model"');
const colon = 0x3a;
/** Bytes of white space between key and value at most; no engine writes more than one. */
const spaceLimit = 64;

/** What stands at a member `"model"`: another name, ours up to an index, or not enough to tell. */
const Verdict = { other: -1, open: -2 } as const;

/**
 * Puts the asked model name back wherever an answer has a member `"model"` with the engine's, piece by piece: held
 * back is only what the next piece decides. Quotes inside JSON strings are escaped, so generated text cannot be
 * mistaken for the member.
 */
export class ModelRestorer {
  private readonly engine: Buffer;
  private readonly asked: Buffer;
  private held: Buffer = empty;

  constructor(engine: string, asked: string) {
    this.engine = Buffer.from(JSON.stringify(engine));
    this.asked = Buffer.from(JSON.stringify(asked));
  }

  /** What of the answer can go on with this piece; `isLast` lets all of it go. Valid as long as the piece. */
  push(piece: Buffer, isLast: boolean): Buffer {
    const bytes = this.held.length === 0 ? piece : Buffer.concat([this.held, piece]);
    const parts: Buffer[] = [];
    let from = 0;
    let stop = bytes.length;
    for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + key.length)) {
      const end = this.valueEnd(bytes, at + key.length);
      if (end === Verdict.other) continue;
      if (end === Verdict.open) {
        stop = at;
        break;
      }
      parts.push(bytes.subarray(from, end - this.engine.length), this.asked);
      from = end;
    }
    if (isLast) stop = bytes.length;
    else if (stop === bytes.length) stop -= keyBegun(bytes, from);
    this.held = stop === bytes.length ? empty : Buffer.from(bytes.subarray(stop));
    const rest = bytes.subarray(from, stop);
    return parts.length === 0 ? rest : Buffer.concat([...parts, rest]);
  }

  /** Index after the engine's name, which is to stand after a colon. */
  private valueEnd(bytes: Buffer, from: number): number {
    const at = skipSpace(bytes, from);
    if (at - from > spaceLimit) return Verdict.other;
    if (at === bytes.length) return Verdict.open;
    if (bytes[at] !== colon) return Verdict.other;
    const start = skipSpace(bytes, at + 1);
    if (start - at > spaceLimit) return Verdict.other;
    const length = Math.min(this.engine.length, bytes.length - start);
    if (this.engine.compare(bytes, start, start + length, 0, length) !== 0) return Verdict.other;
    return length === this.engine.length ? start + length : Verdict.open;
  }
}

/** Bytes at the end that may be the begin of a key. */
function keyBegun(bytes: Buffer, from: number): number {
  for (let length = Math.min(key.length - 1, bytes.length - from); length > 0; length--) {
    if (key.compare(bytes, bytes.length - length, bytes.length, 0, length) === 0) return length;
  }
  return 0;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] === 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d))) at += 1;
  return at;
}
