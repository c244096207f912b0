import type { Attempts } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { Filter } from './plugin.ts';
import type { InferenceRequest } from './request.ts';
import type { EndpointStates } from './states.ts';

/** Ready, not tried before. */
export function isOpen(states: EndpointStates, endpoint: Endpoint, tried: readonly Endpoint[]): boolean {
  return states.isReady(endpoint.slot) && (tried.length === 0 || !tried.includes(endpoint));
}

/** Whether the endpoint may be a request's destination, as far as a subset says. */
export function isAllowed(endpoint: Endpoint, only: Attempts['only']): boolean {
  return only === null || only.has(endpoint.address);
}

export function keptByAll(filters: readonly Filter[], request: InferenceRequest, endpoint: Endpoint): boolean {
  for (const filter of filters) if (!filter.keep(request, endpoint)) return false;
  return true;
}
