import type { BackendGroup } from '../../router/policy.ts';

/** What each endpoint of a group does, by name, of those that say so; nothing where all do the same. */
export function rolesOf(group: BackendGroup | undefined): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (group?.topology === undefined) return found;
  for (const endpoint of group.endpoints) {
    const role = group.topology.grouping.roleOf(endpoint);
    if (role !== null) found.set(endpoint.name, role);
  }
  return found;
}
