import type { Candidates } from './candidates.ts';
import type { Endpoint } from './endpoint.ts';
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
