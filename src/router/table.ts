import type { BackendGroup, RoutingPolicy } from './policy.ts';
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
      .map((policy) => ({ policy, rank: coverage(policy, model), since: claimedSince(policy, model) }))
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
  /** Of its claim, in milliseconds since 1970. */
  readonly since: number;
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
    (entry) => entry.rank > rank.served || groupsOf(entry.policy).some((group) => declares(group, model)),
  );
  const strongest = declared.length > 0 ? declared : claims;
  return strongest.toSorted(claimedEarlier)[0]?.policy.namespace;
}

function claimedEarlier(a: Covering, b: Covering): number {
  return a.since - b.since || (a.policy.key < b.policy.key ? -1 : 1);
}

/** Of several claims of a policy that cover the model the oldest counts. */
function claimedSince({ created, claimedSince: dates, match }: RoutingPolicy, model: string): number {
  if (dates === undefined) return created;
  if (match.models.length === 0) return dates.get(model) ?? created;
  const since = match.models
    .filter((pattern) => covers(pattern, model))
    .map((pattern) => dates.get(pattern) ?? created);
  return Math.min(...since);
}

/** Every group that a policy speaks of, whether it can place requests there or not. */
function groupsOf({ backends, barred = noGroups }: RoutingPolicy): readonly BackendGroup[] {
  return barred.length === 0 ? backends.map(({ group }) => group) : [...backends.map(({ group }) => group), ...barred];
}

const noGroups: readonly BackendGroup[] = Object.freeze([]);

function declares(group: BackendGroup, model: string): boolean {
  return group.modelsDeclared && group.models.includes(model);
}

function coverage(policy: RoutingPolicy, model: string): number {
  if (policy.match.models.length === 0)
    return groupsOf(policy).some(({ models }) => models.includes(model)) ? rank.served : rank.none;
  let best: number = rank.none;
  for (const pattern of policy.match.models) {
    if (pattern === model) return rank.exact;
    if (covers(pattern, model)) best = Math.max(best, pattern.length);
  }
  return best;
}

const isPrefix = (pattern: string): boolean => pattern.endsWith('*');

const covers = (pattern: string, model: string): boolean =>
  pattern === model || (isPrefix(pattern) && model.startsWith(pattern.slice(0, -1)));

/** The names by which a policy may cover a model without a prefix. */
function spelledOut(policy: RoutingPolicy): readonly string[] {
  const { models } = policy.match;
  if (models.length > 0) return models.filter((pattern) => !isPrefix(pattern));
  return groupsOf(policy).flatMap((group) => group.models);
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
