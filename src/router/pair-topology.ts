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
   * A request goes to a pair only if every decoder would have to compute more prompt tokens than this by itself; else
   * to one of the others alone. -1 disaggregates every request. With a leader it is the leader that looks.
   */
  readonly disaggregateAbove: number;
  readonly stages: StageTimeouts;
}

/** Whoever hands over has its own. */
export const noStages: StageTimeouts = Object.freeze({ prefill: 0, decode: 0 });

/** A leader stands before each group and decides when to disaggregate: all that groups known by labels alone can be. */
export function ledBy(grouping: PairGrouping): PairTopology {
  return Object.freeze({ grouping, handover: 'Leader', disaggregateAbove: -1, stages: noStages });
}

/** Whether a router looks at what decoders have cached, to leave requests to one of them alone. */
export function sparesPrefillers({ handover, disaggregateAbove }: PairTopology): boolean {
  return handover === 'Router' && disaggregateAbove >= 0;
}
