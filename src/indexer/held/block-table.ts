import { Pool, sharedInts } from '../blocks/pool.ts';

const low = 0;
const high = 1;
/** Next block of the same bucket; 0 ends it. Links returned blocks too. */
const chain = 2;
const stride = 3;
const firstBuckets = 1024;

/** Bytes that a block takes here: its fields and its bucket. */
export const bytesPerTableBlock = (stride + 1) * 4;

/**
 * Blocks by 64-bit key, numbered from 1. The buckets become more one by one (linear hashing, Litwin 1980), so that no
 * request waits for a table to be made anew and no memory is written to before it is needed.
 */
export class BlockTable {
  private readonly blocks: Int32Array;
  private readonly heads: Int32Array;
  private readonly pool: Pool;
  /** Buckets in use: more than half of `mask + 1`. */
  private buckets = firstBuckets;
  private mask = 2 * firstBuckets - 1;

  /** `size`: the most blocks to hold. */
  constructor(size: number) {
    this.blocks = sharedInts((1 + size) * stride);
    this.heads = sharedInts(Math.max(size, firstBuckets));
    this.pool = new Pool(this.blocks, { stride, link: chain, first: 1, size });
  }

  /** Blocks held. */
  get used(): number {
    return this.pool.used;
  }

  /** The block of a key given as signed halves, or 0. */
  find(keyLow: number, keyHigh: number): number {
    const { blocks } = this;
    let block = this.heads[this.bucketOf(keyLow)];
    while (block !== 0) {
      const at = block * stride;
      if (blocks[at + low] === keyLow && blocks[at + high] === keyHigh) return block;
      block = blocks[at + chain];
    }
    return 0;
  }

  /** A block for a key that has none; the table must not be full. */
  add(keyLow: number, keyHigh: number): number {
    const block = this.pool.take();
    if (block === 0) throw new RangeError('the table of blocks is full: its owner holds more than it was made for');
    if (this.pool.used > this.buckets && this.buckets < this.heads.length) this.split();
    const { blocks, heads } = this;
    const at = block * stride;
    const bucket = this.bucketOf(keyLow);
    blocks[at + low] = keyLow;
    blocks[at + high] = keyHigh;
    blocks[at + chain] = heads[bucket];
    heads[bucket] = block;
    return block;
  }

  remove(block: number): void {
    const { blocks, heads } = this;
    const bucket = this.bucketOf(blocks[block * stride + low]);
    const next = blocks[block * stride + chain];
    if (heads[bucket] === block) heads[bucket] = next;
    else {
      let before = heads[bucket];
      while (blocks[before * stride + chain] !== block) before = blocks[before * stride + chain];
      blocks[before * stride + chain] = next;
    }
    this.pool.give(block);
  }

  private bucketOf(keyLow: number): number {
    const bucket = keyLow & this.mask;
    return bucket < this.buckets ? bucket : bucket & (this.mask >>> 1);
  }

  /** Makes one bucket more, out of what one of those before has to give. */
  private split(): void {
    const { blocks, heads, mask } = this;
    const made = this.buckets;
    const from = made & (mask >>> 1);
    let block = heads[from];
    heads[from] = 0;
    this.buckets += 1;
    while (block !== 0) {
      const at = block * stride;
      const next = blocks[at + chain];
      const bucket = (blocks[at + low] & mask) === made ? made : from;
      blocks[at + chain] = heads[bucket];
      heads[bucket] = block;
      block = next;
    }
    if (made === mask) this.mask = 2 * mask + 1;
  }
}
