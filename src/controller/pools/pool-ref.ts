import { decodeResource } from '../../api/decode.ts';
import type { BackendGroup } from '../../api/backend-group.ts';
import type { BackendRef } from '../../api/backend-refs.ts';
import { apiVersion } from '../../api/resource.ts';

/** An InferencePool by name. */
export interface PoolName {
  readonly namespace: string;
  readonly name: string;
}

/** Name of the group that stands for a pool nobody has written a BackendGroup for; no object can be called so. */
export const poolGroupName = (pool: string): string => `InferencePool:${pool}`;

/** `namespace/name` by which the backend of a reference is known; those of kind InferencePool are unlike all others. */
export function refKey(namespace: string, { kind, name }: Pick<BackendRef, 'kind' | 'name'>): string {
  return `${namespace}/${kind === 'InferencePool' ? poolGroupName(name) : name}`;
}

/** The key of a pool, as references of kind InferencePool have it. */
export const poolKey = ({ namespace, name }: PoolName): string => refKey(namespace, { kind: 'InferencePool', name });

/** The key of the pool that a group discovers, as references of kind InferencePool have it; null for other groups. */
export function poolKeyOf({ metadata, spec }: BackendGroup): string | null {
  const { discovery } = spec;
  if (discovery.type !== 'InferencePool') return null;
  return poolKey({ namespace: metadata.namespace ?? 'default', name: discovery.inferencePool.name });
}

/**
 * The groups that stand for pools, by the key of the pool: of several BackendGroups that discover one pool the first by
 * name. `groups` in any order.
 */
export function groupsOfPools(groups: readonly BackendGroup[]): Map<string, BackendGroup> {
  const found = new Map<string, BackendGroup>();
  for (const group of groups) {
    const key = poolKeyOf(group);
    if (key === null) continue;
    const known = found.get(key);
    if (known === undefined || group.metadata.name < known.metadata.name) found.set(key, group);
  }
  return found;
}

/** The group that a pool is where nobody has written one: the default settings of a BackendGroup. */
export function poolGroupOf(pool: PoolName, spec: Partial<BackendGroup['spec']> = {}): BackendGroup {
  const decoded = decodeResource({
    apiVersion,
    kind: 'BackendGroup',
    metadata: pool,
    spec: { discovery: { type: 'InferencePool', inferencePool: { name: pool.name } } },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup')
    throw new Error(`the InferencePool ${pool.namespace}/${pool.name} became no group; please report it`);
  const { resource } = decoded;
  const metadata = { ...resource.metadata, name: poolGroupName(pool.name) };
  return { ...resource, metadata, spec: { ...resource.spec, ...spec } };
}
