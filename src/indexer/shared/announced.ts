import { BlockCache } from '../block-cache.ts';

const unlimited = 2 ** 30;

/**
 * What replicas have told of each engine in this epoch, so that a block is told once and not with every request. A new
 * epoch forgets it all: what is in use is then told again, and stays in the stream while older entries leave it.
 */
export class Announced {
  private readonly limitBlocks: number;
  private caches: (BlockCache | undefined)[] = [];
  private total = 0;

  /** `limitBlocks`: beyond these it starts anew. */
  constructor(limitBlocks: number) {
    this.limitBlocks = limitBlocks;
  }

  /** How many of the chain's first blocks are told already. */
  told(slot: number, keys: Uint32Array, blocks: number): number {
    return this.caches[slot]?.matchLength(keys, blocks, 0) ?? 0;
  }

  /** The chain has been told. `extending`: the first key is the parent of the others. */
  add(slot: number, keys: Uint32Array, extending: boolean): void {
    if (this.total >= this.limitBlocks) this.renew();
    const cache = (this.caches[slot] ??= new BlockCache(unlimited));
    const before = cache.size;
    if (extending) cache.extend(keys, keys.length / 2);
    else cache.touchAll(keys, keys.length / 2);
    this.total += cache.size - before;
  }

  forget(slot: number): void {
    this.total -= this.caches[slot]?.size ?? 0;
    this.caches[slot] = undefined;
  }

  renew(): void {
    this.caches = [];
    this.total = 0;
  }
}
