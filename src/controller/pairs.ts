import { parseDuration } from '../api/duration.ts';
import type { Topology } from '../api/topology.ts';
import { PairGrouping } from '../router/pair-grouping.ts';
import type { PairGroup } from '../router/pair-grouping.ts';
import type { PairTopology } from '../router/pair-topology.ts';
import type { BackendGroup } from '../router/policy.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import { unmet, type Condition } from './conditions.ts';

/** What the front door behind the table can do. */
export interface FrontDoorKind {
  /** Whether it can take a request from a prefiller to a decoder by itself. */
  readonly handsOver: boolean;
}

/** Profiles of an accepted policy. */
export interface Profiles {
  readonly profile: SchedulingProfile;
  readonly pairProfile?: SchedulingProfile;
}

/** How the engines of a group share the work; undefined where each does all of it. */
export function topologyOf(topology: Topology): PairTopology | undefined {
  if (topology.type === 'Aggregate') return undefined;
  const { roleLabel, groupLabel, prefillValue, decodeValue, leaderValue, ...rest } = topology.prefillDecode;
  const { handover, disaggregate, timeouts } = rest;
  return Object.freeze({
    grouping: new PairGrouping({
      role: roleLabel,
      group: groupLabel,
      prefill: prefillValue,
      decode: decodeValue,
      leader: leaderValue,
    }),
    handover,
    disaggregateAbove: disaggregate.uncachedTokens ?? -1,
    stages: Object.freeze({ prefill: parseDuration(timeouts.prefill), decode: parseDuration(timeouts.decode) }),
  });
}

/** What a policy and one of its backends do not have in common. */
export interface Mismatch {
  /** Of the condition ResolvedRefs; UnsupportedInMode where it is left out. */
  readonly reason?: string;
  readonly message: string;
  /** Whether the backend must be left out, because requests would go astray there. */
  readonly isBar: boolean;
}

/** Why a policy cannot place requests in a group; null where it can. */
export function mismatchOf(
  strategy: string,
  { profile, pairProfile = profile }: Profiles,
  group: BackendGroup,
  frontDoor: FrontDoorKind,
): Mismatch | null {
  const { topology, name } = group;
  if (topology === undefined) return unlabelled(strategy, profile, group);
  if (pairProfile.parts.pairs === undefined) {
    const message = `strategy ${strategy} picks single endpoints, and BackendGroup ${name} has topology PrefillDecode, where two share a request; use Auto, PDLeastTime, PDKVAware, PDBucket or RandomPDBucket`;
    return { message, isBar: true };
  }
  if (topology.handover === 'Leader' || frontDoor.handsOver) return null;
  const message = `BackendGroup ${name} says \`handover: Router\`, and an endpoint picker cannot hand over, since Envoy sends a request to one endpoint; write \`handover: Leader\` and run pd-proxy in front of each group`;
  return { message, isBar: true };
}

/** Why a strategy for pairs finds none in a group that says nothing of them. */
function unlabelled(
  strategy: string,
  { parts }: SchedulingProfile,
  { name, endpoints }: BackendGroup,
): Mismatch | null {
  const grouping = parts.pairs?.topology.grouping;
  if (grouping === undefined || endpoints.length === 0) return null;
  const misfits = endpoints.map((endpoint) => grouping.misfit(endpoint));
  const [first] = misfits;
  if (first === null || misfits.includes(null)) return null;
  const message = `strategy ${strategy} looks for pairs, and no endpoint of BackendGroup ${name} says that it is of one (${endpoints[0].name}: ${first}); label the Pods, or use Auto`;
  return { message, isBar: false };
}

/** So many groups are told by name; the rest is counted. */
const mostGroups = 3;

/** What is missing for pairs among the endpoints that discovery has found; null where nothing is, or none is wanted. */
export function pairsCondition({ topology, endpoints }: BackendGroup): Condition | null {
  if (topology === undefined || endpoints.length === 0) return null;
  const { grouping, handover } = topology;
  const groups = grouping.groupsOf(endpoints);
  if (groups.length === 0) {
    const [first] = endpoints;
    const message = `none of ${endpoints.length} endpoints has a place in a group of prefillers and decoders (${first.name}: ${grouping.misfit(first) ?? ''}); label the Pods with role and group, or name your labels in topology.prefillDecode`;
    return unmet('Discovered', 'NoMatch', message);
  }
  const lacks = groups.map((group) => lackOf(group, handover === 'Leader'));
  if (lacks.some((lack) => lack === null)) return null;
  const told = lacks.slice(0, mostGroups).join(', ');
  const more = lacks.length > mostGroups ? ` and ${lacks.length - mostGroups} more` : '';
  const message = `no group is whole: ${told}${more}; start what is missing, or write \`handover: Router\` where only leaders are`;
  return unmet('Discovered', 'NoMatch', message);
}

/** `a has no decode`, whatever is ready; null where the group is whole. */
function lackOf({ name, prefills, decodes, leaders }: PairGroup, isLed: boolean): string | null {
  const lacking = [
    ...(prefills.length === 0 ? ['prefill'] : []),
    ...(decodes.length === 0 ? ['decode'] : []),
    ...(isLed && leaders.length === 0 ? ['leader'] : []),
  ];
  return lacking.length === 0 ? null : `${name} has no ${lacking.join(' and no ')}`;
}
