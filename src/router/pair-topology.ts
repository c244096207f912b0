import type { PairGrouping } from './pair-grouping.ts';

/** Who hands a request over from the prefiller to the decoder: a leader in front of both, or the router itself. */
export type HandoverBy = 'Leader' | 'Router';

/** Milliseconds; 0 means no limit. */
export interface StageTimeouts {
  /** Until the prefiller has answered. */
  readonly prefill: number;
  /** Streams: from then on until the first byte of the decoder's answer. */
  readonly decode: number;
}

/** How the engines of a disaggregated group share the work of one request. Frozen. */
export interface PairTopology {
  readonly grouping: PairGrouping;
  readonly handover: HandoverBy;
  /**
   * A request goes to a pair only if the chosen decoder would have to compute more prompt tokens than this by itself;
   * else to that decoder alone. -1 disaggregates every request.
   */
  readonly disaggregateAbove: number;
  readonly stages: StageTimeouts;
}
