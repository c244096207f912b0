import { resolve, resolvedBy, type Resolved } from '../openai/resolve.ts';
import { RoutingError } from '../router/errors.ts';
import type { RoutingTable } from '../router/table.ts';
import type { RequestHead } from './request-head.ts';

/**
 * Who takes a request for the model that its body names. While no engine has told its models, nobody can say that one
 * does not exist: then the pool is empty, which passes. Throws RoutingError.
 */
export function takerOf(table: RoutingTable, model: string, head: RequestHead): Resolved {
  if (table.models.length > 0) return resolve(table, model, head);
  return takerOfAny(table, model, head);
}

/** Who takes a request that has no body and so names no model. Throws RoutingError. */
export function takerOfBodiless(table: RoutingTable, head: RequestHead): Resolved {
  const { models } = table;
  if (models.length === 1) return resolve(table, models[0], head);
  return takerOfAny(table, '', head);
}

function takerOfAny(table: RoutingTable, model: string, head: RequestHead): Resolved {
  const policy = table.match(model, head);
  if (policy !== null) return resolvedBy(policy, model);
  if (table.models.length > 0) {
    throw new RoutingError('missing_model', 'you must name a model', { source: 'client', param: 'model' });
  }
  throw new RoutingError('no_ready_endpoint', 'no engine is ready; try again soon', {
    source: 'backend',
    retryable: true,
  });
}
