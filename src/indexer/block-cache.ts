import { bytesPerHeldBlock, type HeldBlocks } from './held/held-blocks.ts';

/** Places of an entry's fields, which lie side by side so that a probe touches one or two cache lines. */
const block = 0;
/** Next entry of the same bucket; 0 ends it. */
const chain = 1;
/** Neighbours in the ring of use; entry 0 is the ring's head and holds no block. */
const newer = 2;
const older = 3;
const stride = 4;
const bytesPerField = 4;
const firstEntries = 64;
/** Block numbers lie side by side; their product with this does not, and its top bits are spread best. */
const golden = 0x9e3779b1;

/** Upper bound of the memory one block takes: its entry and bucket, and at worst a place in the table of its own. */
export const bytesPerBlock = (stride + 1) * bytesPerField + bytesPerHeldBlock;

/**
 * The most recently used prompt blocks of one engine, in flat arrays that grow by doubling up to the limit. It keeps
 * their order; which blocks those are lies in a table that all engines share. It is prefix-closed: a block is never
 * held without its predecessors.
 */
export class BlockCache {
  /** Blocks held. */
  size = 0;
  private readonly held: HeldBlocks;
  private readonly lane: number;
  private limit: number;
  private entries: Int32Array;
  private heads: Int32Array;
  /** Bucket of a 32-bit hash: its share of the buckets, of which there need not be a power of two. */
  private bucketScale = 0;
  private allocated: number;
  /** From this block on nothing has been used since `age` was called last; 0 where there is no such block. */
  private mark = 0;

  /** `lane`: whose blocks these are among all that are held. `limit`: the most blocks to hold, at least 1. */
  constructor(held: HeldBlocks, lane: number, limit: number) {
    this.held = held;
    this.lane = lane;
    this.limit = limit;
    this.allocated = Math.min(limit, firstEntries);
    this.entries = new Int32Array(0);
    this.heads = new Int32Array(0);
    this.allocate();
  }

  /** Without what the shared table takes. */
  get bytes(): number {
    return this.entries.byteLength + this.heads.byteLength;
  }

  /** Whether the block of this key is held. */
  has(keyLow: number, keyHigh: number): boolean {
    return this.entryOf(this.held.find(keyLow | 0, keyHigh | 0)) !== 0;
  }

  /**
   * Makes the first `blocks` keys the most recently used, from the last to the first: a parent is then always more
   * recent than its children, so that what falls out at the other end is a leaf. What exceeds the limit is left out.
   */
  touchAll(keys: Uint32Array, blocks: number): void {
    for (let i = Math.min(blocks, this.limit) - 1; i >= 0; i--) this.touch(keys[2 * i] | 0, keys[2 * i + 1] | 0);
  }

  /**
   * Adds blocks that follow one which is held, the first of the `blocks` keys: right behind it in the order of use,
   * each behind its parent, so that what falls out first is still a leaf. False, and nothing added, where the first is
   * not held. A full cache that has nothing less recently used than their parent takes no more of them.
   */
  extend(keys: Uint32Array, blocks: number): boolean {
    let parent = this.entryOf(this.held.find(keys[0] | 0, keys[1] | 0));
    if (parent === 0) return false;
    for (let i = 1; i < blocks; i++) {
      const [keyLow, keyHigh] = [keys[2 * i] | 0, keys[2 * i + 1] | 0];
      const known = this.held.find(keyLow, keyHigh);
      let entry = this.entryOf(known);
      if (entry === 0) {
        if (this.size === this.limit && this.entries[newer] === parent) return true;
        entry = this.insert(known, keyLow, keyHigh);
        this.linkBehind(entry, parent);
      }
      parent = entry;
    }
    return true;
  }

  /** Sets the limit; the least recently used blocks beyond it are forgotten and their memory given back. */
  resize(limit: number): void {
    this.limit = limit;
    if (this.allocated > limit) this.rebuild(Math.min(this.size, limit), limit);
  }

  /** Forgets what has not been used since the last call, and gives its memory back. */
  age(): void {
    const { entries } = this;
    if (this.mark !== 0) {
      let kept = 0;
      for (let entry = entries[older]; entry !== this.mark; entry = entries[entry * stride + older]) kept += 1;
      this.rebuild(kept, Math.min(this.limit, powerOfTwo(Math.max(kept, firstEntries))));
    }
    this.mark = this.entries[older];
  }

  /** Gives up to `budget` blocks back, for a cache that is used no more; returns how many. */
  dissolve(budget: number): number {
    const count = Math.min(budget, this.size);
    for (let i = 0; i < count; i++) this.held.release(this.entries[this.size-- * stride + block], this.lane);
    return count;
  }

  private hashOf(ofBlock: number): number {
    return Math.floor((Math.imul(ofBlock, golden) >>> 0) * this.bucketScale);
  }

  /** The entry of a block, or 0; that of block 0, which is none, is 0. */
  private entryOf(ofBlock: number): number {
    if (ofBlock === 0) return 0;
    const { entries } = this;
    let entry = this.heads[this.hashOf(ofBlock)];
    while (entry !== 0 && entries[entry * stride + block] !== ofBlock) entry = entries[entry * stride + chain];
    return entry;
  }

  private touch(keyLow: number, keyHigh: number): void {
    const known = this.held.find(keyLow, keyHigh);
    let entry = this.entryOf(known);
    if (entry === 0) entry = this.insert(known, keyLow, keyHigh);
    else this.unlink(entry);
    this.linkBehind(entry, 0);
  }

  /** An entry outside the ring for a key that is not held here yet; `known` is its block, or 0 where nobody holds it. */
  private insert(known: number, keyLow: number, keyHigh: number): number {
    // Room is made first, so that the shared table never holds more than all limits together.
    const entry = this.size < this.limit ? this.fresh() : this.evict();
    this.enter(entry, this.held.hold(known, keyLow, keyHigh, this.lane));
    return entry;
  }

  private enter(entry: number, ofBlock: number): void {
    const { entries, heads } = this;
    const bucket = this.hashOf(ofBlock);
    entries[entry * stride + block] = ofBlock;
    entries[entry * stride + chain] = heads[bucket];
    heads[bucket] = entry;
  }

  private fresh(): number {
    if (this.size === this.allocated) this.grow();
    this.size += 1;
    return this.size;
  }

  /** Takes the least recently used block out and returns its entry for the next one. */
  private evict(): number {
    const { entries, heads } = this;
    const entry = entries[newer];
    const next = entries[entry * stride + chain];
    const bucket = this.hashOf(entries[entry * stride + block]);
    if (heads[bucket] === entry) heads[bucket] = next;
    else {
      let before = heads[bucket];
      while (entries[before * stride + chain] !== entry) before = entries[before * stride + chain];
      entries[before * stride + chain] = next;
    }
    this.unlink(entry);
    this.held.release(entries[entry * stride + block], this.lane);
    return entry;
  }

  private unlink(entry: number): void {
    const { entries } = this;
    const before = entries[entry * stride + newer];
    const after = entries[entry * stride + older];
    if (entry === this.mark) this.mark = after;
    entries[before * stride + older] = after;
    entries[after * stride + newer] = before;
  }

  /** Puts an entry next to another one, on its less recently used side; next to 0 it is the most recent one. */
  private linkBehind(entry: number, neighbour: number): void {
    const { entries } = this;
    const after = entries[neighbour * stride + older];
    entries[entry * stride + newer] = neighbour;
    entries[entry * stride + older] = after;
    entries[after * stride + newer] = entry;
    entries[neighbour * stride + older] = entry;
  }

  private allocate(): void {
    this.entries = new Int32Array((this.allocated + 1) * stride);
    this.heads = new Int32Array(this.allocated);
    this.bucketScale = this.allocated / 2 ** 32;
  }

  private grow(): void {
    const { entries } = this;
    this.allocated = Math.min(this.limit, this.allocated * 2);
    this.allocate();
    this.entries.set(entries);
    for (let entry = 1; entry <= this.size; entry++) this.enter(entry, entries[entry * stride + block]);
  }

  /** Moves the most recent blocks to new arrays and lets the others go. */
  private rebuild(kept: number, allocated: number): void {
    const { entries, mark } = this;
    let last = 0;
    for (let i = 0; i < kept; i++) last = entries[last * stride + older];
    for (let gone = entries[last * stride + older]; gone !== 0; gone = entries[gone * stride + older]) {
      this.held.release(entries[gone * stride + block], this.lane);
    }
    this.size = 0;
    this.allocated = allocated;
    this.mark = 0;
    this.allocate();
    for (let entry = last; entry !== 0; entry = entries[entry * stride + newer]) {
      const moved = this.fresh();
      this.enter(moved, entries[entry * stride + block]);
      this.linkBehind(moved, 0);
      if (entry === mark) this.mark = moved;
    }
  }
}

/** The smallest power of two that is at least `count`. */
function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
