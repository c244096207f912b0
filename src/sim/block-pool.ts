/** Told of each block that enters or leaves the prefix cache. */
export interface EvictionListener {
  removed(high: number, low: number): void;
}

const none = -1;

/**
 * The blocks of a KV cache: reference counts, a queue of free blocks in the order in which they are reused, and an index
 * from content hash (two 32-bit halves) to block. A free block keeps its content until it is taken: that is the cache.
 */
export class BlockPool {
  readonly size: number;
  private readonly references: Int32Array;
  private readonly highs: Uint32Array;
  private readonly lows: Uint32Array;
  private readonly hashed: Uint8Array;
  // The free queue as a doubly linked list, so that a hit takes a block out of its middle.
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  private readonly index = new Map<number, number>();
  private readonly listener: EvictionListener | null;
  private head = none;
  private tail = none;
  private freeBlocks = 0;

  constructor(size: number, listener: EvictionListener | null = null) {
    this.size = size;
    this.listener = listener;
    this.references = new Int32Array(size);
    this.highs = new Uint32Array(size);
    this.lows = new Uint32Array(size);
    this.hashed = new Uint8Array(size);
    this.next = new Int32Array(size);
    this.previous = new Int32Array(size);
    for (let block = 0; block < size; block++) this.pushLast(block);
  }

  /** Blocks that no request holds; those of them with content are counted as free, as vLLM does. */
  get free(): number {
    return this.freeBlocks;
  }

  get used(): number {
    return this.size - this.freeBlocks;
  }

  /** Blocks whose content can be hit. */
  get cached(): number {
    return this.index.size;
  }

  /** The block with this content, or -1. */
  find(high: number, low: number): number {
    const block = this.index.get(keyOf(high, low));
    return block !== undefined && this.highs[block] === high && this.lows[block] === low ? block : none;
  }

  /** Whether a block is held by no request. */
  isFree(block: number): boolean {
    return this.references[block] === 0;
  }

  /** One more request holds the block. */
  hold(block: number): void {
    if (this.references[block] === 0) this.unlink(block);
    this.references[block] += 1;
  }

  /** Takes the block that was free for longest, forgetting its content. The caller checks `free` first. */
  take(): number {
    const block = this.head;
    if (block === none) throw new RangeError('no free block: check `free` before `take`');
    this.forget(block);
    this.hold(block);
    return block;
  }

  /** One request less holds the block; content that can be hit is reused last, a block without any first. */
  release(block: number): void {
    this.references[block] -= 1;
    if (this.references[block] > 0) return;
    if (this.hashed[block] === 1) this.pushLast(block);
    else this.pushFirst(block);
  }

  /** Makes a full block's content findable; false when another block has the same content already. */
  register(block: number, high: number, low: number): boolean {
    const key = keyOf(high, low);
    if (this.index.has(key)) return false;
    this.index.set(key, block);
    this.highs[block] = high;
    this.lows[block] = low;
    this.hashed[block] = 1;
    return true;
  }

  /** Forgets all content; refused (false) while a request holds a block. */
  clear(): boolean {
    if (this.used > 0) return false;
    this.index.clear();
    this.hashed.fill(0);
    return true;
  }

  private forget(block: number): void {
    if (this.hashed[block] === 0) return;
    this.hashed[block] = 0;
    this.index.delete(keyOf(this.highs[block], this.lows[block]));
    this.listener?.removed(this.highs[block], this.lows[block]);
  }

  private pushLast(block: number): void {
    this.previous[block] = this.tail;
    this.next[block] = none;
    if (this.tail === none) this.head = block;
    else this.next[this.tail] = block;
    this.tail = block;
    this.freeBlocks += 1;
  }

  private pushFirst(block: number): void {
    this.previous[block] = none;
    this.next[block] = this.head;
    if (this.head === none) this.tail = block;
    else this.previous[this.head] = block;
    this.head = block;
    this.freeBlocks += 1;
  }

  private unlink(block: number): void {
    const before = this.previous[block];
    const after = this.next[block];
    if (before === none) this.head = after;
    else this.next[before] = after;
    if (after === none) this.tail = before;
    else this.previous[after] = before;
    this.freeBlocks -= 1;
  }
}

/** The upper 53 bits as an exact number: a Map of numbers is several times faster than one of BigInts. */
function keyOf(high: number, low: number): number {
  return high * 0x200000 + (low >>> 11);
}
