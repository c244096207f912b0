import type { DecisionView } from './decision-view.ts';
import type { Endpoint } from './endpoint.ts';
import { isAllowed } from './openness.ts';
import type { PairGroup, PairRole } from './pair-grouping.ts';
import type { Backend } from './policy.ts';
import { Flag, type EndpointStates } from './states.ts';

/** What speaks against an endpoint, whatever becomes of its backend; or null. */
export function outReason(view: DecisionView, { group }: Backend, endpoint: Endpoint): string | null {
  const pairs = view.profile.parts.pairs;
  const reason = ownReason(view, endpoint);
  if (pairs === undefined) return reason ?? subsetReason(view, endpoint);
  const { grouping, groupingType } = pairs;
  const misfit = grouping.misfit(endpoint);
  if (misfit !== null) return `${groupingType}: ${misfit}`;
  if (reason !== null) return reason;
  if (grouping.roleOf(endpoint) === 'leader' && !isAllowed(endpoint, view.attempts.only)) return subset;
  const name = grouping.groupOf(endpoint);
  const [own] = grouping.groupsOf(group.endpoints).filter((each) => each.name === name);
  return lackReason(view, own);
}

const subset = 'not in the subset that the gateway allows';

function subsetReason({ attempts }: DecisionView, endpoint: Endpoint): string | null {
  return isAllowed(endpoint, attempts.only) ? null : subset;
}

/** Why a group cannot take the request, or null. */
function lackReason(view: DecisionView, { name, prefills, decodes, leaders }: PairGroup): string | null {
  const { only } = view.attempts;
  const isOpen = (endpoint: Endpoint): boolean => ownReason(view, endpoint) === null;
  const lacking: PairRole[] = [];
  if (!prefills.some(isOpen)) lacking.push('prefill');
  if (!decodes.some(isOpen)) lacking.push('decode');
  if (!leaders.some((leader) => isOpen(leader) && isAllowed(leader, only))) lacking.push('leader');
  return lacking.length === 0 ? null : `its group ${name} has no ready ${lacking.join(' and no ready ')}`;
}

function ownReason(view: DecisionView, endpoint: Endpoint): string | null {
  const { states, readiness, attempts, profile, request } = view;
  const { slot } = endpoint;
  if (!states.isReady(slot)) return readiness?.reasonOf(slot) ?? flagReason(states, slot);
  if (attempts.tried.includes(endpoint)) return 'tried before';
  const { filters, filterTypes } = profile.parts;
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
