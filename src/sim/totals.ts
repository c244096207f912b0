/** Counters since the start; tokens, requests, blocks and engine seconds. */
export interface EngineTotals {
  submitted: number;
  finished: number;
  aborted: number;
  /** Ended by an error of the engine's own: the KV of their prompts did not arrive. */
  failed: number;
  preempted: number;
  steps: number;
  /** Prompt tokens looked up in the prefix cache, and found there: at first admission only, as vLLM counts. */
  queriedTokens: number;
  hitTokens: number;
  /** Prompt tokens whose KV came from another engine, or from storage that engines share. */
  externalTokens: number;
  promptTokens: number;
  generatedTokens: number;
  /** Requests' time from arrival to last token. */
  requestSeconds: number;
  /** How much later than due their last tokens came out: the simulator's own fault, not the engine's. */
  lateSeconds: number;
  /** Transfers from other engines that ended well, the time they took, and those that failed. */
  transfers: number;
  transferSeconds: number;
  failedTransfers: number;
  /** Blocks kept for another engine after their request's end × how long. A block that two requests hold counts twice. */
  heldBlockSeconds: number;
  /** How such holds ended: read, given up by an abort notice, declined by the decoder, or not at all within the lease. */
  heldReleasedByRead: number;
  heldReleasedByAbort: number;
  heldReleasedByRefusal: number;
  leaseExpired: number;
  /**
   * Block-seconds of holds that nobody was going to read: those that ended by an abort notice or by their lease, from the moment
   * they were marked dead, or else from their start. The start is an upper bound: the engine is not told when the reader left.
   */
  deadBlockSeconds: number;
  /** What the same holds would have cost, from the same moment, had each waited for the end of its first lease. */
  deadLeaseBlockSeconds: number;
}

export function noTotals(): EngineTotals {
  return {
    submitted: 0,
    finished: 0,
    aborted: 0,
    failed: 0,
    preempted: 0,
    steps: 0,
    queriedTokens: 0,
    hitTokens: 0,
    externalTokens: 0,
    promptTokens: 0,
    generatedTokens: 0,
    requestSeconds: 0,
    lateSeconds: 0,
    transfers: 0,
    transferSeconds: 0,
    failedTransfers: 0,
    heldBlockSeconds: 0,
    heldReleasedByRead: 0,
    heldReleasedByAbort: 0,
    heldReleasedByRefusal: 0,
    leaseExpired: 0,
    deadBlockSeconds: 0,
    deadLeaseBlockSeconds: 0,
  };
}
