import type { Endpoint } from './endpoint.ts';
import type { Backend } from './policy.ts';
import type { ScoreBreakdown } from './profile.ts';
import type { Reservation } from './reservation.ts';

/** Where a request goes, with its place in that endpoint's books already taken. */
export interface Decision {
  readonly backend: Backend;
  readonly endpoint: Endpoint;
  readonly reservation: Reservation;
  /** Prompt length in tokens, and how many of them the endpoint is thought to have cached. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Every candidate's score; null unless it was asked for. */
  readonly breakdown: readonly ScoreBreakdown[] | null;
}

/** What has been tried for a request so far; empty for its first decision. */
export interface Attempts {
  readonly tried: readonly Endpoint[];
  /** The backend of the last try: further tries stay with it while it has other endpoints. */
  readonly backend: Backend | null;
  /** Whether to make a breakdown. */
  readonly explain: boolean;
}

/** A first decision without a breakdown: the ordinary case, shared so that it costs nothing. */
export const firstAttempt: Attempts = Object.freeze({ tried: Object.freeze([]), backend: null, explain: false });
