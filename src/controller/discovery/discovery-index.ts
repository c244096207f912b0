import type { BackendGroup } from '../../api/backend-group.ts';
import type { EndpointSeed } from '../../router/endpoint.ts';
import type { Condition } from '../conditions.ts';
import { keyOf } from '../compile.ts';
import type { Discovery, Found, ServiceName } from '../found.ts';
import { discover } from './discover.ts';
import { serviceRefusal } from './discover-service.ts';
import { sameList, sameMap } from './fields.ts';
import { Namespace } from './namespace.ts';
import type { ObjectView } from './object-view.ts';
import { samePod, type PodView } from './pod-view.ts';
import { samePool, type PoolView } from './pool-view.ts';
import { Readers } from './readers.ts';
import { isForbiddenTarget } from './target.ts';
import { sameService, type ServiceView } from './service-view.ts';
import { sameSlice, type SliceView } from './slice-view.ts';

export interface DiscoveryOptions {
  /** Lifts the limits on what a group may point at. */
  readonly allowExternalTargets: boolean;
  /** Whether the Services that groups name for other things than their endpoints are watched, with the Pods beside them. */
  readonly watchesNamedServices?: boolean;
  /** Whether an EndpointSlice may name other addresses than those of the namespace's Pods. */
  readonly trustsSlices?: boolean;
}

interface Entry {
  readonly group: BackendGroup;
  /** Null before discovery has run for the group. */
  readonly found: Found | null;
}

/** A namespace and who reads what of it. */
interface Space {
  readonly view: Namespace;
  readonly readers: Readers;
}

/**
 * The endpoints of every group, kept up to date with what is watched: a change runs discovery anew for the groups that
 * read what has changed, and for no other. Views are those of the `keep…` functions.
 */
export class DiscoveryIndex implements Discovery {
  private readonly options: DiscoveryOptions;
  private readonly spaces = new Map<string, Space>();
  private readonly groups = new Map<string, Entry>();
  /** Groups whose discovery is to run anew. */
  private readonly outdated = new Set<string>();
  /** Groups whose endpoints or condition have changed since they were last taken. */
  private dirty = new Set<string>();

  constructor(options: DiscoveryOptions) {
    this.options = options;
  }

  /** What was found for a group, which is taken in if it is not known; the same object while nothing has changed. */
  find(group: BackendGroup): Found {
    this.setGroup(group);
    return this.refreshed(keyOf(group.metadata), group);
  }

  setGroup(group: BackendGroup): void {
    const key = keyOf(group.metadata);
    const known = this.groups.get(key);
    if (known?.group === group) return;
    this.groups.set(key, { group, found: known?.found ?? null });
    this.outdated.add(key);
  }

  removeGroup(key: string): void {
    const known = this.groups.get(key);
    if (known === undefined) return;
    this.groups.delete(key);
    this.outdated.delete(key);
    this.dirty.delete(key);
    this.space(namespaceOf(known.group)).readers.remove(key);
  }

  setPod(pod: PodView): void {
    const { view, readers } = this.space(pod.namespace);
    const known = view.pod(pod.name);
    if (known !== undefined && samePod(known, pod)) return;
    view.pods.set(pod);
    readers.ofPod(pod.name, [known?.labels, pod.labels], this.outdated);
  }

  removePod({ namespace, name }: ObjectView): void {
    const { view, readers } = this.space(namespace);
    const known = view.pod(name);
    if (known === undefined) return;
    view.pods.delete(name);
    readers.ofPod(name, [known.labels], this.outdated);
  }

  setService(service: ServiceView): void {
    const { view, readers } = this.space(service.namespace);
    const known = view.service(service.name);
    if (known !== undefined && sameService(known, service)) return;
    view.services.set(service);
    readers.ofService(service.name, [known?.labels, service.labels], this.outdated);
  }

  removeService({ namespace, name }: ObjectView): void {
    const { view, readers } = this.space(namespace);
    const known = view.service(name);
    if (known === undefined) return;
    view.services.delete(name);
    readers.ofService(name, [known.labels], this.outdated);
  }

  setEndpointSlice(slice: SliceView): void {
    const { view, readers } = this.space(slice.namespace);
    const known = view.slice(slice.name);
    if (known !== undefined && sameSlice(known, slice)) return;
    view.setSlice(slice);
    if (known !== undefined) readers.ofService(known.service, [], this.outdated);
    readers.ofService(slice.service, [], this.outdated);
  }

  removeEndpointSlice({ namespace, name }: ObjectView): void {
    const { view, readers } = this.space(namespace);
    const known = view.slice(name);
    if (known === undefined) return;
    view.deleteSlice(name);
    readers.ofService(known.service, [], this.outdated);
  }

  setInferencePool(pool: PoolView): void {
    const { view, readers } = this.space(pool.namespace);
    const known = view.pool(pool.name);
    if (known !== undefined && samePool(known, pool)) return;
    view.pools.set(pool.name, pool);
    readers.ofPool(pool.name, this.outdated);
  }

  removeInferencePool({ namespace, name }: ObjectView): void {
    const { view, readers } = this.space(namespace);
    if (view.pools.delete(name)) readers.ofPool(name, this.outdated);
  }

  refusalOf({ namespace, name }: ServiceName, address: string): string | null {
    if (this.options.allowExternalTargets) return null;
    if (isForbiddenTarget(address)) return `the Service ${name} leads to ${address}, where no group may point`;
    return this.options.watchesNamedServices === true
      ? serviceRefusal(name, address, this.space(namespace).view)
      : null;
  }

  /** Whether there is an InferencePool, as far as the watch tells. */
  hasPool(namespace: string, name: string): boolean {
    return this.spaces.get(namespace)?.view.pool(name) !== undefined;
  }

  /** Keys of the groups whose endpoints or condition have changed since the last call; new groups among them. */
  takeDirty(): Set<string> {
    for (const key of this.outdated) {
      const entry = this.groups.get(key);
      if (entry !== undefined) this.refreshed(key, entry.group);
    }
    const taken = this.dirty;
    this.dirty = new Set();
    return taken;
  }

  private refreshed(key: string, group: BackendGroup): Found {
    const before = this.groups.get(key)?.found ?? null;
    if (before !== null && !this.outdated.has(key)) return before;
    this.outdated.delete(key);
    const { view, readers } = this.space(namespaceOf(group));
    const { allowExternalTargets, trustsSlices = false } = this.options;
    const { seeds, condition, references } = discover(
      group,
      view,
      allowExternalTargets,
      allowExternalTargets || trustsSlices,
    );
    readers.set(key, references);
    const found = kept(before, { seeds, condition });
    this.groups.set(key, { group, found });
    if (found !== before) this.dirty.add(key);
    return found;
  }

  private space(namespace: string): Space {
    let space = this.spaces.get(namespace);
    if (space === undefined) {
      space = { view: new Namespace(), readers: new Readers() };
      this.spaces.set(namespace, space);
    }
    return space;
  }
}

const namespaceOf = ({ metadata }: BackendGroup): string => metadata.namespace ?? 'default';

/** What was found before, as far as it is still the same: whole, its list, or single endpoints. */
function kept(before: Found | null, now: Found): Found {
  if (before === null) return { seeds: Object.freeze(now.seeds), condition: now.condition };
  const known = new Map(before.seeds.map((seed) => [seed.name, seed]));
  const merged = now.seeds.map((seed) => {
    const old = known.get(seed.name);
    return old !== undefined && sameSeed(old, seed) ? old : seed;
  });
  const seeds = sameList(before.seeds, merged, Object.is) ? before.seeds : Object.freeze(merged);
  const same = seeds === before.seeds && sameCondition(before.condition, now.condition);
  return same ? before : { seeds, condition: now.condition };
}

function sameSeed(a: EndpointSeed, b: EndpointSeed): boolean {
  return (
    a.address === b.address &&
    a.discoveredReady === b.discoveredReady &&
    sameMap(a.labels, b.labels) &&
    sameMap(a.ports, b.ports)
  );
}

const sameCondition = (a: Condition, b: Condition): boolean =>
  a.status === b.status && a.reason === b.reason && a.message === b.message;
