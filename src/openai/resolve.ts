import { RoutingError } from '../router/errors.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import type { HeaderLookup } from '../router/request.ts';
import type { RoutingTable } from '../router/table.ts';
import { unknownModel } from './model-list.ts';

/** Who takes a request. */
export interface Resolved {
  /** The model that the client named, or the only one there is. */
  readonly model: string;
  readonly policy: RoutingPolicy;
  readonly profile: SchedulingProfile;
}

/**
 * The policy that takes a request for `model`, which is empty where the client named none. Throws RoutingError
 * `missing_model`, `model_not_found` or `policy_invalid`.
 */
export function resolve(table: RoutingTable, named: string, headers: HeaderLookup): Resolved {
  const model = named === '' ? onlyModel(table.models) : named;
  const policy = table.match(model, headers);
  if (policy === null) throw unknownModel(table, model);
  return resolvedBy(policy, model);
}

/** The same once the policy is known. Throws RoutingError `policy_invalid`. */
export function resolvedBy(policy: RoutingPolicy, model: string): Resolved {
  const { profile } = policy;
  if (profile !== null) return { model, policy, profile };
  const message = `the routing policy ${policy.name} has never been valid; its status says what is wrong`;
  throw new RoutingError('policy_invalid', message, { source: 'router' });
}

/** A request without a model is fine where there is only one. */
function onlyModel(models: readonly string[]): string {
  if (models.length === 1) return models[0];
  throw new RoutingError('missing_model', 'you must name a model', { source: 'client', param: 'model' });
}
