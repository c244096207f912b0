import { Buckets } from './buckets.ts';
import { Pool, sharedInts } from './pool.ts';

const low = 0;
const high = 1;
/** Next node of the same bucket; 0 ends it. Links returned nodes too. */
const chain = 2;
/** How many placements and expectations name the node. */
const references = 3;
const stride = 4;

/** The unique blocks by key, each a node numbered from 1; nodes that nothing refers to any more are used again. */
export class BlockNodes {
  private readonly nodes: Int32Array;
  private readonly buckets: Buckets;
  private readonly pool: Pool;

  /** `size`: the most blocks to hold. */
  constructor(size: number) {
    // One more than there are, for the last one's neighbour.
    this.nodes = sharedInts((2 + size) * stride);
    this.buckets = new Buckets(this.nodes, { stride, link: chain, size });
    this.pool = new Pool(this.nodes, { stride, link: chain, first: 1, size });
  }

  /** Blocks held. */
  get used(): number {
    return this.pool.used;
  }

  get bytes(): number {
    return this.nodes.byteLength + this.buckets.bytes;
  }

  lowOf(node: number): number {
    return this.nodes[node * stride + low];
  }

  highOf(node: number): number {
    return this.nodes[node * stride + high];
  }

  hasKey(node: number, keyLow: number, keyHigh: number): boolean {
    return this.lowOf(node) === keyLow && this.highOf(node) === keyHigh;
  }

  /**
   * The node of a key given as signed halves, or 0. `before`: the node of the block before it, or 0; what was stored
   * in one go lies side by side, so that its neighbour is tried before the bucket.
   */
  find(keyLow: number, keyHigh: number, before: number): number {
    const { nodes, buckets } = this;
    const guess = (before + 1) * stride;
    // A node that was given back keeps its key.
    if (nodes[guess + low] === keyLow && nodes[guess + high] === keyHigh && nodes[guess + references] > 0)
      return before + 1;
    let node = buckets.heads[buckets.of(keyLow)];
    while (node !== 0) {
      const at = node * stride;
      if (nodes[at + low] === keyLow && nodes[at + high] === keyHigh) return node;
      node = nodes[at + chain];
    }
    return 0;
  }

  /** The node of a key, made where there is none yet and not referred to so far; 0 when the bound is reached. */
  findOrAdd(keyLow: number, keyHigh: number, before: number): number {
    const known = this.find(keyLow, keyHigh, before);
    return known === 0 ? this.add(keyLow, keyHigh) : known;
  }

  private add(keyLow: number, keyHigh: number): number {
    const node = this.pool.take();
    if (node === 0) return 0;
    const { nodes } = this;
    const at = node * stride;
    const bucket = this.buckets.of(keyLow);
    nodes[at + low] = keyLow;
    nodes[at + high] = keyHigh;
    nodes[at + references] = 0;
    this.buckets.add(bucket, node);
    return node;
  }

  refer(node: number): void {
    this.nodes[node * stride + references] += 1;
  }

  /** Takes a reference back; with the last one the node goes. */
  release(node: number): void {
    const { nodes } = this;
    const at = node * stride;
    nodes[at + references] -= 1;
    if (nodes[at + references] === 0) this.remove(node);
  }

  private remove(node: number): void {
    const { nodes } = this;
    const at = node * stride;
    const bucket = this.buckets.of(nodes[at + low]);
    this.buckets.remove(bucket, node);
    this.pool.give(node);
  }
}
