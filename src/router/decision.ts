import type { Endpoint } from './endpoint.ts';
import type { HandoverBy, StageTimeouts } from './pair-topology.ts';
import type { Backend } from './policy.ts';
import type { ScoreBreakdown } from './profile.ts';
import type { Reservation } from './reservation.ts';

/** Two engines that share the work of a request: one computes the prompt, the other the answer. */
export interface Handover {
  readonly prefill: Endpoint;
  readonly decode: Endpoint;
  /** Leader: the decision's endpoint hands over. Router: the front door does, and the endpoint is the decoder. */
  readonly by: HandoverBy;
  readonly stages: StageTimeouts;
}

/** Where a request goes, with its place in that endpoint's books already taken. */
export interface Decision {
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly reservation: Reservation;
  /** Prompt length in tokens, and how many of them the endpoint is thought to have cached. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Every candidate's score, of pairs every prefiller's and decoder's; null unless it was asked for. */
  readonly breakdown: readonly ScoreBreakdown[] | null;
  /** Which pair shares the work of the request; null where the endpoint answers by itself. */
  readonly handover: Handover | null;
}

/** What has been tried for a request so far; empty for its first decision. */
export interface Attempts {
  readonly tried: readonly Endpoint[];
  /** The backend of the last try: further tries stay with it while it has other endpoints. */
  readonly backend: Backend | null;
  /** Whether to make a breakdown. */
  readonly explain: boolean;
  /** Addresses that alone may be picked (of leaders, where there are any); null where all may. */
  readonly only: ReadonlySet<string> | null;
  /** Addresses of the pair that alone may be picked, as a picker has named it to a leader; null where any may. */
  readonly pair: NamedPair | null;
  /**
   * The prefiller that has computed the prompt already: a decoder of its group is chosen to read it from there, and the
   * prefiller is charged no more. Null where the prompt is still to be computed.
   */
  readonly prefilled: Endpoint | null;
}

/** A pair as `ip:port` each. */
export interface NamedPair {
  readonly prefill: string;
  readonly decode: string;
}

/** A first decision without a breakdown: the ordinary case, shared so that it costs nothing. */
export const firstAttempt: Attempts = Object.freeze({
  tried: Object.freeze([]),
  backend: null,
  explain: false,
  only: null,
  pair: null,
  prefilled: null,
});
