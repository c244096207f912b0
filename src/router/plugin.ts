import type { Candidates } from './candidates.ts';
import type { Endpoint } from './endpoint.ts';
import type { PairRole } from './pair-grouping.ts';
import type { PairCosts, Pairs } from './pairs.ts';
import type { InferenceRequest } from './request.ts';

/**
 * The three kinds of plugin. All are synchronous and allocation-free: they run once for every request.
 * Anything that awaits happens before the decision.
 */
export interface Filter {
  /** Whether the endpoint may be picked for this request. */
  keep(request: InferenceRequest, endpoint: Endpoint): boolean;
  /** Why it keeps an endpoint out, for explanations; says nothing of what the request holds. */
  reason?(request: InferenceRequest, endpoint: Endpoint): string;
}

export interface Scorer {
  /** Writes one finite number for each of the first `candidates.length` endpoints to `out`. */
  score(request: InferenceRequest, candidates: Candidates, out: Float64Array): void;
}

export interface Picker {
  /** Index of the pick among the first `candidates.length`; `costs` are weighted sums, the lowest is the best. */
  pick(request: InferenceRequest, candidates: Candidates, costs: Float64Array): number;
  /** What `pick` would return, for hypothetical requests; absent where `pick` remembers nothing. */
  peek?(request: InferenceRequest, candidates: Candidates, costs: Float64Array): number;
  /** Whether chance decides among equal costs. */
  readonly breaksTiesByChance?: boolean;
}

/** Whether a scorer's lowest value is best (`cost`, the v25.12 family) or its highest (`gain`, the reference picker's). */
export type Direction = 'cost' | 'gain';

/** A scorer at work in a profile. */
export interface WeightedScorer {
  readonly type: string;
  readonly scorer: Scorer;
  readonly direction: Direction;
  readonly weight: number;
}

/** Scores the pairs of disaggregated groups. Its costs add up to a pair's: the lowest wins. */
export interface PairScorer {
  /** Writes what it has to say of groups, prefillers and decoders; all of `costs` is 0 before. */
  score(request: InferenceRequest, pairs: Pairs, costs: PairCosts): void;
  /** Loads that the scorer keeps by itself; absent where it reads others' only. */
  readonly charges?: PairCharges;
}

/** Loads by slot, charged for a request when its pair is reserved. Times are milliseconds of the injected clock. */
export interface PairCharges {
  /**
   * Charges both sides; returns the time, which giving back needs. `prefillSlot` is -1 where no prefiller has a part in
   * the request; neither `prefilled` nor `answered` is called then.
   */
  charge(prefillSlot: number, decodeSlot: number, promptTokens: number): number;
  /** The prompt is computed: gives back what is left of the prefiller's charge. Called once a charge. */
  prefilled(slot: number, promptTokens: number, chargedAt: number): void;
  /** The answer has begun: the decoder has read the prefiller's KV blocks. Called once a charge. */
  answered?(prefillSlot: number, promptTokens: number, chargedAt: number): void;
  /** The request has ended: gives back what is left of the decoder's. Called once a charge. */
  ended(slot: number, promptTokens: number, chargedAt: number): void;
}

export interface PairPicker {
  /** Sets `group`, `prefill`, `decode` and `equals` of `pairs` (at least one group) to the pick. */
  pick(request: InferenceRequest, pairs: Pairs, costs: PairCosts): void;
}

/** A pair scorer at work in a profile. */
export interface WeightedPairScorer {
  readonly type: string;
  readonly scorer: PairScorer;
  readonly weight: number;
}

/** A request header that names one side of the pair, as `ip:port`, to the leader. */
export interface HandoverHeader {
  /** Lower case. */
  readonly name: string;
  readonly side: Exclude<PairRole, 'leader'>;
}
