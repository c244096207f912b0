/** Places of a node's fields, which lie side by side so that a probe touches one or two cache lines. */
const low = 0;
const high = 1;
/** Next node of the same bucket; 0 ends it. */
const chain = 2;
/** Neighbours in the ring of use; node 0 is the ring's head and holds no block. */
const newer = 3;
const older = 4;
const stride = 5;
const bytesPerField = 4;
const firstNodes = 64;

/** Upper bound of the memory one block takes: its node and, at worst, two bucket heads (a power of two is rounded up to). */
export const bytesPerBlock = (stride + 2) * bytesPerField;

/**
 * The most recently used prompt blocks of one engine by 64-bit key, in flat arrays that grow by doubling up to the
 * limit. Used as ApproximateIndex does, it is prefix-closed: a block is never held without its predecessors.
 */
export class BlockCache {
  /** Blocks held. */
  size = 0;
  private limit: number;
  private nodes: Int32Array;
  private heads: Int32Array;
  private allocated: number;
  /** From this block on nothing has been used since `age` was called last; 0 where there is no such block. */
  private mark = 0;

  /** `limit`: the most blocks to hold, at least 1. */
  constructor(limit: number) {
    this.limit = limit;
    this.allocated = Math.min(limit, firstNodes);
    this.nodes = new Int32Array((this.allocated + 1) * stride);
    this.heads = new Int32Array(powerOfTwo(this.allocated));
  }

  get bytes(): number {
    return this.nodes.byteLength + this.heads.byteLength;
  }

  /** Whether the block of this key is held. */
  has(keyLow: number, keyHigh: number): boolean {
    return this.find(keyLow | 0, keyHigh | 0) !== 0;
  }

  /**
   * How many of the first `blocks` keys are held, found by galloping from `guess` and halving: since a held block
   * implies all before it, a few probes do where a probe a block would cost as much as the rest of a decision.
   */
  matchLength(keys: Uint32Array, blocks: number, guess: number): number {
    let held = Math.min(guess, blocks);
    let missing = blocks;
    if (held === 0 || !this.holds(keys, held)) {
      if (held > 0) missing = held - 1;
      if (missing === 0 || !this.holds(keys, 1)) return 0;
      held = 1;
    }
    for (let step = 1; held < missing; step *= 2) {
      const reach = Math.min(held + step, missing);
      if (!this.holds(keys, reach)) {
        missing = reach - 1;
        break;
      }
      held = reach;
    }
    while (held < missing) {
      const middle = (held + missing + 1) >>> 1;
      if (this.holds(keys, middle)) held = middle;
      else missing = middle - 1;
    }
    return held;
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
    let parent = this.find(keys[0] | 0, keys[1] | 0);
    if (parent === 0) return false;
    for (let i = 1; i < blocks; i++) {
      const [keyLow, keyHigh] = [keys[2 * i] | 0, keys[2 * i + 1] | 0];
      let node = this.find(keyLow, keyHigh);
      if (node === 0) {
        if (this.size === this.limit && this.nodes[newer] === parent) return true;
        node = this.insert(keyLow, keyHigh);
        this.linkBehind(node, parent);
      }
      parent = node;
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
    const { nodes } = this;
    if (this.mark !== 0) {
      let kept = 0;
      for (let node = nodes[older]; node !== this.mark; node = nodes[node * stride + older]) kept += 1;
      this.rebuild(kept, Math.min(this.limit, powerOfTwo(Math.max(kept, firstNodes))));
    }
    this.mark = this.nodes[older];
  }

  /** Whether the first `count` blocks are held. */
  private holds(keys: Uint32Array, count: number): boolean {
    return this.find(keys[2 * count - 2] | 0, keys[2 * count - 1] | 0) !== 0;
  }

  /** The node of a key, or 0. */
  private find(keyLow: number, keyHigh: number): number {
    const { nodes, heads } = this;
    let node = heads[keyLow & (heads.length - 1)];
    while (node !== 0) {
      const at = node * stride;
      if (nodes[at + low] === keyLow && nodes[at + high] === keyHigh) return node;
      node = nodes[at + chain];
    }
    return 0;
  }

  private touch(keyLow: number, keyHigh: number): void {
    let node = this.find(keyLow, keyHigh);
    if (node === 0) node = this.insert(keyLow, keyHigh);
    else this.unlink(node);
    this.linkNewest(node);
  }

  /** A node outside the ring for a key that is not held yet. */
  private insert(keyLow: number, keyHigh: number): number {
    const node = this.size < this.limit ? this.fresh() : this.evict();
    const { nodes, heads } = this;
    const at = node * stride;
    const bucket = keyLow & (heads.length - 1);
    nodes[at + low] = keyLow;
    nodes[at + high] = keyHigh;
    nodes[at + chain] = heads[bucket];
    heads[bucket] = node;
    return node;
  }

  private fresh(): number {
    if (this.size === this.allocated) this.grow();
    this.size += 1;
    return this.size;
  }

  /** Takes the least recently used block out and returns its node for the next one. */
  private evict(): number {
    const { nodes, heads } = this;
    const node = nodes[newer];
    const next = nodes[node * stride + chain];
    const bucket = nodes[node * stride + low] & (heads.length - 1);
    if (heads[bucket] === node) heads[bucket] = next;
    else {
      let before = heads[bucket];
      while (nodes[before * stride + chain] !== node) before = nodes[before * stride + chain];
      nodes[before * stride + chain] = next;
    }
    this.unlink(node);
    return node;
  }

  private unlink(node: number): void {
    const { nodes } = this;
    const before = nodes[node * stride + newer];
    const after = nodes[node * stride + older];
    if (node === this.mark) this.mark = after;
    nodes[before * stride + older] = after;
    nodes[after * stride + newer] = before;
  }

  private linkNewest(node: number): void {
    this.linkBehind(node, 0);
  }

  /** Puts a node next to another one, on its less recently used side. */
  private linkBehind(node: number, neighbour: number): void {
    const { nodes } = this;
    const after = nodes[neighbour * stride + older];
    nodes[node * stride + newer] = neighbour;
    nodes[node * stride + older] = after;
    nodes[after * stride + newer] = node;
    nodes[neighbour * stride + older] = node;
  }

  private grow(): void {
    const { nodes } = this;
    this.allocated = Math.min(this.limit, this.allocated * 2);
    this.nodes = new Int32Array((this.allocated + 1) * stride);
    this.nodes.set(nodes);
    this.heads = new Int32Array(powerOfTwo(this.allocated));
    const mask = this.heads.length - 1;
    for (let node = 1; node <= this.size; node++) {
      const bucket = this.nodes[node * stride + low] & mask;
      this.nodes[node * stride + chain] = this.heads[bucket];
      this.heads[bucket] = node;
    }
  }

  /** Moves the most recent blocks to new arrays. */
  private rebuild(kept: number, allocated: number): void {
    const { nodes, mark } = this;
    let node = 0;
    for (let i = 0; i < kept; i++) node = nodes[node * stride + older];
    this.size = 0;
    this.allocated = allocated;
    this.mark = 0;
    this.nodes = new Int32Array((this.allocated + 1) * stride);
    this.heads = new Int32Array(powerOfTwo(this.allocated));
    for (; node !== 0; node = nodes[node * stride + newer]) {
      this.touch(nodes[node * stride + low], nodes[node * stride + high]);
      if (node === mark) this.mark = this.size;
    }
  }
}

/** The smallest power of two that is at least `count`. */
function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
