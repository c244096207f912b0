import { randomBytes } from 'node:crypto';

/** Bytes that stay allocated between texts; longer texts get memory for the moment. */
const keptBytes = 256 * 1024;

/**
 * A running 64-bit hash of texts whose multipliers are secret: nobody outside can make texts that share a key. It
 * stands for all that has been added so far, so that one pass gives the keys of all beginnings of a chat. Keys are
 * for this process only.
 */
export class KeyedHash {
  private readonly secret: Uint32Array;
  private readonly scratch = Buffer.alloc(keptBytes);
  private readonly words = new Uint32Array(this.scratch.buffer, this.scratch.byteOffset, keptBytes / 4);
  private a = 0;
  private b = 0;

  /** `secret`: four words. */
  constructor(secret = Uint32Array.from({ length: 4 }, () => randomBytes(4).readUInt32LE())) {
    // Odd factors are invertible: no word is lost in a product.
    this.secret = secret.map((word) => word | 1);
  }

  begin(): void {
    this.a = this.secret[0];
    this.b = this.secret[1];
  }

  /** Adds a text; where one ends and the next begins counts too. */
  add(text: string): void {
    const most = 4 + text.length * 3;
    if (most <= keptBytes) {
      this.addBytes(this.scratch, this.words, text);
      return;
    }
    const bytes = Buffer.alloc((most + 3) & ~3);
    this.addBytes(bytes, new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), text);
  }

  addWord(word: number): void {
    this.words[0] = word;
    this.addWords(this.words, 1);
  }

  /** The halves of the key, each a function of all that was added. */
  get low(): number {
    return mix(this.a ^ mix(this.b)) >>> 0;
  }

  get high(): number {
    return mix(this.b ^ Math.imul(this.a, this.secret[2])) >>> 0;
  }

  private addBytes(bytes: Buffer, words: Uint32Array, text: string): void {
    const length = bytes.write(text, 4, 'utf8');
    const count = (length + 7) >>> 2;
    bytes.fill(0, 4 + length, count * 4);
    words[0] = length;
    this.addWords(words, count);
  }

  private addWords(words: Uint32Array, count: number): void {
    const [, , m, n] = this.secret;
    let { a, b } = this;
    for (let i = 0; i < count; i++) {
      const word = words[i];
      a = Math.imul(a ^ word, m);
      a ^= a >>> 15;
      b = Math.imul(((b << 13) | (b >>> 19)) ^ word, n) ^ (a >>> 16);
    }
    this.a = a;
    this.b = b;
  }
}

/** Finaliser of MurmurHash3 (32 bit): every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
