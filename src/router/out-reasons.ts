import type { DecisionView } from './decision-view.ts';
import type { Endpoint } from './endpoint.ts';
import { isAllowed } from './openness.ts';
import type { PairGroup, PairRole } from './pair-grouping.ts';
import type { PairTopology } from './pair-topology.ts';
import type { Backend } from './policy.ts';
import { profileFor } from './profiles.ts';
import { Flag, type EndpointStates } from './states.ts';

/** What speaks against an endpoint, whatever becomes of its backend; or null. */
export function outReason(view: DecisionView, backend: Backend, endpoint: Endpoint): string | null {
  const { group } = backend;
  const { pairs } = profileFor(view.policy, group).parts;
  if (pairs === undefined) return ownReason(view, backend, endpoint) ?? subsetReason(view, endpoint);
  const topology = group.topology ?? pairs.topology;
  const { grouping } = topology;
  const misfit = grouping.misfit(endpoint);
  if (misfit !== null) return `${group.topology === undefined ? pairs.groupingType : 'topology'}: ${misfit}`;
  const place = { backend, topology };
  const reason = memberReason(view, place, endpoint);
  if (reason !== null) return reason;
  const name = grouping.groupOf(endpoint);
  const [own] = grouping.groupsOf(group.endpoints).filter((each) => each.name === name);
  return lackReason(view, place, own);
}

/** Where pairs are looked for. */
interface PairPlace {
  readonly backend: Backend;
  readonly topology: PairTopology;
}

const subset = 'not in the subset that the gateway allows';

function subsetReason({ attempts }: DecisionView, endpoint: Endpoint): string | null {
  return isAllowed(endpoint, attempts.only) ? null : subset;
}

/** What speaks against a member of a group by itself. */
function memberReason(view: DecisionView, place: PairPlace, endpoint: Endpoint): string | null {
  const role = place.topology.grouping.roleOf(endpoint);
  const isRouters = place.topology.handover === 'Router';
  if (isRouters && role === 'leader') return 'the router hands over by itself, so leaders get no requests';
  const { prefilled } = view.attempts;
  if (role === 'prefill' && prefilled !== null)
    return endpoint === prefilled ? null : `${prefilled.name} has computed the prompt already`;
  const reason = namedReason(view, role, endpoint) ?? ownReason(view, place.backend, endpoint);
  if (reason !== null) return reason;
  return role === (isRouters ? 'decode' : 'leader') ? subsetReason(view, endpoint) : null;
}

function namedReason({ attempts: { pair } }: DecisionView, role: PairRole | null, endpoint: Endpoint): string | null {
  if (pair === null || role === 'leader' || role === null || endpoint.address === pair[role]) return null;
  return 'not in the pair that was named';
}

/** Why a group cannot take the request, or null. */
function lackReason(view: DecisionView, place: PairPlace, group: PairGroup): string | null {
  const { name, prefills, decodes, leaders } = group;
  const { prefilled } = view.attempts;
  if (prefilled !== null && !prefills.includes(prefilled))
    return `KV blocks never leave the group of ${prefilled.name}`;
  const isOpen = (endpoint: Endpoint): boolean => memberReason(view, place, endpoint) === null;
  const lacking: PairRole[] = [];
  if (!prefills.some(isOpen)) lacking.push('prefill');
  if (!decodes.some(isOpen)) lacking.push('decode');
  if (place.topology.handover === 'Leader' && !leaders.some(isOpen)) lacking.push('leader');
  return lacking.length === 0 ? null : `its group ${name} has no ready ${lacking.join(' and no ready ')}`;
}

function ownReason(view: DecisionView, { group }: Backend, endpoint: Endpoint): string | null {
  const { states, readiness, attempts, policy, request } = view;
  const { slot } = endpoint;
  if (!states.isReady(slot)) return readiness?.reasonOf(slot) ?? flagReason(states, slot);
  if (attempts.tried.includes(endpoint)) return 'tried before';
  const { filters, filterTypes } = profileFor(policy, group).parts;
  for (let f = 0; f < filters.length; f++) {
    if (filters[f].keep(request, endpoint)) continue;
    const reason = filters[f].reason?.(request, endpoint);
    return reason === undefined ? filterTypes[f] : `${filterTypes[f]}: ${reason}`;
  }
  return null;
}

function flagReason(states: EndpointStates, slot: number): string {
  if (states.has(slot, Flag.draining)) return 'Draining';
  if (states.has(slot, Flag.unready)) return 'NotReady';
  if (!states.has(slot, Flag.healthy)) return 'Unhealthy';
  return states.has(slot, Flag.sleeping) ? 'Sleeping' : 'Ejected';
}
