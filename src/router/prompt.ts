/** Bytes of text in one block of the approximate prefix match; about 32 tokens. */
export const blockBytes = 128;
/** Bytes of text that count as one token where no tokenizer runs. */
export const bytesPerToken = 4;

const firstBytes = 16 * 1024;

/**
 * A prompt's text as UTF-8 bytes and the chained keys of its full blocks: key i stands for the text of blocks 0..i,
 * the model and the cache salt. One object serves all requests of a front door, since a decision never awaits.
 */
export class Prompt {
  /** Keys as pairs of 32-bit halves; valid after `blocks()` for the returned number of blocks. */
  keys = new Uint32Array(2 * (firstBytes / blockBytes));
  private bytes = new Uint8Array(firstBytes);
  private words = new Uint32Array(this.bytes.buffer);
  private length = 0;
  private seed = 0;
  private readonly secret: number;
  private hashed = -1;

  /** `secret`: 32 bits that keys depend on, so that nobody outside can make texts whose keys crowd one bucket. */
  constructor(secret = 0x9e3779b9) {
    this.secret = secret;
  }

  /** Starts a new prompt; prompts of different model or salt never share a block. */
  begin(model: string, salt = ''): void {
    this.length = 0;
    this.hashed = -1;
    this.seed = hashText(hashText(this.secret, model), salt);
  }

  /** Room for `count` more bytes; the caller writes them at the returned array and reports by `wrote`. */
  reserve(count: number): Uint8Array {
    const needed = this.length + count;
    if (needed > this.bytes.length) this.grow(needed);
    return this.bytes;
  }

  /** Where the next byte goes. */
  get end(): number {
    return this.length;
  }

  wrote(count: number): void {
    this.length += count;
    this.hashed = -1;
  }

  /** A prompt given as token ids, each in as many bytes as a token of text counts for: its length in tokens is exact. */
  appendTokens(ids: readonly number[]): void {
    this.reserve(ids.length * bytesPerToken);
    let at = this.length;
    for (const id of ids) {
      this.bytes[at] = id;
      this.bytes[at + 1] = id >>> 8;
      this.bytes[at + 2] = id >>> 16;
      this.bytes[at + 3] = id >>> 24;
      at += bytesPerToken;
    }
    this.wrote(at - this.length);
  }

  /** Length in tokens: four bytes each, of text or of an id. At least 1, as every engine computes something. */
  get tokens(): number {
    return Math.max(1, Math.ceil(this.length / bytesPerToken));
  }

  /** Number of full blocks; makes `keys` at the first call. */
  blocks(): number {
    if (this.hashed < 0) this.hashed = this.hash();
    return this.hashed;
  }

  private hash(): number {
    const count = Math.floor(this.length / blockBytes);
    if (this.keys.length < 2 * count) this.keys = new Uint32Array(2 * (this.bytes.length / blockBytes));
    const { words, keys } = this;
    const wordsPerBlock = blockBytes / 4;
    let a = this.seed;
    let b = ~this.seed;
    for (let block = 0, at = 0; block < count; block++) {
      for (const stop = at + wordsPerBlock; at < stop; at++) {
        // Two lanes of multiply-rotate steps; chaining needs no second pass because the state runs on.
        const word = words[at];
        a = Math.imul((a << 13) | (a >>> 19), 0x85ebca6b) ^ Math.imul(word, 0xcc9e2d51);
        b = Math.imul(((b << 7) | (b >>> 25)) ^ word, 0xc2b2ae35);
      }
      // A bijection of the state: no two states share a key, and each half alone spreads over all buckets.
      const low = mix(a);
      keys[2 * block] = low;
      keys[2 * block + 1] = mix(b ^ low);
    }
    return count;
  }

  private grow(needed: number): void {
    let size = this.bytes.length;
    while (size < needed) size *= 2;
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer);
  }
}

/** Finaliser of MurmurHash3 (32 bit): every input bit reaches every output bit. */
export function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hashText(seed: number, text: string): number {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h ^ text.length);
}
