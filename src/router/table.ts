import type { Backend, BackendGroup, RoutingPolicy } from './policy.ts';
import type { HeaderLookup } from './request.ts';

/** How well a policy's models cover a name; higher wins. */
const rank = { exact: 1 << 20, served: 0, none: -1 } as const;
const memoLimit = 4096;

/**
 * Everything a request's placement depends on, except load. Frozen and swapped whole, so that one request sees one
 * table from its first byte to its last.
 */
export class RoutingTable {
  readonly generation: number;
  readonly policies: readonly RoutingPolicy[];
  readonly groups: ReadonlyMap<string, BackendGroup>;
  /** Every model that some accepted policy can route to, sorted. */
  readonly models: readonly string[];
  private readonly memo = new Map<string, readonly RoutingPolicy[]>();
  /** Policies by the model names that they or their backends spell out. */
  private readonly byModel = new Map<string, RoutingPolicy[]>();
  /** Policies that name models by prefix. */
  private readonly byPrefix: readonly RoutingPolicy[];

  constructor(generation: number, policies: readonly RoutingPolicy[], groups: ReadonlyMap<string, BackendGroup>) {
    this.generation = generation;
    this.policies = policies;
    this.groups = groups;
    for (const policy of policies) {
      for (const model of new Set(spelledOut(policy))) listed(this.byModel, model).push(policy);
    }
    this.byPrefix = policies.filter(({ match }) => match.models.some(isPrefix));
    const accepted = policies.filter(({ profile }) => profile !== null);
    this.models = [...new Set(accepted.flatMap(routableModels))]
      .filter((name) => this.covering(name).length > 0)
      .sort();
    Object.freeze(this.policies);
    Object.freeze(this.models);
    Object.freeze(this);
  }

  /** The policy that takes a request, or null. */
  match(model: string, headers: HeaderLookup): RoutingPolicy | null {
    for (const policy of this.covering(model)) if (headersMatch(policy, headers)) return policy;
    return null;
  }

  /** Policies whose models cover the name, the best first. */
  private covering(model: string): readonly RoutingPolicy[] {
    const known = this.memo.get(model);
    if (known !== undefined) return known;
    const found = [...new Set([...(this.byModel.get(model) ?? []), ...this.byPrefix])]
      .map((policy) => ({ policy, rank: coverage(policy, model) }))
      .filter((entry) => entry.rank > rank.none);
    const owner = owningNamespace(found, model);
    const ordered = found
      .filter(({ policy }) => policy.namespace === owner)
      .sort((a, b) => b.rank - a.rank || precedence(a.policy, b.policy))
      .map(({ policy }) => policy);
    // Names come from clients: the memo must not grow with them.
    if (this.memo.size >= memoLimit) this.memo.clear();
    this.memo.set(model, ordered);
    return ordered;
  }
}

interface Covering {
  readonly policy: RoutingPolicy;
  readonly rank: number;
}

/** More header matches, then the older, then namespace/name. */
function precedence(a: RoutingPolicy, b: RoutingPolicy): number {
  return b.match.headers.length - a.match.headers.length || older(a, b);
}

function older(a: RoutingPolicy, b: RoutingPolicy): number {
  return a.created - b.created || (a.key < b.key ? -1 : 1);
}

/**
 * The namespace with the oldest accepted claim on a model name; a learned name never beats a declared one. A policy
 * that was never valid takes a name only where nobody else claims it.
 */
function owningNamespace(found: readonly Covering[], model: string): string | undefined {
  const accepted = found.filter(({ policy }) => policy.profile !== null);
  const claims = accepted.length > 0 ? accepted : found;
  const declared = claims.filter(
    (entry) => entry.rank > rank.served || entry.policy.backends.some((backend) => declares(backend, model)),
  );
  const strongest = declared.length > 0 ? declared : claims;
  return strongest.map(({ policy }) => policy).sort(older)[0]?.namespace;
}

function declares({ group }: Backend, model: string): boolean {
  return group.modelsDeclared && group.models.includes(model);
}

function coverage(policy: RoutingPolicy, model: string): number {
  if (policy.match.models.length === 0)
    return policy.backends.some((b) => b.group.models.includes(model)) ? rank.served : rank.none;
  let best: number = rank.none;
  for (const pattern of policy.match.models) {
    if (pattern === model) return rank.exact;
    if (isPrefix(pattern) && model.startsWith(pattern.slice(0, -1))) best = Math.max(best, pattern.length);
  }
  return best;
}

const isPrefix = (pattern: string): boolean => pattern.endsWith('*');

/** The names by which a policy may cover a model without a prefix. */
function spelledOut({ match, backends }: RoutingPolicy): readonly string[] {
  if (match.models.length > 0) return match.models.filter((pattern) => !isPrefix(pattern));
  return backends.flatMap((backend) => backend.group.models);
}

function listed<V>(lists: Map<string, V[]>, key: string): V[] {
  let list = lists.get(key);
  if (list === undefined) {
    list = [];
    lists.set(key, list);
  }
  return list;
}

function routableModels(policy: RoutingPolicy): string[] {
  if (policy.match.models.length === 0) return policy.backends.flatMap((backend) => [...backend.group.models]);
  return policy.match.models.flatMap((pattern) => {
    if (!isPrefix(pattern)) return [pattern];
    const prefix = pattern.slice(0, -1);
    return policy.backends.flatMap((b) => b.group.models.filter((name) => name.startsWith(prefix)));
  });
}

function headersMatch(policy: RoutingPolicy, headers: HeaderLookup): boolean {
  for (const { name, value } of policy.match.headers) if (headers.get(name) !== value) return false;
  return true;
}

/** The table in force; one write swaps it whole. */
export class TableStore {
  current: RoutingTable;

  constructor(table: RoutingTable = new RoutingTable(0, [], new Map())) {
    this.current = table;
  }
}
