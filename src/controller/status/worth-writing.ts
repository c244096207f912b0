import type { BackendGroupStatus } from '../../api/backend-group-status.ts';
import type { Condition } from '../../api/conditions.ts';
import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import { readClaims } from '../claims.ts';

/** Either kind of status; which one it is, its fields tell. */
export type Status = RoutingPolicyStatus & BackendGroupStatus;

/** What a new status would tell that the old one does not. */
export type Change = 'none' | 'figures' | 'meaning';

/** The change to write now; figures only when the object was not written for `interval`. Times in milliseconds. */
export function worthWriting(
  previous: RoutingPolicyStatus | BackendGroupStatus | undefined,
  next: RoutingPolicyStatus | BackendGroupStatus,
  sinceLastWrite: number,
  interval: number,
): Change {
  const change = changeOf(previous, next);
  return change === 'figures' && sinceLastWrite < interval ? 'none' : change;
}

/**
 * Meaning: conditions, generation, counts of endpoints and replicas, members, models, backends, profile. Figures:
 * traffic, cache use and scores, when they have moved. A status that no router has written is changed by any other.
 */
export function changeOf(
  previous: RoutingPolicyStatus | BackendGroupStatus | undefined,
  next: RoutingPolicyStatus | BackendGroupStatus,
): Change {
  const before: Status | undefined = previous;
  const after: Status = next;
  if (before === undefined || meansOther(before, after)) return 'meaning';
  return figuresMoved(before, after) ? 'figures' : 'none';
}

const plainFields = ['observedGeneration', 'programmedReplicas', 'effectiveProfile', 'endpoints'] as const;
const listFields = ['models', 'members'] as const;
const summaryFields = ['backends', 'models', 'topology'] as const;

function meansOther(before: Status, after: Status): boolean {
  return (
    plainFields.some((field) => differ(before[field], after[field])) ||
    claimsMoved(before.claims, after.claims) ||
    listFields.some((field) => differ(byName(before[field]), byName(after[field]))) ||
    summaryFields.some((field) => before.summary?.[field] !== after.summary?.[field]) ||
    (after.conditions ?? []).some((condition) => saysOther(before.conditions ?? [], condition))
  );
}

/**
 * Whether other names are claimed, or one since earlier. A later date is that of a name whose first date was written a
 * moment ago and is not seen yet.
 */
function claimsMoved(before: Status['claims'], after: Status['claims']): boolean {
  const known = readClaims(before);
  const now = readClaims(after);
  if (known.size !== now.size) return true;
  return [...now].some(([name, since]) => since < (known.get(name) ?? Infinity));
}

/** The API server keeps the items of a map list in whatever order. */
function byName(items: readonly { readonly name: string }[] = []): readonly { readonly name: string }[] {
  return [...items].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Conditions of other types in the old status are somebody else's. */
function saysOther(before: readonly Condition[], after: Condition): boolean {
  return differ(
    before.find(({ type }) => type === after.type),
    after,
  );
}

/** Whether two JSON values differ; the order of an object's fields, which the API server sorts, does not count. */
function differ(a: unknown, b: unknown): boolean {
  if (a === b) return false;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return true;
  const left = Object.entries(a);
  if (left.length !== Object.keys(b).length) return true;
  return left.some(([name, value]) => differ(value, Reflect.get(b, name)));
}

type Traffic = NonNullable<RoutingPolicyStatus['traffic']>;
type Floors = readonly (readonly [keyof Traffic, number])[];

/** A figure and the distance below which a change of it is noise: 6 requests a minute are 0.1 a second. */
const leastRequests = 6;
const counts: Floors = [
  ['requestsPerMinute', leastRequests],
  ['errorsPerMinute', 3],
  ['observedReplicas', 1],
];
/** Of a handful of requests these are chance, and are passed over. */
const rates: Floors = [
  ['prefixHitPercent', 5],
  ['ttftP50Milliseconds', 10],
  ['ttftP90Milliseconds', 10],
];
const leastPercent = 5;
const leastScore = 0.01;

function figuresMoved(before: Status, after: Status): boolean {
  const cache = [before, after].map(({ summary }) => summary?.kvCachePercent);
  return (
    moved(cache[0], cache[1], leastPercent) || trafficMoved(before.traffic, after.traffic) || scoresMoved(before, after)
  );
}

function trafficMoved(before: Traffic | undefined, after: Traffic | undefined): boolean {
  const compared = isBusy(after) ? [...counts, ...rates] : counts;
  return compared.some(([field, least]) => moved(before?.[field], after?.[field], least));
}

function isBusy(traffic: Traffic | undefined): boolean {
  return (traffic?.requestsPerMinute ?? 0) >= leastRequests;
}

/**
 * Whether a figure has moved by more than 10 % and by its floor. One that ends at 0 has always moved, so that a
 * status does not show the last trickle for ever; one that leaves 0 must clear the floor. So noise about 0 settles.
 */
function moved(before: number | undefined, after: number | undefined, least: number): boolean {
  if (before === after) return false;
  if (before === undefined || after === undefined || after === 0) return true;
  const distance = Math.abs(after - before);
  return distance >= least && distance > 0.1 * Math.abs(before);
}

type EndpointScore = NonNullable<NonNullable<RoutingPolicyStatus['scores']>['endpoints']>[number];

function scoresMoved(before: Status, after: Status): boolean {
  if (!isBusy(after.traffic)) return false;
  const known = new Map(scored(before).map((endpoint) => [identity(endpoint), endpoint]));
  const endpoints = scored(after);
  return (
    known.size !== endpoints.length || endpoints.some((endpoint) => scoreMoved(known.get(identity(endpoint)), endpoint))
  );
}

const scored = ({ scores }: Status): readonly EndpointScore[] => scores?.endpoints ?? [];
const identity = ({ group, name }: EndpointScore): string => `${group}/${name}`;

function scoreMoved(before: EndpointScore | undefined, after: EndpointScore): boolean {
  if (before === undefined) return true;
  return (
    moved(before.sharePercent, after.sharePercent, leastPercent) ||
    moved(Number(before.score), Number(after.score), leastScore)
  );
}
