import { met, unmet, type Condition } from './conditions.ts';

/** One accepted policy, as far as it claims models. */
export interface ModelClaims {
  readonly namespace: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** Since when it claims what, in milliseconds since 1970; what is not there it claims since it was created. */
  readonly since?: ReadonlyMap<string, number>;
  /** Full names and prefixes that end in `*`, as `spec.match.models` has them; empty: what the backends serve. */
  readonly patterns: readonly string[];
  /** Models that its backends declare and models that they were found to serve. */
  readonly declared: readonly string[];
  readonly learned: readonly string[];
}

/** What one policy may not take. */
export interface ClaimVerdict {
  /** `namespace/name`. */
  readonly key: string;
  /**
   * Models that another namespace owns, sorted. A prefix `a*` stands for all names that begin so and that no claim
   * names more closely.
   */
  readonly lost: readonly string[];
  /** False when nothing is left to the policy; True with the reason ModelClaimedElsewhere when part is. */
  readonly condition: Condition;
}

/**
 * Which policies lose models to another namespace. The same rule as in RoutingTable, which keeps to it for each
 * request; this tells people.
 *
 * - A claim is a pattern of a policy's `match.models`, or, where it has none, each model that its backends serve.
 *   A claim is as old as the name in the policy, or in the group behind it; namespace/name decides between two of one
 *   age.
 * - A name belongs to the namespace of the oldest claim that covers it. A claim on a model that engines were only
 *   found to serve counts only where no other covers the name: an engine cannot take a name that somebody wrote down.
 * - A glob claims every name that begins so, also those that nobody serves yet, and as much as the exact name does:
 *   across namespaces age decides, not length. So an older `Qwen/*` of one namespace takes `Qwen/Qwen3-8B` from a
 *   younger policy of another; and of two claims on `Qwen/*` the younger has nothing left, but for names that its own
 *   namespace has claimed before.
 * - Policies of one namespace never take models from each other.
 */
export function whoseModels(policies: readonly ModelClaims[]): ClaimVerdict[] {
  const claims = new Claims(policies);
  return policies.map((policy) => {
    const places = claims.placesOf(policy);
    const lost: string[] = [];
    const owners = new Set<string>();
    for (const place of places) {
      const owner = claims.owner(place);
      if (owner === undefined || owner === policy.namespace) continue;
      lost.push(place);
      owners.add(owner);
    }
    const all = lost.length === places.length;
    return { key: keyOf(policy), lost, condition: conditionOf(lost, { all, owners: [...owners].sort() }) };
  });
}

const named = 3;

function conditionOf(lost: readonly string[], { all, owners }: { all: boolean; owners: readonly string[] }): Condition {
  if (lost.length === 0) return met('Accepted', 'no other namespace claims its models');
  const models = `${lost.slice(0, named).join(', ')}${lost.length > named ? ` and ${lost.length - named} more` : ''}`;
  const cure = 'ask its owner, or match other models';
  const message = `an older policy of another namespace (${owners.slice(0, named).join(', ')}) owns ${models}`;
  return all
    ? unmet('Accepted', 'ModelClaimedElsewhere', `${message}, so nothing is left to this policy; ${cure}`)
    : met('Accepted', `${message}; the other models of this policy are in force; ${cure}`, 'ModelClaimedElsewhere');
}

const keyOf = ({ namespace, name }: ModelClaims): string => `${namespace}/${name}`;

interface Claim {
  readonly policy: ModelClaims;
  readonly since: number;
}

/** Older first; the order of RoutingTable. */
function older(a: Claim, b: Claim): number {
  return a.since - b.since || (keyOf(a.policy) < keyOf(b.policy) ? -1 : 1);
}

/** The best claims on every place: an exact name, or a prefix with `*`. */
class Claims {
  /** By exact name or `prefix*`. */
  private readonly written = new Map<string, Claim>();
  private readonly learned = new Map<string, Claim>();
  /** Every name and glob that anybody speaks of, sorted, so that those with a prefix stand together. */
  private readonly places: readonly string[];
  /** Lengths of the prefixes that globs have. */
  private readonly prefixLengths: readonly number[];

  constructor(policies: readonly ModelClaims[]) {
    const places = new Set<string>();
    const lengths = new Set<number>();
    for (const policy of policies) {
      const learned = policy.learned.filter(isName);
      for (const place of [...policy.patterns, ...policy.declared, ...learned]) places.add(place);
      for (const pattern of policy.patterns) if (isGlob(pattern)) lengths.add(pattern.length - 1);
      const written = policy.patterns.length > 0 ? policy.patterns : policy.declared;
      for (const place of written) claim(this.written, place, policy);
      if (policy.patterns.length === 0) for (const place of learned) claim(this.learned, place, policy);
    }
    this.places = [...places].sort();
    this.prefixLengths = [...lengths].sort((a, b) => a - b);
  }

  /** The places that a policy would take, sorted. */
  placesOf({ patterns, declared, learned }: ModelClaims): string[] {
    const own = patterns.length > 0 ? patterns : [...declared, ...learned.filter(isName)];
    const taken = own.flatMap((pattern) => (isGlob(pattern) ? this.under(pattern) : [pattern]));
    return [...new Set(taken)].sort();
  }

  /** The namespace that a place belongs to; undefined where nobody claims it. */
  owner(place: string): string | undefined {
    let oldest = this.written.get(place);
    const text = isGlob(place) ? place.slice(0, -1) : place;
    for (const length of this.prefixLengths) {
      if (length > text.length) break;
      const glob = this.written.get(`${text.slice(0, length)}*`);
      if (glob !== undefined && (oldest === undefined || older(glob, oldest) < 0)) oldest = glob;
    }
    return (oldest ?? this.learned.get(place))?.policy.namespace;
  }

  /** Places that a glob covers; itself among them. */
  private under(glob: string): string[] {
    const prefix = glob.slice(0, -1);
    const found: string[] = [];
    for (let i = this.firstFrom(prefix); i < this.places.length && this.places[i].startsWith(prefix); i++)
      found.push(this.places[i]);
    return found;
  }

  /** Index of the first place that does not sort before a text. */
  private firstFrom(text: string): number {
    let low = 0;
    let high = this.places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.places[middle] < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const isGlob = (pattern: string): boolean => pattern.endsWith('*');
/** An engine may call a model what nobody can write down: such a name is nobody's. */
const isName = (model: string): boolean => !isGlob(model);

function claim(claims: Map<string, Claim>, place: string, policy: ModelClaims): void {
  const known = claims.get(place);
  const made: Claim = { policy, since: policy.since?.get(place) ?? policy.created };
  if (known === undefined || older(made, known) < 0) claims.set(place, made);
}
