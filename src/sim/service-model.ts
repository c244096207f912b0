/** How fast and how large a simulated engine is. Times are seconds of engine time. */
export interface ServiceModel {
  /** Prompt tokens computed a second while nothing decodes. */
  readonly prefillRate: number;
  /** Tokens that one step may compute, decodes and prefill chunks together. */
  readonly chunkTokens: number;
  /** Seconds of a step that decodes nothing else: reading the weights once. */
  readonly interTokenBase: number;
  /** Seconds that each decoding request adds to a step. */
  readonly interTokenPerRequest: number;
  /** Size of the KV cache in tokens; a multiple of the block size. */
  readonly kvTokens: number;
  readonly blockSize: number;
  /** Requests in the batch at most. */
  readonly maxRunning: number;
}

export const defaultServiceModel: ServiceModel = Object.freeze({
  prefillRate: 8_000,
  chunkTokens: 2_048,
  interTokenBase: 0.006,
  interTokenPerRequest: 0.000_35,
  kvTokens: 524_288,
  blockSize: 16,
  maxRunning: 256,
});

/**
 * Seconds of one step: `prefill / rate + (decodes > 0 ? base + perRequest · decodes : 0)`, at least `base`.
 * So a batch of n that only decodes has an inter-token time of `base + perRequest · n`, and a prompt alone is computed at
 * exactly `prefillRate`; a chunk that shares its step with decodes stalls them by the chunk's own time.
 */
export function stepSeconds(model: ServiceModel, decodes: number, prefillTokens: number): number {
  const decoding = decodes > 0 ? model.interTokenBase + model.interTokenPerRequest * decodes : 0;
  return Math.max(model.interTokenBase, prefillTokens / model.prefillRate + decoding);
}
