/** Where a KV block lies; the nearer the smaller. */
export const Tier = { gpu: 0, cpu: 1, disk: 2 } as const;
export type Tier = (typeof Tier)[keyof typeof Tier];

/**
 * One KV cache: one data-parallel rank of one engine. A small integer that the index hands out and takes back, so that
 * what it holds is bits in flat arrays.
 */
export type Holder = number;

/**
 * Blocks that an engine has stored, in order, each the successor of the one before. The object and its arrays are the
 * decoder's own and hold for the call only.
 */
export interface StoredBlocks {
  /** Blocks told of. */
  readonly count: number;
  /** The engine's own hashes, two 32-bit halves each: low, high. Opaque: they only name blocks later on. */
  readonly hashes: Uint32Array;
  /** Whether a block precedes the first one; its hash is then `parentLow`, `parentHigh`. */
  readonly hasParent: boolean;
  readonly parentLow: number;
  readonly parentHigh: number;
  /** Token ids, `blockSize` for each block. */
  readonly tokens: Uint32Array;
  /** Tokens in a block. */
  readonly blockSize: number;
  /** Name of the LoRA adapter, or empty. */
  readonly lora: string;
  /** Cache salt of the prompt, or empty; known only where the first block of the prompt is told of. */
  readonly salt: string;
  /** What else the engine's hash of block i depends on (images above all), or empty; null where no block has any. */
  readonly extras: readonly string[] | null;
  readonly tier: Tier;
}

/** What takes in the events of KV caches: the block index. Calls never throw; what makes no sense is counted there. */
export interface KVEventSink {
  stored(holder: Holder, blocks: StoredBlocks): void;
  /** One block by the engine's hash; gone from the tier only. */
  removed(holder: Holder, low: number, high: number, tier: Tier): void;
  /** The holder's cache is empty. */
  cleared(holder: Holder): void;
}
