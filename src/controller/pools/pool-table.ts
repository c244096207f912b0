import type { RoutingPolicy } from '../../router/policy.ts';
import { RoutingTable, TableStore } from '../../router/table.ts';

/**
 * What of a table concerns one pool: who asks for the pool's endpoint has chosen the pool already, so policies have
 * its backends only, whatever share of their traffic they give it.
 */
export class PoolTable {
  readonly store = new TableStore();
  /** By what they were made of: the same policy while nothing has changed. */
  private made = new Map<RoutingPolicy, RoutingPolicy>();
  private groups: ReadonlySet<string> = new Set();

  /** `groups`: keys of the pool's groups. */
  update(table: RoutingTable, groups: ReadonlySet<string>): void {
    if (!sameKeys(groups, this.groups)) this.made.clear();
    this.groups = groups;
    const made = new Map<RoutingPolicy, RoutingPolicy>();
    for (const policy of table.policies) {
      const known = this.made.get(policy) ?? ofPool(policy, groups);
      if (known !== null) made.set(policy, known);
    }
    this.made = made;
    const own = new Map([...table.groups].filter(([key]) => groups.has(key)));
    this.store.current = new RoutingTable(table.generation, [...made.values()], own);
  }
}

function sameKeys(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((key) => b.has(key));
}

function ofPool(policy: RoutingPolicy, groups: ReadonlySet<string>): RoutingPolicy | null {
  const own = policy.backends.filter(({ group }) => groups.has(group.key));
  if (own.length === 0) return null;
  const weighs = own.some(({ weight }) => weight > 0);
  if (weighs && own.length === policy.backends.length) return policy;
  const backends = weighs ? own : own.map((backend) => Object.freeze({ ...backend, weight: 1 }));
  return Object.freeze({ ...policy, backends: Object.freeze(backends) });
}
