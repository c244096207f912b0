import { mix } from '../../router/prompt.ts';

/** What the keys of a prompt depend on besides its tokens; prompts of different scopes never share a block. */
export interface KeyScope {
  /** Tokens in a block, at least 1: engines differ, and a block of one size says nothing of blocks of another. */
  readonly blockSize: number;
  /** Name of the LoRA adapter, or empty. */
  readonly lora: string;
  /** Cache salt of the prompt, or empty. */
  readonly salt: string;
}

const firstBlocks = 1024;

/**
 * Chained 64-bit keys of the full blocks of token ids: key i stands for the scope and the tokens of blocks 0..i. The
 * key is the whole state of the chain, so a chain goes on from any stored key: that of the parent block which an
 * engine's event names. What is taken in is 32-bit words: token ids, code units of texts.
 */
export class TokenKeys {
  /** Keys as pairs of halves, low before high; valid after `compute` for the returned number of blocks. */
  keys = new Uint32Array(2 * firstBlocks);
  /** The last key made, as signed halves. */
  low = 0;
  high = 0;
  private readonly secret: number;

  /** `secret`: 32 bits that keys depend on, so that nobody outside can make prompts whose keys crowd one bucket. */
  constructor(secret: number) {
    this.secret = secret | 0;
  }

  /** Fills `keys` for the first `count` tokens; returns the number of full blocks. */
  compute(tokens: Uint32Array, count: number, scope: KeyScope): number {
    const { blockSize } = scope;
    const blocks = Math.floor(count / blockSize);
    if (this.keys.length < 2 * blocks) this.keys = new Uint32Array(2 ** Math.ceil(Math.log2(2 * blocks)));
    const { keys } = this;
    this.begin(scope);
    for (let block = 0; block < blocks; block++) {
      this.next(tokens, block * blockSize, blockSize);
      keys[2 * block] = this.low;
      keys[2 * block + 1] = this.high;
    }
    return blocks;
  }

  /** Starts the chain of a prompt. */
  begin(scope: KeyScope): void {
    this.low = this.secret;
    this.high = ~this.secret;
    this.absorb(scope.blockSize);
    this.extend(scope.lora);
    this.extend(scope.salt);
    this.finish(this.low, this.high);
  }

  /** Goes on behind the block of this key. */
  resume(low: number, high: number): void {
    this.low = low | 0;
    this.high = high | 0;
  }

  /** Makes the next key depend on a text also; called before the `next` that it belongs to. */
  extend(text: string): void {
    for (let i = 0; i < text.length; i++) this.absorb(text.charCodeAt(i));
    this.absorb(text.length);
  }

  /** The key of the block of tokens `from` .. `from + size - 1`, into `low` and `high`. */
  next(tokens: Uint32Array, from: number, size: number): void {
    let a = this.low;
    let b = this.high;
    for (let at = from; at < from + size; at++) {
      const word = tokens[at];
      a = Math.imul((a << 13) | (a >>> 19), 0x85ebca6b) ^ Math.imul(word, 0xcc9e2d51);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ word, 0xc2b2ae35);
    }
    this.finish(a, b);
  }

  /** One step of both lanes, as in `next`. */
  private absorb(word: number): void {
    const { low, high } = this;
    this.low = Math.imul((low << 13) | (low >>> 19), 0x85ebca6b) ^ Math.imul(word, 0xcc9e2d51);
    this.high = Math.imul(((high << 7) | (high >>> 25)) ^ word, 0xc2b2ae35);
  }

  /** A bijection of the lanes: no two states share a key, and each half alone spreads over all buckets. */
  private finish(a: number, b: number): void {
    this.low = mix(a);
    this.high = mix(b ^ this.low);
  }
}
