import type { RoutingPolicyStatus } from '../api/routing-policy-status.ts';
import type { BackendGroup } from '../router/policy.ts';

/**
 * The date of a claim that nobody has recorded yet: younger than any. The leader records it with the next status, so
 * that all replicas, and those that come after them, date it alike.
 */
export const notYetDated = Number.MAX_SAFE_INTEGER;

/** What is known of the age of a policy's claims on models. */
export interface ClaimHistory {
  /** Since when it claims what, in milliseconds since 1970, as its status says. */
  readonly recorded: ReadonlyMap<string, number>;
  /** Whether its spec is the one that it was made with: then what is not recorded is as old as the policy. */
  readonly isOriginal: boolean;
}

/** The part of a policy that its claims are made of. */
export interface Claiming {
  readonly created: number;
  readonly history?: ClaimHistory | undefined;
  readonly patterns: readonly string[];
  readonly groups: readonly BackendGroup[];
}

type RecordedClaims = NonNullable<RoutingPolicyStatus['claims']>;

/** So many names and dates are recorded of one policy. */
export const mostNames = 1024;
export const mostDates = 64;

/**
 * Since when a policy claims each of the names that it or its groups write down; undefined where all are as old as the
 * policy, as in files. A name that is added to an old policy, or to a group behind it, is as old as its addition:
 * otherwise whoever has an old policy could take any younger model of another namespace.
 */
export function claimedSince({
  created,
  history,
  patterns,
  groups,
}: Claiming): ReadonlyMap<string, number> | undefined {
  if (history === undefined) return undefined;
  const since = new Map<string, number>();
  const date = (name: string, unrecorded: number): void => {
    const dated = Math.max(created, history.recorded.get(name) ?? unrecorded);
    since.set(name, Math.min(dated, since.get(name) ?? dated));
  };
  if (patterns.length > 0) {
    for (const pattern of patterns) date(pattern, history.isOriginal ? created : notYetDated);
    return since;
  }
  for (const { models, modelsDeclared, declaredSince = created } of groups)
    if (modelsDeclared) for (const model of models) date(model, history.isOriginal ? declaredSince : notYetDated);
  return since;
}

/** What a status records of claims; nothing of what makes no sense. */
export function readClaims(claims: RecordedClaims | undefined): ReadonlyMap<string, number> {
  const recorded = new Map<string, number>();
  for (const { since, models } of claims ?? []) {
    const time = Date.parse(since);
    if (!Number.isNaN(time)) for (const model of models) recorded.set(model, time);
  }
  return recorded;
}

/** What a status is to record: the oldest dates first, names in order; those without a date are of `now`. */
export function recordedClaims(since: ReadonlyMap<string, number>, now: number): RecordedClaims {
  const bySecond = new Map<number, string[]>();
  const names = [...since].map(([name, time]) => [name, Math.floor(Math.min(time, now) / 1000)] as const);
  const kept = names.sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1)).slice(0, mostNames);
  for (const [name, second] of kept) {
    const youngest = bySecond.size < mostDates ? second : [...bySecond.keys()][mostDates - 1];
    const of = bySecond.get(youngest) ?? [];
    bySecond.set(youngest, [...of, name]);
  }
  return [...bySecond].map(([second, models]) => ({
    since: `${new Date(second * 1000).toISOString().slice(0, 19)}Z`,
    models,
  }));
}
