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
  /** Bytes of one token's KV, of all layers. */
  readonly kvBytesPerToken: number;
  /** Seconds that one token's KV takes from another engine's memory to this one's: bytes over bandwidth. */
  readonly transferSecondsPerToken: number;
  /** Seconds of a transfer of no tokens: asking, posting the descriptors, hearing of the end. */
  readonly transferLatency: number;
  /** Seconds for which blocks are kept for a reader that does not come. */
  readonly leaseSeconds: number;
}

/**
 * The KV of a token is that of an 8 B model with grouped-query attention in bf16: 36 layers × 8 KV heads × 128 × 2 (K and V) ×
 * 2 bytes. It travels at 20 GB/s, four fifths of a 200 Gb/s link, so 135,000 tokens a second; a pull costs 5 ms besides. The
 * lease is NIXL's in vLLM.
 */
export const defaultServiceModel: ServiceModel = Object.freeze({
  prefillRate: 8_000,
  chunkTokens: 2_048,
  interTokenBase: 0.006,
  interTokenPerRequest: 0.000_35,
  kvTokens: 524_288,
  blockSize: 16,
  maxRunning: 256,
  kvBytesPerToken: 147_456,
  transferSecondsPerToken: 147_456 / 20e9,
  transferLatency: 0.005,
  leaseSeconds: 30,
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

/** Seconds that the KV of so many tokens takes from another engine. */
export function transferSeconds(model: ServiceModel, tokens: number): number {
  return model.transferLatency + tokens * model.transferSecondsPerToken;
}

/** Share of the ideal speed-up that each doubling of the tensor-parallel size keeps while a prompt is computed. */
const prefillEfficiency = 0.9;
/** The same for decoding, where two all-reduces a layer weigh more against less work. */
const decodeEfficiency = 0.8;

/**
 * The service model of the same engine spread over `tpSize` GPUs (a power of two or not; at least 1). With k = log2(tpSize):
 * a prompt is computed tpSize · 0.9^k times as fast (1.8, 3.24, 5.83 for 2, 4, 8), a step's decoding takes
 * 1 / (tpSize · 0.8^k) of the time (1 / 1.6, 2.56, 4.10), the KV cache is tpSize times as large, and each GPU pulls its own share of
 * the KV, so that a token's transfer takes 1 / tpSize; latencies and the lease stay.
 *
 * The two efficiencies are round figures for NVLink-connected GPUs, in the range that public benchmarks of 8–70 B models
 * report: computing a prompt is bound by matrix products, large enough to hide most of an all-reduce, decoding by reading
 * weights and KV, which divide evenly, and by the latency of all-reduces, which does not divide at all. The cache's factor is
 * low: the weights' share of each GPU shrinks too, which leaves room for more.
 * Throws RangeError for a size below 1.
 */
export function serviceModelFor(tpSize: number, base: ServiceModel = defaultServiceModel): ServiceModel {
  if (!(tpSize >= 1)) throw new RangeError(`a tensor-parallel size must be at least 1, not ${tpSize}`);
  const doublings = Math.log2(tpSize);
  const decoding = tpSize * decodeEfficiency ** doublings;
  return {
    ...base,
    prefillRate: base.prefillRate * tpSize * prefillEfficiency ** doublings,
    interTokenBase: base.interTokenBase / decoding,
    interTokenPerRequest: base.interTokenPerRequest / decoding,
    kvTokens: base.kvTokens * tpSize,
    transferSecondsPerToken: base.transferSecondsPerToken / tpSize,
  };
}
