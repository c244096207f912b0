import type { BlockPool } from './block-pool.ts';
import type { Sequence } from './sequence.ts';

/** Told which blocks of a sequence can now be hit: `from` up to (not including) `to`. */
export interface StoreListener {
  stored(sequence: Sequence, from: number, to: number): void;
}

/** Storage that several engines share: KV of whole prompts. */
export interface SharedStore {
  /** Leading prompt tokens of this sequence that can be loaded; 0 for none. */
  find(sequence: Sequence): number;
  /** The sequence's prompt is computed. */
  save(sequence: Sequence): void;
}

/** Gives sequences their blocks and takes them back; knows what of them the prefix cache may offer to others. */
export class Allocation {
  private readonly pool: BlockPool;
  private readonly blockSize: number;
  private readonly listener: StoreListener | null;

  constructor(pool: BlockPool, blockSize: number, listener: StoreListener | null) {
    this.pool = pool;
    this.blockSize = blockSize;
    this.listener = listener;
  }

  /** Holds cached blocks and takes free ones for all tokens of a sequence without any; false when too few are free. */
  allocate(sequence: Sequence): boolean {
    const { pool, blockSize } = this;
    const needed = Math.ceil(sequence.length / blockSize);
    const hits = this.cachedBlocks(sequence);
    let free = pool.free - (needed - hits.length);
    for (const block of hits) if (pool.isFree(block)) free -= 1;
    if (free < 0) return false;
    for (const block of hits) pool.hold(block);
    sequence.registered = hits.length;
    sequence.computed = hits.length * blockSize;
    sequence.blocks = hits;
    while (sequence.blocks.length < needed) sequence.blocks.push(pool.take());
    return true;
  }

  /** Offers to the cache the full blocks among the first `upTo` tokens: requests of the same step may already share them. */
  register(sequence: Sequence, upTo: number): void {
    const full = Math.floor(upTo / this.blockSize);
    let runStart = sequence.registered;
    for (let block = sequence.registered; block < full; block++) {
      const high = sequence.hashHigh(block);
      if (this.pool.register(sequence.blocks[block], high, sequence.hashLow(block))) continue;
      if (block > runStart) this.listener?.stored(sequence, runStart, block);
      runStart = block + 1;
    }
    if (full > runStart) this.listener?.stored(sequence, runStart, full);
    sequence.registered = Math.max(sequence.registered, full);
  }

  /** The last block first: the end of a prompt is the part least likely to be shared. */
  free(sequence: Sequence): void {
    for (let i = sequence.blocks.length - 1; i >= 0; i--) this.pool.release(sequence.blocks[i]);
    sequence.blocks = [];
  }

  /** The leading blocks found in the cache; the last token is always computed, since its result is the next token. */
  private cachedBlocks(sequence: Sequence): number[] {
    const most = Math.floor((sequence.length - 1) / this.blockSize);
    const hits: number[] = [];
    while (hits.length < most) {
      const block = this.pool.find(sequence.hashHigh(hits.length), sequence.hashLow(hits.length));
      if (block < 0) break;
      hits.push(block);
    }
    return hits;
  }
}
