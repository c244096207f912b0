import type { Candidates } from '../router/candidates.ts';
import type { PrefixSource } from '../router/prefix.ts';
import { blockBytes, bytesPerToken } from '../router/prompt.ts';
import type { InferenceRequest } from '../router/request.ts';
import { BlockCache, bytesPerBlock } from './block-cache.ts';
import { HeldBlocks } from './held/held-blocks.ts';
import { LearnedShare } from './learned-share.ts';

const tokensPerBlock = blockBytes / bytesPerToken;
/** KV cache of an engine that has not said its size, in tokens. */
export const defaultCapacityTokens = 524_288;
/** Memory for all endpoints together, in bytes: 128 engines of that size that have no block in common. */
export const defaultMemoryBytes = 96 * 1024 * 1024;
/** Slots, by default as many as the fleet has. */
const defaultSlots = 16_384;
/** Blocks of endpoints that are gone that are freed with each request, besides one for each of its own. */
const sweptByTheWay = 64;

/**
 * Which prefix each engine has cached, guessed from what this router has sent there: an LRU of prompt blocks per
 * endpoint, of the engine's own size. A request counts from its decision on, so that siblings in flight follow it.
 * What the engine caches besides (answers, other routers' requests) is not known here, so blocks may live a little
 * longer in this book than in the engine; event-driven sources exist for those who need it exact.
 */
export class ApproximateIndex implements PrefixSource {
  /** Blocks that the memory holds. */
  private readonly blocks: number;
  private readonly held: HeldBlocks;
  private readonly caches: (BlockCache | undefined)[] = [];
  /** What setCapacity was told; kept over `forget`, since an engine comes back with the cache size it had. */
  private readonly capacities: (number | undefined)[] = [];
  private readonly learned: (LearnedShare | undefined)[] = [];
  /** Of endpoints that are forgotten; what lies in them is freed little by little. */
  private readonly leaving: BlockCache[] = [];
  private inUse = 0;
  /** Blocks that the memory allows each endpoint. */
  private share = Infinity;
  /** The next slot to bring to its share after the share has changed. */
  private toResize = 0;
  /** The next slot to age. */
  private toAge = 0;

  /** `memoryBytes`: the most all endpoints together may take. `slots`: slots are below this. */
  constructor(memoryBytes = defaultMemoryBytes, slots = defaultSlots) {
    this.blocks = Math.floor(memoryBytes / bytesPerBlock);
    // Where there are more endpoints than blocks, each has one all the same.
    this.held = new HeldBlocks(this.blocks + slots, slots);
  }

  /** Blocks remembered, over all endpoints; one that several hold counts for each. */
  get size(): number {
    return this.caches.reduce((sum, cache) => sum + (cache?.size ?? 0), 0);
  }

  /** Memory in use, over all endpoints. */
  get bytes(): number {
    return this.caches.reduce((sum, cache) => sum + (cache?.bytes ?? 0), this.held.bytes);
  }

  /** The engine's KV cache holds so many tokens; what no longer fits is forgotten, least recently used first. */
  setCapacity(slot: number, tokens: number): void {
    this.capacities[slot] = tokens;
    this.caches[slot]?.resize(this.limit(slot));
  }

  match(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    const { prompt } = request;
    const { slots, promptTokens } = candidates;
    const { matched } = this.held;
    for (let i = 0; i < candidates.length; i++) matched[slots[i]] = 0;
    const blocks = prompt.blocks();
    this.held.match(prompt.keys, blocks);
    for (let i = 0; i < candidates.length; i++) out[i] = Math.min(promptTokens, matched[slots[i]] * tokensPerBlock);
  }

  routed(request: InferenceRequest, slot: number): void {
    const { prompt } = request;
    const blocks = prompt.blocks();
    this.tidy(blocks);
    if (blocks > 0) this.cacheOf(slot).touchAll(prompt.keys, blocks);
  }

  answered(slot: number, predicted: number, cached: number | null): void {
    const learned = (this.learned[slot] ??= new LearnedShare());
    const before = learned.value;
    learned.observe(predicted, cached);
    if (learned.value !== before) this.caches[slot]?.resize(this.limit(slot));
  }

  /**
   * Forgets what has not been used for a whole round. A call goes on by so many endpoints, so that no request waits for
   * all of them; it returns whether the round is complete.
   */
  age(count: number): boolean {
    const stop = Math.min(this.caches.length, this.toAge + count);
    for (; this.toAge < stop; this.toAge++) this.caches[this.toAge]?.age();
    if (this.toAge < this.caches.length) return false;
    this.toAge = 0;
    return true;
  }

  /**
   * Somebody else has sent these blocks there. `extending`: the first one is the parent of the others; false, and
   * nothing learnt, where it is not held.
   */
  learn(slot: number, keys: Uint32Array, extending: boolean): boolean {
    const blocks = keys.length / 2;
    this.tidy(blocks);
    const cache = this.cacheOf(slot);
    if (extending) return cache.extend(keys, blocks);
    cache.touchAll(keys, blocks);
    return true;
  }

  forget(slot: number): void {
    this.learned[slot] = undefined;
    const cache = this.caches[slot];
    if (cache === undefined) return;
    this.caches[slot] = undefined;
    this.held.lanes.clear(slot);
    this.leaving.push(cache);
    this.inUse -= 1;
    this.shareOut();
  }

  private cacheOf(slot: number): BlockCache {
    const known = this.caches[slot];
    if (known !== undefined) return known;
    this.inUse += 1;
    this.shareOut();
    const made = new BlockCache(this.held, this.laneOf(slot), this.limit(slot));
    this.caches[slot] = made;
    return made;
  }

  private laneOf(slot: number): number {
    const { lanes } = this.held;
    const lane = lanes.of(slot);
    if (lane >= 0) return lane;
    // There are twice as many lanes as slots: all others belong to endpoints that are forgotten.
    this.sweep(Infinity);
    return lanes.of(slot);
  }

  /** Before `blocks` more: a little of what is to be tidied up, and all of it where the memory would not do. */
  private tidy(blocks: number): void {
    if (this.leaving.length > 0) this.sweep(blocks + sweptByTheWay);
    if (this.toResize < this.caches.length) this.resizeNext();
    if (this.held.held + blocks <= this.blocks) return;
    this.sweep(Infinity);
    while (this.toResize < this.caches.length) this.resizeNext();
  }

  private sweep(budget: number): void {
    let rest = budget;
    for (let cache = this.leaving.at(-1); cache !== undefined && rest > 0; cache = this.leaving.at(-1)) {
      rest -= cache.dissolve(rest);
      if (cache.size === 0) this.leaving.pop();
    }
  }

  private limit(slot: number): number {
    const tokens = (this.capacities[slot] ?? defaultCapacityTokens) * (this.learned[slot]?.value ?? 1);
    return Math.max(1, Math.floor(Math.min(tokens / tokensPerBlock, this.share)));
  }

  /** Shares the memory among the next power of two of endpoints, so that shares change rarely while a fleet grows. */
  private shareOut(): void {
    const share = this.blocks / 2 ** Math.ceil(Math.log2(Math.max(1, this.inUse)));
    if (share === this.share) return;
    this.share = share;
    this.toResize = 0;
  }

  /** One endpoint a request: rebuilding all at once would halt every request for tens of milliseconds. */
  private resizeNext(): void {
    this.caches[this.toResize]?.resize(this.limit(this.toResize));
    this.toResize += 1;
  }
}
