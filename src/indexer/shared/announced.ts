import { BlockCache } from '../block-cache.ts';
import { HeldBlocks } from '../held/held-blocks.ts';

/** Slots, as many as the fleet has. */
const slots = 16_384;

/**
 * What replicas have told of each engine in this epoch, so that a block is told once and not with every request. A new
 * epoch forgets it all: what is in use is then told again, and stays in the stream while older entries leave it.
 */
export class Announced {
  private readonly limitBlocks: number;
  private caches: (BlockCache | undefined)[] = [];
  private held: HeldBlocks;

  /** `limitBlocks`: beyond these it starts anew. */
  constructor(limitBlocks: number) {
    this.limitBlocks = limitBlocks;
    this.held = this.nothing();
  }

  /** How many of the chain's first blocks are told already. */
  told(slot: number, keys: Uint32Array, blocks: number): number {
    this.held.matched[slot] = 0;
    return this.held.match(keys, blocks)[slot];
  }

  /** The chain has been told. `extending`: the first key is the parent of the others. */
  add(slot: number, keys: Uint32Array, extending: boolean): void {
    if (this.held.held >= this.limitBlocks) this.renew();
    const cache = this.cacheOf(slot);
    if (extending) cache.extend(keys, keys.length / 2);
    else cache.touchAll(keys, keys.length / 2);
  }

  forget(slot: number): void {
    this.caches[slot]?.dissolve(Infinity);
    this.caches[slot] = undefined;
  }

  renew(): void {
    this.caches = [];
    this.held = this.nothing();
  }

  private cacheOf(slot: number): BlockCache {
    return (this.caches[slot] ??= new BlockCache(this.held, this.held.lanes.of(slot), this.limitBlocks));
  }

  /** One chain may go beyond the limit by as many blocks again. */
  private nothing(): HeldBlocks {
    return new HeldBlocks(2 * this.limitBlocks, slots);
  }
}
