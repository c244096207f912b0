import { mix } from '../../router/prompt.ts';
import { Buckets } from './buckets.ts';
import { Pool, sharedInts } from './pool.ts';

/** The engine's own hash of the block. */
const low = 0;
const high = 1;
/** lane << laneShift | further copies on the GPU << tierBits | one bit for each tier. */
const lane = 2;
const node = 3;
/** Next entry of the same bucket; 0 ends it. Links returned entries too. */
const chain = 4;
/** Neighbours in the list of the lane's entries; 0 ends it. */
const newer = 5;
const older = 6;
const stride = 7;
const tierBits = 3;
const tierMask = (1 << tierBits) - 1;
const copyBits = 4;
const mostCopies = (1 << copyBits) - 1;
const laneShift = tierBits + copyBits;

/** Which block a lane means by an engine's hash, and on which tiers it holds it. Entries are numbered from 1. */
export class Placements {
  /** Tiers of all entries together: what the bound counts. */
  count = 0;
  readonly limit: number;
  private readonly entries: Int32Array;
  private readonly buckets: Buckets;
  /** The newest entry of each lane. */
  private readonly newest: Int32Array;
  private readonly pool: Pool;
  private readonly secret: number;

  /** `limit`: the most (block, lane, tier) to hold. */
  constructor(limit: number, lanes: number, secret: number) {
    this.limit = limit;
    this.entries = sharedInts((1 + limit) * stride);
    this.buckets = new Buckets(this.entries, { stride, link: chain, size: limit });
    this.newest = sharedInts(lanes);
    this.pool = new Pool(this.entries, { stride, link: chain, first: 1, size: limit });
    this.secret = secret | 0;
  }

  get bytes(): number {
    return this.entries.byteLength + this.buckets.bytes;
  }

  get full(): boolean {
    return this.count === this.limit;
  }

  nodeOf(entry: number): number {
    return this.entries[entry * stride + node];
  }

  laneOf(entry: number): number {
    return this.entries[entry * stride + lane] >>> laneShift;
  }

  /** One bit for each tier that the lane holds the block on. */
  tiersOf(entry: number): number {
    return this.entries[entry * stride + lane] & tierMask;
  }

  /** The newest entry of the lane, or 0. */
  newestOf(inLane: number): number {
    return this.newest[inLane];
  }

  /** The lane's entry of an engine's hash given as signed halves, or 0. */
  find(inLane: number, hashLow: number, hashHigh: number): number {
    const { entries, buckets } = this;
    let entry = buckets.heads[this.bucketOf(inLane, hashLow, hashHigh)];
    while (entry !== 0) {
      const at = entry * stride;
      if (
        entries[at + low] === hashLow &&
        entries[at + high] === hashHigh &&
        entries[at + lane] >>> laneShift === inLane
      )
        return entry;
      entry = entries[at + chain];
    }
    return 0;
  }

  /** An entry without tiers for a hash that has none; the caller has checked that the bound is not reached. */
  add(inLane: number, hashLow: number, hashHigh: number, ofNode: number): number {
    const entry = this.pool.take();
    const { entries, newest } = this;
    const bucket = this.bucketOf(inLane, hashLow, hashHigh);
    const at = entry * stride;
    const second = newest[inLane];
    entries[at + low] = hashLow;
    entries[at + high] = hashHigh;
    entries[at + lane] = inLane << laneShift;
    entries[at + node] = ofNode;
    entries[at + newer] = 0;
    entries[at + older] = second;
    if (second !== 0) entries[second * stride + newer] = entry;
    newest[inLane] = entry;
    this.buckets.add(bucket, entry);
    return entry;
  }

  /** The entry must lack the tier, and the bound must not be reached. */
  addTier(entry: number, tier: number): void {
    this.entries[entry * stride + lane] |= 1 << tier;
    this.count += 1;
  }

  /** Whether the entry had the tier. */
  deleteTier(entry: number, tier: number): boolean {
    const { entries } = this;
    const at = entry * stride + lane;
    const mask = 1 << tier;
    if ((entries[at] & mask) === 0) return false;
    entries[at] &= ~mask;
    this.count -= 1;
    return true;
  }

  /** The lane holds the block once more; of very many copies some are not counted. */
  addCopy(entry: number): void {
    const { entries } = this;
    const at = entry * stride + lane;
    if (((entries[at] >>> tierBits) & mostCopies) < mostCopies) entries[at] += 1 << tierBits;
  }

  /** Whether the lane held the block more than once; it now holds one less. */
  deleteCopy(entry: number): boolean {
    const { entries } = this;
    const at = entry * stride + lane;
    if (((entries[at] >>> tierBits) & mostCopies) === 0) return false;
    entries[at] -= 1 << tierBits;
    return true;
  }

  /** Takes an entry without tiers out. */
  remove(entry: number): void {
    const { entries } = this;
    const at = entry * stride;
    const bucket = this.bucketOf(this.laneOf(entry), entries[at + low], entries[at + high]);
    this.buckets.remove(bucket, entry);
    this.unlist(entry);
    this.pool.give(entry);
  }

  private unlist(entry: number): void {
    const { entries } = this;
    const at = entry * stride;
    const after = entries[at + newer];
    const before = entries[at + older];
    if (after === 0) this.newest[this.laneOf(entry)] = before;
    else entries[after * stride + older] = before;
    if (before !== 0) entries[before * stride + newer] = after;
  }

  /** Engines choose their hashes: the secret keeps a hostile one from crowding a bucket. */
  private bucketOf(inLane: number, hashLow: number, hashHigh: number): number {
    const folded = Math.imul(hashLow ^ this.secret, 0xcc9e2d51) ^ mix(hashHigh ^ Math.imul(inLane, 0x9e3779b9));
    return this.buckets.of(mix(folded));
  }
}
