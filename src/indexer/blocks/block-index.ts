import type { Clock } from '../../router/clock.ts';
import type { Holder, KVEventSink, StoredBlocks, Tier } from '../kv-events.ts';
import { BlockNodes } from './block-nodes.ts';
import { defaultBounds, defaultExpectedFor, largestBlock, type BlockIndexBounds } from './bounds.ts';
import { Expectations } from './expectations.ts';
import { ExpectedBlocks } from './expected-blocks.ts';
import { Holdings } from './holdings.ts';
import { LaneSets } from './lane-sets.ts';
import { Lanes } from './lanes.ts';
import { Placements } from './placements.ts';
import { PrefixWalk, type PrefixMatch } from './prefix-walk.ts';
import { TokenKeys } from './token-keys.ts';

export interface BlockIndexOptions {
  /** 32 bits that keys depend on; prompts must be hashed with the same. */
  readonly secret: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly bounds?: Partial<BlockIndexBounds>;
  /** Milliseconds that what has been routed counts as present without an event. */
  readonly expectedFor?: number;
}

/** What an index holds now, and what it could not take in since it was made. */
export interface BlockIndexCounters {
  /** Unique blocks held or expected. */
  readonly blocks: number;
  /** (block, holder, tier) held; what closed holders have left counts until it is swept. */
  readonly placements: number;
  /** (block, holder) expected. */
  readonly expected: number;
  /** Lanes that closed and cleared holders have left and that are not swept yet. */
  readonly unswept: number;
  /** Blocks not taken in because a bound was reached. */
  readonly refused: number;
  /** Blocks whose parent is not known here, so that they cannot be keyed. */
  readonly orphans: number;
  /** Removals of blocks that are not known here. */
  readonly removedUnknown: number;
  /** Calls that made no sense. */
  readonly malformed: number;
}

/** Entries swept by the way when blocks are stored, besides one for each block. */
const sweptByTheWay = 64;

/**
 * Which holder has which block, on which tier, as the engines' events tell. Memory is fixed at construction, and no call
 * takes longer because more is held. Blocks are keyed by `TokenKeys`; the engines' own hashes only name them later on.
 */
export class BlockIndex implements KVEventSink {
  readonly bounds: BlockIndexBounds;
  private readonly nodes: BlockNodes;
  private readonly sets: LaneSets;
  private readonly placements: Placements;
  private readonly expectations: Expectations;
  private readonly lanes: Lanes;
  private readonly holdings: Holdings;
  private readonly expected: ExpectedBlocks;
  private readonly walk: PrefixWalk;
  private readonly chain: TokenKeys;
  private readonly clock: Pick<Clock, 'now'>;
  private readonly expectedFor: number;
  /** Tokens in a block by holder; 0 while not known. */
  private readonly sizes: Uint16Array;
  private refused = 0;
  private orphans = 0;
  private malformed = 0;

  constructor(options: BlockIndexOptions) {
    const bounds = { ...defaultBounds, ...options.bounds };
    const lanes = new Lanes(bounds.maxHolders);
    const nodes = new BlockNodes(bounds.maxBlocks);
    const sets = new LaneSets(bounds.maxBlocks, bounds.maxPlacements + bounds.maxExpected);
    this.bounds = bounds;
    this.lanes = lanes;
    this.nodes = nodes;
    this.sets = sets;
    this.placements = new Placements(bounds.maxPlacements, lanes.count, options.secret);
    this.expectations = new Expectations(bounds.maxExpected);
    this.holdings = new Holdings(nodes, sets, lanes, this.placements);
    this.expected = new ExpectedBlocks(nodes, sets, lanes, this.expectations);
    this.walk = new PrefixWalk(nodes, sets, lanes);
    this.chain = new TokenKeys(options.secret);
    this.clock = options.clock;
    this.expectedFor = options.expectedFor ?? defaultExpectedFor;
    this.sizes = new Uint16Array(bounds.maxHolders);
  }

  /** The most bytes that the index can come to take; pages are committed as they are first written. */
  get bytes(): number {
    return this.nodes.bytes + this.sets.bytes + this.placements.bytes + this.expectations.bytes;
  }

  get counters(): BlockIndexCounters {
    return {
      blocks: this.nodes.used,
      placements: this.placements.count,
      expected: this.expectations.used,
      unswept: this.lanes.left.length,
      refused: this.refused,
      orphans: this.orphans,
      removedUnknown: this.holdings.removedUnknown,
      malformed: this.malformed,
    };
  }

  /** A holder without blocks, from 0 up to `maxHolders - 1`; null when all are open. */
  open(): Holder | null {
    return this.lanes.open();
  }

  /** The holder is gone: from now on nothing is found there. Its number may be given out again at once. */
  close(holder: Holder): void {
    if (!this.lanes.has(holder)) return;
    this.cleared(holder);
    this.lanes.close(holder);
  }

  /** Tokens in a block, as the holder's events have said since it was opened or cleared; 0 while they have not. */
  blockSizeOf(holder: Holder): number {
    return this.sizes[holder];
  }

  /** How much of a prompt each holder has, by the keys of its blocks. The answer holds until the next call. */
  match(keys: Uint32Array, count: number): PrefixMatch {
    if (this.expectations.used > 0) this.expected.expire(this.clock.now());
    this.walk.run(keys, count);
    return this.walk.match;
  }

  /**
   * The prompt has just been routed there: its blocks count as present until events confirm them, the holder is
   * cleared or closed, or time runs out. A holder that is not open, having gone meanwhile, is passed over.
   */
  expect(holder: Holder, keys: Uint32Array, count: number): void {
    const now = this.clock.now();
    this.expected.expire(now);
    const lane = this.lanes.has(holder) ? this.lanes.of(holder) : -1;
    if (lane < 0) return;
    const most = Math.min(count, this.bounds.maxExpected);
    let node = 0;
    for (let block = 0; block < most; block++) {
      node = this.nodes.findOrAdd(keys[2 * block] | 0, keys[2 * block + 1] | 0, node);
      if (node === 0) {
        this.refused += most - block;
        return;
      }
      this.expected.expect(node, lane, now + this.expectedFor);
    }
  }

  /** A block size of 0 says that the blocks are told of by their hashes alone; only those known already are taken in. */
  stored(holder: Holder, blocks: StoredBlocks): void {
    if (this.lanes.left.length > 0) this.sweep(blocks.count + sweptByTheWay);
    if (!this.makesSense(holder, blocks)) {
      this.malformed += 1;
      return;
    }
    const lane = this.lanes.of(holder);
    if (lane < 0) this.refused += blocks.count;
    else if (blocks.blockSize === 0) this.storeAgain(lane, blocks);
    else if (this.startChain(lane, blocks)) {
      this.sizes[holder] = blocks.blockSize;
      this.storeChain(lane, blocks);
    } else this.orphans += blocks.count;
  }

  removed(holder: Holder, low: number, high: number, tier: Tier): void {
    this.holdings.remove(this.lanes.current(holder), low, high, tier);
  }

  cleared(holder: Holder): void {
    if (!this.lanes.has(holder)) {
      this.malformed += 1;
      return;
    }
    this.lanes.clear(holder);
    this.sizes[holder] = 0;
  }

  /**
   * Frees up to `budget` entries of what closed and cleared holders have left; whether more are to be freed. A thousand
   * take under a millisecond. Storing does some of it by the way; this is for quiet hours.
   */
  sweep(budget: number): boolean {
    this.expected.expire(this.clock.now());
    return this.holdings.sweep(budget);
  }

  private makesSense(holder: Holder, blocks: StoredBlocks): boolean {
    if (!this.lanes.has(holder) || blocks.hashes.length < 2 * blocks.count) return false;
    return blocks.blockSize === 0 || fits(blocks, this.sizes[holder]);
  }

  /** Brings the chain to where the blocks begin; false when their parent is not known. */
  private startChain(lane: number, blocks: StoredBlocks): boolean {
    if (!blocks.hasParent) {
      this.chain.begin(blocks);
      return true;
    }
    const parent = this.placements.find(lane, blocks.parentLow | 0, blocks.parentHigh | 0);
    if (parent === 0) return false;
    const node = this.placements.nodeOf(parent);
    this.chain.resume(this.nodes.lowOf(node), this.nodes.highOf(node));
    return true;
  }

  private storeChain(lane: number, blocks: StoredBlocks): void {
    const { count, hashes, tokens, blockSize, extras, tier, hasParent } = blocks;
    const { chain } = this;
    for (let block = 0; block < count; block++) {
      const extra = extras === null ? '' : extras[block];
      if (extra !== '') chain.extend(extra);
      chain.next(tokens, block * blockSize, blockSize);
      const entry = this.holdings.entryOf(lane, hashes, block, chain);
      if (!this.hold(entry, tier, hasParent)) {
        // What follows could not be matched: a prefix ends at its first gap.
        this.refused += count - block;
        return;
      }
    }
  }

  /** Blocks told of by their hashes alone, as offloading connectors do: known ones now lie on a further tier. */
  private storeAgain(lane: number, { count, hashes, tier }: StoredBlocks): void {
    for (let i = 0; i < count; i++) {
      const entry = this.placements.find(lane, hashes[2 * i] | 0, hashes[2 * i + 1] | 0);
      if (entry === 0) this.orphans += 1;
      else if (!this.hold(entry, tier, false)) this.refused += 1;
    }
  }

  /**
   * False when a bound is reached; the entry is then 0 or stays as it was. `computed`: the event begins within a prompt,
   * as an engine's does that computes the last block of a cached prompt anew: it then has two of it, and tells of the
   * end of each. An event that begins with the prompt may be one that is told again (`kv_cache_report_mode: full`).
   */
  private hold(entry: number, tier: Tier, computed: boolean): boolean {
    if (entry === 0 || !this.holdings.addTier(entry, tier, computed)) return false;
    if (this.expectations.used > 0) this.expected.confirm(this.placements.nodeOf(entry), this.placements.laneOf(entry));
    return true;
  }
}

/** Whether there are tokens and extras for all blocks, of the holder's size (`known`; 0: not known yet). */
function fits({ count, tokens, blockSize, extras }: StoredBlocks, known: number): boolean {
  if (!Number.isInteger(blockSize) || blockSize < 1 || blockSize > largestBlock) return false;
  if (known !== 0 && known !== blockSize) return false;
  return tokens.length >= count * blockSize && (extras === null || extras.length >= count);
}
