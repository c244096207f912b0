import type { Labels } from './fields.ts';
import type { References } from './finding.ts';
import { Selectors } from './selectors.ts';

const none: References = {
  services: new Set(),
  pools: new Set(),
  pods: new Set(),
  podSelector: null,
  serviceSelector: null,
};

type Kind = 'services' | 'pools' | 'pods';

/** Which groups of a namespace read what of it, to find those that a change concerns. */
export class Readers {
  private readonly references = new Map<string, References>();
  private readonly byName: Readonly<Record<Kind, Map<string, Set<string>>>> = {
    services: new Map(),
    pools: new Map(),
    pods: new Map(),
  };
  private readonly podSelectors = new Selectors();
  private readonly serviceSelectors = new Selectors();

  /** What a group reads from here on. */
  set(group: string, references: References): void {
    const before = this.references.get(group) ?? none;
    this.references.set(group, references);
    for (const kind of ['services', 'pools', 'pods'] as const) this.move(group, kind, before[kind], references[kind]);
    this.podSelectors.set(group, references.podSelector);
    this.serviceSelectors.set(group, references.serviceSelector);
  }

  remove(group: string): void {
    this.set(group, none);
    this.references.delete(group);
  }

  /** Adds the groups that a Pod concerns; `labels` are those that it had and has. */
  ofPod(name: string, labels: readonly (Labels | undefined)[], groups: Set<string>): void {
    this.collect('pods', name, groups);
    for (const some of labels) if (some !== undefined) this.podSelectors.collect(some, groups);
  }

  /** Adds the groups that a Service or its EndpointSlices concern. */
  ofService(name: string, labels: readonly (Labels | undefined)[], groups: Set<string>): void {
    this.collect('services', name, groups);
    for (const some of labels) if (some !== undefined) this.serviceSelectors.collect(some, groups);
  }

  ofPool(name: string, groups: Set<string>): void {
    this.collect('pools', name, groups);
  }

  private collect(kind: Kind, name: string, groups: Set<string>): void {
    for (const group of this.byName[kind].get(name) ?? []) groups.add(group);
  }

  private move(group: string, kind: Kind, from: ReadonlySet<string>, to: ReadonlySet<string>): void {
    const byName = this.byName[kind];
    for (const name of from) {
      if (to.has(name)) continue;
      const groups = byName.get(name);
      groups?.delete(group);
      if (groups?.size === 0) byName.delete(name);
    }
    for (const name of to) {
      if (from.has(name)) continue;
      const groups = byName.get(name) ?? new Set<string>();
      byName.set(name, groups.add(group));
    }
  }
}
