import type { BackendGroup } from '../../api/backend-group.ts';
import type { ResourceSnapshot } from '../resource-snapshot.ts';
import { groupsOfPools, poolGroupOf, poolKey, type PoolName } from './pool-ref.ts';

/** Groups for the pools that policies name and no BackendGroup discovers. */
export class PoolGroups {
  /** The same group for the same pool: what is compiled from it is kept by its identity. */
  private made = new Map<string, BackendGroup>();

  /** The snapshot and the groups that it lacks. */
  complete(snapshot: ResourceSnapshot): ResourceSnapshot {
    const known = groupsOfPools(snapshot.groups);
    const made = new Map<string, BackendGroup>();
    for (const pool of poolsNamed(snapshot)) {
      const key = poolKey(pool);
      if (known.has(key) || made.has(key)) continue;
      made.set(key, this.made.get(key) ?? poolGroupOf(pool));
    }
    this.made = made;
    return made.size === 0 ? snapshot : { ...snapshot, groups: [...snapshot.groups, ...made.values()] };
  }
}

/** The pools that policies name, whether they are valid or not. */
function* poolsNamed({ policies, broken }: ResourceSnapshot): Iterable<PoolName> {
  for (const { resource } of policies) {
    const { metadata, spec } = resource;
    for (const { kind, name } of spec.backendRefs)
      if (kind === 'InferencePool') yield { namespace: metadata.namespace ?? 'default', name };
  }
  for (const { namespace, backends } of broken)
    for (const { kind, name } of backends) if (kind === 'InferencePool') yield { namespace, name };
}
