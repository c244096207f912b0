import { Value } from 'typebox/value';
import { backendGroupStatus, type BackendGroupStatus } from '../../api/backend-group-status.ts';
import { routingPolicyStatus, type RoutingPolicyStatus } from '../../api/routing-policy-status.ts';

/** Verdicts by the very object: statuses are looked at every few seconds, and checking one costs more than making one. */
const policies = new WeakMap<object, boolean>();
const groups = new WeakMap<object, boolean>();

/** Whether a status is one that a router may have written; any other was written by nobody we know. */
export const isPolicyStatus = (status: unknown): status is RoutingPolicyStatus =>
  remembered(policies, status, (object) => Value.Check(routingPolicyStatus, object));

export const isGroupStatus = (status: unknown): status is BackendGroupStatus =>
  remembered(groups, status, (object) => Value.Check(backendGroupStatus, object));

function remembered(known: WeakMap<object, boolean>, status: unknown, check: (status: object) => boolean): boolean {
  if (typeof status !== 'object' || status === null) return false;
  let verdict = known.get(status);
  if (verdict === undefined) {
    verdict = check(status);
    known.set(status, verdict);
  }
  return verdict;
}
