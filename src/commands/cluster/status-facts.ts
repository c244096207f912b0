import type { Fault } from '../../api/check.ts';
import { unmet, type Condition, type Verdict } from '../../controller/conditions.ts';
import type { ResourceState } from '../../controller/cluster-state.ts';
import type { ReplicaView } from '../../controller/peers/replica-view.ts';
import { effectiveProfile } from '../../controller/status/effective-profile.ts';
import { groupStatus, type MemberFacts } from '../../controller/status/group-status.ts';
import { policyStatus } from '../../controller/status/policy-status.ts';
import { rolesOf } from '../../controller/status/roles.ts';
import type { WatchedResource } from '../../controller/watched.ts';
import { sameMatches } from '../../controller/same-match.ts';
import { whoseModels, type ModelClaims } from '../../controller/whose-model.ts';
import type { Fleet } from '../../datalayer/fleet.ts';
import type { RoutingPolicy } from '../../router/policy.ts';
import type { RoutingTable } from '../../router/table.ts';
import { isGroupStatus, isPolicyStatus } from '../../controller/status/read-status.ts';

/** What every status is made from, taken at one moment. */
export interface Moment {
  readonly table: RoutingTable;
  /** By `Kind namespace/name`. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** Conditions about requests that policies lose to others, of their namespace or of another, by policy. */
  readonly claims: ReadonlyMap<string, readonly Condition[]>;
  readonly policies: ReadonlyMap<string, RoutingPolicy>;
  readonly fleet: Pick<Fleet, 'members' | 'summary'>;
  /** What is known of the caches of groups, by key. */
  readonly caches: ReadonlyMap<string, readonly Condition[]>;
  readonly replicas: readonly ReplicaView[];
  /** Milliseconds since 1970, and the clock's milliseconds of the same moment. */
  readonly wallTime: number;
  readonly clockTime: number;
}

/** Looks up once what all statuses of a moment need. */
export function momentOf(
  table: RoutingTable,
  verdicts: readonly Verdict[],
  rest: Pick<Moment, 'fleet' | 'caches' | 'replicas' | 'wallTime' | 'clockTime'>,
): Moment {
  const accepted = table.policies.filter(({ profile }) => profile !== null);
  const lost = [...whoseModels(accepted.map(claimsOf)), ...sameMatches(table.policies)];
  return {
    ...rest,
    table,
    verdicts: new Map(verdicts.map((verdict) => [`${verdict.kind} ${verdict.key}`, verdict])),
    claims: byKey(lost),
    policies: new Map(table.policies.map((policy) => [policy.key, policy])),
  };
}

function byKey(verdicts: readonly { readonly key: string; readonly condition: Condition }[]): Map<string, Condition[]> {
  const found = new Map<string, Condition[]>();
  for (const { key, condition } of verdicts) {
    const known = found.get(key);
    if (known === undefined) found.set(key, [condition]);
    else known.push(condition);
  }
  return found;
}

function claimsOf({
  namespace,
  name,
  created,
  claimedSince,
  match,
  backends,
  barred = [],
}: RoutingPolicy): ModelClaims {
  const groups = [...backends.map(({ group }) => group), ...barred];
  const models = (declared: boolean): string[] =>
    groups.filter(({ modelsDeclared }) => modelsDeclared === declared).flatMap((group) => group.models);
  const since = claimedSince === undefined ? {} : { since: claimedSince };
  return { namespace, name, created, ...since, patterns: match.models, declared: models(true), learned: models(false) };
}

/** The status that an object is to have now. */
export function statusOf(state: ResourceState, moment: Moment): ReturnType<typeof policyStatus | typeof groupStatus> {
  return state.watched.kind === 'RoutingPolicy' ? statusOfPolicy(state, moment) : statusOfGroup(state, moment);
}

function conditionsOf({ watched }: ResourceState, { verdicts }: Moment): Condition[] {
  const decided = verdicts.get(watched.id)?.conditions ?? [];
  return watched.resource === null ? [invalid(watched), ...decided] : [...decided];
}

/** So many faults are told; the log has all. */
const mostFaults = 5;

function invalid({ faults }: WatchedResource): Condition {
  const told = faults.slice(0, mostFaults).map(({ path, message, cure }: Fault) => `${path} ${message}: ${cure}`);
  if (faults.length > mostFaults) told.push(`and ${faults.length - mostFaults} more`);
  return unmet('Accepted', faults.at(0)?.reason ?? 'Invalid', told.join('; '));
}

function statusOfPolicy(state: ResourceState, moment: Moment) {
  const { watched, inForce } = state;
  const policy = moment.policies.get(watched.key);
  return policyStatus({
    key: watched.key,
    generation: watched.generation,
    inForce: inForce === null ? null : inForce.generation,
    conditions: [...conditionsOf(state, moment), ...(moment.claims.get(watched.key) ?? [])],
    backends: backendsOf(inForce?.resource),
    effectiveProfile: policy === undefined ? null : effectiveProfile(policy),
    claimedSince: policy === undefined || policy.profile === null ? undefined : policy.claimedSince,
    replicas: moment.replicas,
    previous: isPolicyStatus(watched.status) ? watched.status : undefined,
    now: moment.wallTime,
  });
}

function backendsOf(resource: WatchedResource['resource'] | undefined): { name: string; weight: number }[] {
  if (resource?.kind !== 'RoutingPolicy') return [];
  return resource.spec.backendRefs.map(({ name, weight }) => ({ name, weight }));
}

const nothing = { total: 0, shutOut: 0, ready: 0, draining: 0, ejected: 0, kvCachePercent: null, scrapeSlowed: false };

/** The members of a group, with times of the wall clock. */
function membersOf(key: string, { fleet, table, wallTime, clockTime }: Moment): MemberFacts[] {
  const roles = rolesOf(table.groups.get(key));
  return fleet.members(key).map(({ staleSince, ...member }) => {
    const role = roles.get(member.name);
    const since = staleSince === null ? null : wallTime - (clockTime - staleSince);
    return { ...member, ...(role === undefined ? {} : { role }), staleSince: since };
  });
}

function statusOfGroup(state: ResourceState, moment: Moment) {
  const { watched, inForce } = state;
  const { fleet, table } = moment;
  const group = table.groups.get(watched.key);
  const source = group?.modelsDeclared === true ? ('Declared' as const) : ('Learned' as const);
  return groupStatus({
    generation: watched.generation,
    conditions: [...conditionsOf(state, moment), ...(moment.caches.get(watched.key) ?? [])],
    topology: inForce?.resource.kind === 'BackendGroup' ? inForce.resource.spec.topology.type : '',
    figures: fleet.summary(watched.key) ?? nothing,
    members: membersOf(watched.key, moment),
    models: (group?.models ?? []).map((name) => ({ name, source })),
    previous: isGroupStatus(watched.status) ? watched.status : undefined,
    now: moment.wallTime,
  });
}
