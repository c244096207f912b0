import type { Candidates } from './candidates.ts';
import type { Attempts } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { MemberScore } from './pair-breakdown.ts';
import type { Pairs } from './pairs.ts';
import type { Backend } from './policy.ts';
import type { SchedulingProfile, ScoreBreakdown } from './profile.ts';
import type { AcceptedPolicy } from './profiles.ts';
import type { EndpointReadiness } from './readiness.ts';
import type { InferenceRequest } from './request.ts';
import type { EndpointStates } from './states.ts';

/** The pairs that a decision chose among. */
export interface PairsView {
  readonly pairs: Pairs;
  readonly members: ReadonlyMap<Endpoint, MemberScore>;
}

/** A decision just made, before its place is reserved: the states are still those that it saw. */
export interface DecisionView {
  readonly states: EndpointStates;
  readonly readiness: EndpointReadiness | null;
  readonly policy: AcceptedPolicy;
  /** Of the backend; where there is none, of the policy's endpoints that answer by themselves. */
  readonly profile: SchedulingProfile;
  readonly request: InferenceRequest;
  readonly attempts: Attempts;
  /** Null where none could take the request. */
  readonly backend: Backend | null;
  /** Those of the backend; where pairs share the work, the leaders of the chosen group, or the decoder itself. */
  readonly candidates: Candidates;
  /** Of the pick among the candidates. */
  readonly index: number;
  /** Of the candidates, in their order. */
  readonly breakdown: readonly ScoreBreakdown[];
  /** Null where endpoints answer by themselves, and where there was no group to choose from. */
  readonly paired: PairsView | null;
}
