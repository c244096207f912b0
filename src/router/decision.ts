import type { Endpoint } from './endpoint.ts';
import type { Backend } from './policy.ts';
import type { ScoreBreakdown } from './profile.ts';
import type { Reservation } from './reservation.ts';

/** Two engines that share the work of a request: one computes the prompt, the other the answer. */
export interface Handover {
  readonly prefill: Endpoint;
  readonly decode: Endpoint;
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
  /** Whom the endpoint, a leader, is to hand the request over to; null where it answers by itself. */
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
}

/** A first decision without a breakdown: the ordinary case, shared so that it costs nothing. */
export const firstAttempt: Attempts = Object.freeze({
  tried: Object.freeze([]),
  backend: null,
  explain: false,
  only: null,
});
