/** What an engine may make a router hold or wait for. */

/** Bytes of one frame; an engine that sends more is disconnected. A step of 100,000 tokens is below 1 MiB. */
export const maxMessageBytes = 4 * 1024 * 1024;

export interface StreamLimits {
  /** Messages and bytes kept while a replay is under way; beyond, the replay is given up. */
  readonly pendingMessages: number;
  readonly pendingBytes: number;
  /** Milliseconds between two answers of a replay. */
  readonly replayIdle: number;
  /** Answers of one replay that make no sense. */
  readonly replayRubbish: number;
  /** Batches of one replay; vLLM keeps 10,000 by default. */
  readonly replayBatches: number;
  /** Milliseconds before a replay that failed is tried again; doubled each time up to the most. */
  readonly replayBackoff: number;
  readonly replayBackoffMost: number;
  /** Milliseconds without a connection after which a stream no longer counts as about to come. */
  readonly giveUpAfter: number;
}

export const streamLimits: StreamLimits = Object.freeze({
  pendingMessages: 8_192,
  pendingBytes: 32 * 1024 * 1024,
  replayIdle: 2_000,
  replayRubbish: 16,
  replayBatches: 131_072,
  replayBackoff: 1_000,
  replayBackoffMost: 60_000,
  giveUpAfter: 10_000,
});
