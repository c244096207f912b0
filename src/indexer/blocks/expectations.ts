import { mix } from '../../router/prompt.ts';
import { Buckets } from './buckets.ts';
import { Pool, sharedInts } from './pool.ts';

const node = 0;
const lane = 1;
/** Next entry of the same bucket; 0 ends it. Links returned entries too. */
const chain = 2;
/** Neighbours in the ring by time; entry 0 is its head. */
const newer = 3;
const older = 4;
const stride = 5;

/** Blocks that lanes are expected to hold soon, oldest first out. Entries are numbered from 1. */
export class Expectations {
  private readonly entries: Int32Array;
  private readonly buckets: Buckets;
  /** When each entry runs out, in milliseconds of the caller's clock. */
  private readonly ends: Float64Array;
  private readonly pool: Pool;

  /** `size`: the most entries to hold. */
  constructor(size: number) {
    this.entries = sharedInts((1 + size) * stride);
    this.buckets = new Buckets(this.entries, { stride, link: chain, size });
    this.ends = new Float64Array(1 + size);
    this.pool = new Pool(this.entries, { stride, link: chain, first: 1, size });
  }

  get used(): number {
    return this.pool.used;
  }

  get full(): boolean {
    return this.pool.used === this.pool.size;
  }

  get bytes(): number {
    return this.entries.byteLength + this.buckets.bytes + this.ends.byteLength;
  }

  /** The entry that runs out first, or 0. */
  get oldest(): number {
    return this.entries[newer];
  }

  nodeOf(entry: number): number {
    return this.entries[entry * stride + node];
  }

  laneOf(entry: number): number {
    return this.entries[entry * stride + lane];
  }

  endOf(entry: number): number {
    return this.ends[entry];
  }

  /** The entry of the block in the lane, or 0. */
  find(ofNode: number, inLane: number): number {
    const { entries, buckets } = this;
    let entry = buckets.heads[this.bucketOf(ofNode, inLane)];
    while (entry !== 0) {
      const at = entry * stride;
      if (entries[at + node] === ofNode && entries[at + lane] === inLane) return entry;
      entry = entries[at + chain];
    }
    return 0;
  }

  /** An entry that runs out last; the caller has made sure that there is room and that the block has none. */
  add(ofNode: number, inLane: number, end: number): void {
    const entry = this.pool.take();
    const { entries } = this;
    const at = entry * stride;
    const bucket = this.bucketOf(ofNode, inLane);
    entries[at + node] = ofNode;
    entries[at + lane] = inLane;
    this.buckets.add(bucket, entry);
    this.ends[entry] = end;
    this.link(entry);
  }

  /** Lets an entry run out later than all others. */
  renew(entry: number, end: number): void {
    this.ends[entry] = end;
    this.unlink(entry);
    this.link(entry);
  }

  remove(entry: number): void {
    const { entries } = this;
    const at = entry * stride;
    const bucket = this.bucketOf(entries[at + node], entries[at + lane]);
    this.buckets.remove(bucket, entry);
    this.unlink(entry);
    this.pool.give(entry);
  }

  private link(entry: number): void {
    const { entries } = this;
    const last = entries[older];
    entries[entry * stride + older] = last;
    entries[entry * stride + newer] = 0;
    entries[last * stride + newer] = entry;
    entries[older] = entry;
  }

  private unlink(entry: number): void {
    const { entries } = this;
    const after = entries[entry * stride + newer];
    const before = entries[entry * stride + older];
    entries[before * stride + newer] = after;
    entries[after * stride + older] = before;
  }

  private bucketOf(ofNode: number, inLane: number): number {
    return this.buckets.of(mix(ofNode ^ Math.imul(inLane, 0x9e3779b9)));
  }
}
