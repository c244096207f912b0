import type { BackendGroup } from '../../api/backend-group.ts';
import type { BackendRef } from '../../api/backend-refs.ts';
import { decodeResource } from '../../api/decode.ts';
import type { PickerConfig } from '../../api/endpoint-picker-config.ts';
import { apiVersion } from '../../api/resource.ts';
import { keyOf, type AcceptedPolicy, type BrokenPolicy } from '../compile.ts';
import type { ResourceSnapshot } from '../resource-snapshot.ts';
import { poolGroupName, poolGroupOf, poolKey, poolKeyOf, refKey, type PoolName } from './pool-ref.ts';

/** What is to be in force for some pools. */
export interface PoolPlan {
  readonly snapshot: ResourceSnapshot;
  /** Keys of each pool's groups, in the order of the pools; none where there is no group for it. */
  readonly groups: readonly ReadonlySet<string>[];
}

/** Where pools are: in a cluster InferencePools, in files the BackendGroups of their names. */
export type PoolPlace = 'cluster' | 'files';

type Ref = Pick<BackendRef, 'kind' | 'name'>;

/**
 * Leaves of all resources what concerns some pools, and adds what they lack: a group for a pool that nobody describes,
 * and one policy: that of an EndpointPickerConfig, or Auto where no policy names the pool.
 */
export class PoolPlanner {
  private readonly pools: readonly PoolName[];
  private readonly place: PoolPlace;
  private readonly standIns = new Map<string, BackendGroup>();
  private config: PickerConfig | null = null;
  /** By what they are made of, since what is compiled from them is kept by their identity; anew for another config. */
  private configured = new WeakMap<BackendGroup, BackendGroup>();
  private policies = new Map<string, AcceptedPolicy>();
  private readonly narrowed = new WeakMap<AcceptedPolicy, AcceptedPolicy>();

  constructor(pools: readonly PoolName[], place: PoolPlace) {
    this.pools = pools;
    this.place = place;
  }

  plan(all: ResourceSnapshot, config: PickerConfig | null): PoolPlan {
    this.follow(config);
    const groups = new Map<string, BackendGroup>();
    const keys = this.pools.map((pool) => {
      const own = this.groupsOf(pool, all.groups);
      for (const group of own) groups.set(keyOf(group.metadata), group);
      return new Set(own.map(({ metadata }) => keyOf(metadata)));
    });
    const refKeys = this.pools.map((pool, i) => new Set([...keys[i], refKey(pool.namespace, this.refTo(pool))]));
    const own = config === null ? this.concerning(all, refKeys) : { policies: [], broken: [] };
    const lacking = this.pools.filter((_, i) => !isNamed(own, refKeys[i]));
    const policies = [...own.policies, ...lacking.map((pool) => this.policyOf(pool))];
    return { snapshot: { ...all, groups: [...groups.values()], policies, broken: own.broken }, groups: keys };
  }

  private follow(config: PickerConfig | null): void {
    if (config === this.config) return;
    this.config = config;
    this.configured = new WeakMap();
    this.policies = new Map();
  }

  /** The BackendGroups of a pool with what the configuration says of their caches. */
  private groupsOf(pool: PoolName, groups: readonly BackendGroup[]): BackendGroup[] {
    const key = poolKey(pool);
    const found = groups.filter((group) =>
      this.place === 'cluster' ? poolKeyOf(group) === key : keyOf(group.metadata) === keyOf(pool),
    );
    if (found.length > 0) return found.map((group) => this.withManager(group));
    return this.place === 'cluster' ? [this.standIn(pool, key)] : [];
  }

  private standIn(pool: PoolName, key: string): BackendGroup {
    let group = this.standIns.get(key);
    if (group === undefined) {
      group = poolGroupOf(pool);
      this.standIns.set(key, group);
    }
    return this.config === null ? group : this.withCache(group, this.config);
  }

  /** What a BackendGroup says of its caches stands, unless the configuration names somebody to ask. */
  private withManager(group: BackendGroup): BackendGroup {
    const { config } = this;
    return config?.kvCache.type === 'Manager' ? this.withCache(group, config) : group;
  }

  private withCache(group: BackendGroup, { kvCache }: PickerConfig): BackendGroup {
    let made = this.configured.get(group);
    if (made === undefined) {
      made = { ...group, spec: { ...group.spec, kvCache } };
      this.configured.set(group, made);
    }
    return made;
  }

  /** The policies that name one of the pools, with the backends of these pools alone. */
  private concerning(
    { policies, broken }: ResourceSnapshot,
    refKeys: readonly ReadonlySet<string>[],
  ): Pick<ResourceSnapshot, 'policies' | 'broken'> {
    const wanted = new Set(refKeys.flatMap((keys) => [...keys]));
    return {
      policies: policies.flatMap((policy) => this.narrow(policy, wanted)),
      broken: broken.flatMap((policy) => {
        const backends = this.own(policy.namespace, policy.backends, wanted);
        return backends.length === 0 ? [] : [{ ...policy, backends }];
      }),
    };
  }

  private narrow(policy: AcceptedPolicy, wanted: ReadonlySet<string>): AcceptedPolicy[] {
    const { resource } = policy;
    const { metadata, spec } = resource;
    const own = this.own(metadata.namespace ?? 'default', spec.backendRefs, wanted);
    if (own.length === 0) return [];
    if (sameRefs(own, spec.backendRefs)) return [policy];
    const known = this.narrowed.get(policy);
    if (known !== undefined && sameRefs(own, known.resource.spec.backendRefs)) return [known];
    const made = { ...policy, resource: { ...resource, spec: { ...spec, backendRefs: own } } };
    this.narrowed.set(policy, made);
    return [made];
  }

  /** Those of some references that lead to the pools; in files a pool is a BackendGroup. */
  private own<R extends Ref>(namespace: string, refs: readonly R[], wanted: ReadonlySet<string>): R[] {
    return refs
      .map((ref) =>
        this.place === 'files' && ref.kind === 'InferencePool' ? { ...ref, kind: 'BackendGroup' as const } : ref,
      )
      .filter((ref) => wanted.has(refKey(namespace, ref)));
  }

  private refTo({ name }: PoolName): Ref {
    return { kind: this.place === 'cluster' ? 'InferencePool' : 'BackendGroup', name };
  }

  /** That of the configuration, or Auto; it takes every model. */
  private policyOf(pool: PoolName): AcceptedPolicy {
    const key = keyOf(pool);
    let policy = this.policies.get(key);
    if (policy === undefined) {
      policy = madePolicy(pool, this.refTo(pool), this.config);
      this.policies.set(key, policy);
    }
    return policy;
  }
}

function isNamed(
  { policies, broken }: { policies: readonly AcceptedPolicy[]; broken: readonly BrokenPolicy[] },
  keys: ReadonlySet<string>,
): boolean {
  return (
    policies.some(({ resource: { metadata, spec } }) =>
      spec.backendRefs.some((ref) => keys.has(refKey(metadata.namespace ?? 'default', ref))),
    ) || broken.some(({ namespace, backends }) => backends.some((ref) => keys.has(refKey(namespace, ref))))
  );
}

function sameRefs(a: readonly Ref[], b: readonly Ref[]): boolean {
  return a.length === b.length && a.every(({ kind, name }, i) => kind === b[i].kind && name === b[i].name);
}

function madePolicy(pool: PoolName, ref: Ref, config: PickerConfig | null): AcceptedPolicy {
  const decoded = decodeResource({
    apiVersion,
    kind: 'RoutingPolicy',
    metadata: pool,
    spec: { match: { models: ['*'] }, backendRefs: [ref] },
  });
  if (!decoded.ok || decoded.resource.kind !== 'RoutingPolicy')
    throw new Error(`the pool ${keyOf(pool)} became no policy; please report it`);
  const { resource } = decoded;
  // No object can be called so: a policy by the pool's own name may be another pool's.
  const metadata = { ...resource.metadata, name: poolGroupName(pool.name) };
  const strategy = config === null ? resource.spec.strategy : { type: 'Profile', profile: config.profile };
  return { resource: { ...resource, metadata, spec: { ...resource.spec, strategy } }, created: 0 };
}
