/** How much an index may hold; its memory is fixed by it. */
export interface BlockIndexBounds {
  /** Unique blocks. */
  readonly maxBlocks: number;
  /** (block, holder, tier). */
  readonly maxPlacements: number;
  /** Holders open at a time. */
  readonly maxHolders: number;
  /** (block, holder) routed but not yet confirmed; beyond it the oldest are given up. */
  readonly maxExpected: number;
}

/** Enough for a hundred engines of 20,000 blocks each; at most 132 MB, committed as it fills. */
export const defaultBounds: BlockIndexBounds = {
  maxBlocks: 1_048_576,
  maxPlacements: 2_097_152,
  maxHolders: 1024,
  maxExpected: 131_072,
};

/**
 * How long what has been routed counts as present without an event, in milliseconds. Events come with the engine step
 * that computes the block: after the queue and the prefill. Too short scatters siblings just when queues are long;
 * too long costs little, since the first sibling that follows a wrong expectation makes it true.
 */
export const defaultExpectedFor = 10_000;

/** Tokens in the largest block that is believed; hybrid models have blocks of a few thousand. */
export const largestBlock = 16_384;
