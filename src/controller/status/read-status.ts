import { Value } from 'typebox/value';
import { backendGroupStatus, type BackendGroupStatus } from '../../api/backend-group-status.ts';
import { routingPolicyStatus, type RoutingPolicyStatus } from '../../api/routing-policy-status.ts';

/** Whether a status is one that a router may have written; any other was written by nobody we know. */
export const isPolicyStatus = (status: unknown): status is RoutingPolicyStatus =>
  Value.Check(routingPolicyStatus, status);

export const isGroupStatus = (status: unknown): status is BackendGroupStatus => Value.Check(backendGroupStatus, status);
