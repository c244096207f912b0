import { sparesPrefillers, type PairTopology } from './pair-topology.ts';
import type { BackendGroup, RoutingPolicy } from './policy.ts';
import type { SchedulingProfile } from './profile.ts';

/** A policy that has a valid version. */
export type AcceptedPolicy = RoutingPolicy & { readonly profile: SchedulingProfile };

export const isAccepted = (policy: RoutingPolicy): policy is AcceptedPolicy => policy.profile !== null;

/** The profile by which a policy places requests in a group; null where the policy has no valid version. */
export function profileFor(policy: AcceptedPolicy, group: BackendGroup): SchedulingProfile;
export function profileFor(policy: RoutingPolicy, group: BackendGroup): SchedulingProfile | null;
export function profileFor(policy: RoutingPolicy, group: BackendGroup): SchedulingProfile | null {
  return group.topology === undefined ? policy.profile : (policy.pairProfile ?? policy.profile);
}

/** How a group's engines share the work of the policy's requests; null where each is answered by one engine. */
export function topologyFor(policy: RoutingPolicy, group: BackendGroup): PairTopology | null {
  const pairs = profileFor(policy, group)?.parts.pairs;
  return pairs === undefined ? null : (group.topology ?? pairs.topology);
}

/** Whether a decision for this group looks at what its engines have cached, so that its prefix source is to be fed. */
export function readsHits(policy: RoutingPolicy, group: BackendGroup): boolean {
  if (profileFor(policy, group)?.parts.readsHits === true) return true;
  const topology = topologyFor(policy, group);
  return topology !== null && sparesPrefillers(topology);
}

/** Whether any decision of the policy may, so that prompts are to be looked up before it. */
export function readsAnyHits(policy: RoutingPolicy): boolean {
  for (const { group } of policy.backends) if (readsHits(policy, group)) return true;
  return false;
}
