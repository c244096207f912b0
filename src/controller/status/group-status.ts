import type { BackendGroupStatus } from '../../api/backend-group-status.ts';
import { met, unmet, type Condition } from '../conditions.ts';
import { mergeConditions } from './merge-conditions.ts';
import { cut, timeText, wholeNumber, wholePercent } from './wording.ts';

/** One endpoint as the datalayer sees it. */
export interface MemberFacts {
  readonly name: string;
  readonly address: string;
  /** Role in the topology; absent where all do the same. */
  readonly role?: string;
  readonly ready: boolean;
  /** Why it gets requests or does not, in one word. */
  readonly reason: string;
  /** When its metrics were last read, in milliseconds since 1970; null while they are fresh. */
  readonly staleSince: number | null;
}

/** A group at a glance, as the datalayer sees it. */
export interface GroupFigures {
  readonly total: number;
  /** Of those: for which the router has no room. */
  readonly shutOut: number;
  readonly ready: number;
  readonly draining: number;
  readonly ejected: number;
  /** 0..100; null where no fresh number is known. */
  readonly kvCachePercent: number | null;
  /** Engines are asked less often than the group wants. */
  readonly scrapeSlowed: boolean;
}

/** Everything that a group's status is made of. */
export interface GroupFacts {
  /** `metadata.generation` of the object. */
  readonly generation: number;
  /** What was decided about Accepted and Discovered; of several about one type the worst stands. */
  readonly conditions: readonly Condition[];
  readonly topology: string;
  readonly figures: GroupFigures;
  readonly members: readonly MemberFacts[];
  readonly models: readonly { readonly name: string; readonly source: 'Declared' | 'Learned' }[];
  /** The status that the object has. */
  readonly previous: BackendGroupStatus | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

type Members = NonNullable<BackendGroupStatus['members']>;
type Models = NonNullable<BackendGroupStatus['models']>;

const types = ['Accepted', 'Discovered', 'Ready'] as const;
/** Only where what is known of the caches hangs on others. */
const cacheTypes = [...types, 'CacheKnown'] as const;
const mostMembers = 64;
const mostModels = 64;
const longestName = 253;
const longestAddress = 261;

/** The status of a group. Pure: the same facts make the same status, and time alone changes nothing. */
export function groupStatus(facts: GroupFacts): BackendGroupStatus {
  const { generation, now, previous, figures } = facts;
  const { kvCachePercent } = figures;
  const models = modelsOf(facts.models);
  const conditions = [...facts.conditions, ...limits(figures), readiness(figures)];
  return {
    observedGeneration: generation,
    conditions: mergeConditions(
      facts.conditions.some(({ type }) => type === 'CacheKnown') ? cacheTypes : types,
      conditions,
      { generation, now, previous: previous?.conditions ?? [] },
    ),
    summary: {
      models: modelsText(models),
      topology: cut(facts.topology, 64),
      ...(kvCachePercent === null ? {} : { kvCachePercent: wholePercent(kvCachePercent) }),
    },
    endpoints: {
      total: wholeNumber(figures.total),
      ready: wholeNumber(figures.ready),
      draining: wholeNumber(figures.draining),
      ejected: wholeNumber(figures.ejected),
    },
    models: models.slice(0, mostModels),
    members: membersOf(facts.members, previous?.members ?? []),
  };
}

function readiness({ ready, total }: GroupFigures): Condition {
  if (ready > 0) return met('Ready', 'endpoints take requests');
  const message =
    total === 0
      ? 'there is no endpoint; see Discovered'
      : 'no endpoint takes requests, so they are answered 503; status.members says why';
  return unmet('Ready', 'NoReadyEndpoint', message);
}

/** What the router's own limits take from a group. */
function limits({ shutOut, total, scrapeSlowed }: GroupFigures): Condition[] {
  if (shutOut > 0) {
    const message = `${shutOut} of ${total} endpoints get no requests, because the router has no slot for them; share the groups out among routers, by namespace or router class`;
    return [unmet('Discovered', 'SlotsExhausted', message)];
  }
  const message =
    'engines are asked less often than metrics.interval or health.interval says: raise them or --max-scrapes-per-second';
  return scrapeSlowed ? [met('Discovered', message, 'ScrapeSlowed')] : [];
}

/** Declared ones as the spec orders them, then learned ones by name, since engines name them in any order. */
function modelsOf(models: GroupFacts['models']): Models {
  const declared = models.filter(({ source }) => source === 'Declared');
  const learned = models.filter(({ source }) => source === 'Learned').sort((a, b) => (a.name < b.name ? -1 : 1));
  const named = new Map<string, Models[number]>();
  for (const { name, source } of [...declared, ...learned]) {
    // An engine may name what no status can hold.
    if (name !== '' && name.length <= longestName && !named.has(name)) named.set(name, { name, source });
  }
  return [...named.values()];
}

/** `Qwen/Qwen3-8B +1` */
function modelsText(models: Models): string {
  if (models.length === 0) return '-';
  return models.length === 1 ? models[0].name : `${models[0].name} +${models.length - 1}`;
}

/** Those first that a person looks for, then by name. */
function membersOf(members: readonly MemberFacts[], previous: Members): Members {
  const unique = new Map(members.map((member) => [cut(member.name, longestName), member]));
  const known = new Map(previous.map((member) => [member.name, member.staleSince]));
  return [...unique]
    .sort(([a, one], [b, other]) => Number(one.ready) - Number(other.ready) || (a < b ? -1 : 1))
    .slice(0, mostMembers)
    .map(([name, member]) => ({
      name,
      address: cut(member.address, longestAddress),
      ...(member.role === undefined ? {} : { role: cut(member.role, 63) }),
      ready: member.ready,
      reason: cut(member.reason, 256),
      ...staleness(member.staleSince, known.get(name)),
    }));
}

/** Two replicas, or two clocks of one, disagree by less. */
const sameEpisode = 5000;

function staleness(since: number | null, known: string | undefined): { staleSince?: string } {
  if (since === null) return {};
  const same = known !== undefined && Math.abs(Date.parse(known) - since) < sameEpisode;
  return { staleSince: same ? known : timeText(since) };
}
