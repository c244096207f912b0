import type { RoutingPolicy } from '../router/policy.ts';
import { met, unmet, type Condition } from './conditions.ts';

/** What one policy never gets, because an older one of its namespace matches exactly the same. */
export interface SameMatch {
  /** `namespace/name` of the younger policy. */
  readonly key: string;
  /** False when nothing is left to it, True with the reason Conflicted when part is. */
  readonly condition: Condition;
}

/**
 * The policies that another one of their namespace leaves nothing, or less than they ask for. Within a namespace the
 * closer match wins, then more headers, then the older policy; so of two that match a model by the same words and the
 * same headers the younger never gets a request for it. A policy that was never valid keeps its match, and counts.
 * `policies` in any order; the verdicts are of policies that were valid once.
 */
export function sameMatches(policies: readonly RoutingPolicy[]): SameMatch[] {
  /** Who holds a place, by namespace, headers and pattern. */
  const holders = new Map<string, RoutingPolicy>();
  const found: SameMatch[] = [];
  for (const policy of [...policies].sort(older)) {
    const places = placesOf(policy);
    const lost: string[] = [];
    const winners = new Set<string>();
    for (const [place, model] of places) {
      const holder = holders.get(place);
      if (holder === undefined) holders.set(place, policy);
      else {
        lost.push(model);
        winners.add(holder.name);
      }
    }
    if (lost.length === 0 || policy.profile === null) continue;
    found.push({ key: policy.key, condition: conditionOf(lost, [...winners], lost.length === places.size) });
  }
  return found;
}

const named = 3;

function conditionOf(lost: readonly string[], winners: readonly string[], all: boolean): Condition {
  const models = `${lost.slice(0, named).join(', ')}${lost.length > named ? ` and ${lost.length - named} more` : ''}`;
  const message = `an older policy of this namespace (${winners.slice(0, named).join(', ')}) matches the same requests for ${models}`;
  const cure = 'delete one of them, or match other models or headers';
  return all
    ? unmet('Accepted', 'Conflicted', `${message}, so nothing is left to this policy; ${cure}`)
    : met('Accepted', `${message}; the other models of this policy are in force; ${cure}`, 'Conflicted');
}

/** Older first; the order of RoutingTable. */
function older(a: RoutingPolicy, b: RoutingPolicy): number {
  return a.created - b.created || (a.key < b.key ? -1 : 1);
}

/** Each pattern, or each model that is served where there is none, by what makes another policy's the same. */
function placesOf({ namespace, match, backends }: RoutingPolicy): Map<string, string> {
  const headers = match.headers.map(({ name, value }) => [name, value]).sort(([a], [b]) => (a < b ? -1 : 1));
  const written = match.models.length > 0;
  const models = written ? match.models : backends.flatMap(({ group }) => group.models);
  return new Map(models.map((model) => [JSON.stringify([namespace, headers, written, model]), model]));
}
