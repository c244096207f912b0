import type { Endpoint } from './endpoint.ts';
import type { Explanation } from './explanation.ts';
import type { RoutingPolicy } from './policy.ts';

/**
 * Sees every decision from outside; called in the middle of each, so it must be cheap. One decision is told whole
 * before the next begins, since decisions never await.
 */
export interface DecisionObserver {
  /** A decision begins. Whether it is to be explained, which costs far more than the decision itself. */
  watches(policy: RoutingPolicy): boolean;
  /** The decision that was told last has picked this endpoint; not called where there is none to pick. */
  picked(endpoint: Endpoint): void;
  /** The explanation of the decision that was told last, where it was asked for; made before its place is reserved. */
  explained(explanation: Explanation): void;
}
