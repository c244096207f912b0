import type { BackendGroup } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import type { KVCache } from '../api/kv-cache.ts';
import { keyOf, type GroupSurroundings } from '../controller/compile.ts';
import type { Secrets } from '../controller/secrets.ts';
import type { ApproximateIndex } from '../indexer/approximate.ts';
import { EventsSource } from '../indexer/events-source.ts';
import { createManagerLookup, ManagerSource, type ManagerFailure, type OpenManagerLookup } from '../indexer/manager.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { LookupQuery, ManagerLookup } from '../router/foreknowledge.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { Connection } from '../router/policy.ts';
import { noPrefixSource, type PrefixSource } from '../router/prefix.ts';
import type { EventFollower } from './kv/group-events.ts';
import type { SharedStores } from './kv/shared-stores.ts';
import type { TokenLookups } from './kv/token-lookups.ts';

interface Open {
  /** URL and time-out: a change of either makes a new one. */
  readonly settings: string;
  readonly open: OpenManagerLookup;
  /** What the group's requests ask with. */
  readonly lookup: ManagerLookup;
  /** Failures so far, and the last one unless an answer has come since. */
  failures: number;
  trouble: ManagerFailure | null;
}

/** Failures that are the manager's, and not those of one question or of too many. */
const isTrouble = (failure: ManagerFailure): boolean => failure !== 'too_many' && failure !== 'rows_ignored';

export interface PrefixSourceParts {
  readonly index: ApproximateIndex;
  readonly follower: EventFollower;
  readonly tokens: TokenLookups;
  readonly stores: SharedStores;
  readonly clock: Clock;
  /** Should be rate limited: a dead manager fails for every request. */
  readonly log: Log;
}

/** What a group's sources are made of besides its resource. */
export interface GroupAround {
  readonly connection: Connection;
  readonly endpoints: readonly Endpoint[];
  readonly secrets: Secrets;
}

type Sources = Pick<GroupSurroundings, 'prefixSource' | 'managerLookup' | 'tokenLookup'>;

/** The prefix source of every group, and the connections to external KV managers. */
export class PrefixSources {
  readonly failures = new Map<ManagerFailure, number>();
  private readonly parts: PrefixSourceParts;
  private readonly managed = new Map<string, Open>();
  private readonly managerSource = new ManagerSource();
  private readonly eventSources = new Map<string, { readonly fallback: PrefixSource; readonly source: EventsSource }>();

  constructor(parts: PrefixSourceParts) {
    this.parts = parts;
  }

  of(group: BackendGroup, around: GroupAround): Sources {
    switch (group.spec.kvCache.type) {
      case 'None':
        return { prefixSource: noPrefixSource };
      case 'Approximate':
        return { prefixSource: this.approximate(group, around) };
      case 'Manager':
        return { prefixSource: this.managerSource, managerLookup: this.manager(group) };
      case 'Events':
        return this.byEvents(group, around);
    }
  }

  /** Closes what groups that are gone, or go by other sources now, have had. */
  retain(groups: readonly BackendGroup[]): void {
    const asking = keysOf(groups, 'Manager');
    for (const [key, { open }] of this.managed) {
      if (asking.has(key)) continue;
      this.managed.delete(key);
      this.close(open);
    }
    const following = keysOf(groups, 'Events');
    for (const key of this.eventSources.keys()) if (!following.has(key)) this.eventSources.delete(key);
    this.parts.tokens.retain(following);
    this.parts.stores.retain(new Set(groups.map(({ metadata }) => keyOf(metadata))));
  }

  /** What is guessed from what was sent: by this replica, or by all where they share it. */
  private approximate(group: BackendGroup, { endpoints, secrets }: GroupAround): PrefixSource {
    return this.parts.stores.of(group, endpoints, secrets) ?? this.parts.index;
  }

  /** What went wrong last at the KV manager of each group that asks one; null where it answers. */
  managers(): Map<string, ManagerFailure | null> {
    return new Map([...this.managed].map(([key, { trouble }]) => [key, trouble]));
  }

  private byEvents(group: BackendGroup, around: GroupAround): Sources {
    const { follower, tokens } = this.parts;
    const key = keyOf(group.metadata);
    const fallback = this.approximate(group, around);
    let known = this.eventSources.get(key);
    if (known?.fallback !== fallback) {
      const { index, secret } = follower.need();
      known = { fallback, source: new EventsSource({ index, secret, book: follower.book, fallback, group: key }) };
      this.eventSources.set(key, known);
    }
    const tokenLookup = tokens.of(group, around.connection);
    return { prefixSource: known.source, ...(tokenLookup === undefined ? {} : { tokenLookup }) };
  }

  private manager(group: BackendGroup): ManagerLookup {
    const key = keyOf(group.metadata);
    const { url, timeout } = managerAddress(group);
    const settings = `${url.href} ${timeout}`;
    const known = this.managed.get(key);
    if (known?.settings === settings) return known.lookup;
    if (known !== undefined) this.close(known.open);
    const open: OpenManagerLookup = createManagerLookup({
      url,
      timeout,
      random: Math.random,
      clock: this.parts.clock,
      onFailure: (reason) => this.failed(entry, key, reason),
    });
    const entry: Open = { settings, open, lookup: (query) => this.ask(entry, query), failures: 0, trouble: null };
    this.managed.set(key, entry);
    return entry.lookup;
  }

  private async ask(entry: Open, query: LookupQuery): Promise<ReadonlyMap<string, number> | null> {
    const { failures } = entry;
    const hits = await entry.open.lookup(query);
    if (hits !== null && entry.failures === failures) entry.trouble = null;
    return hits;
  }

  private failed(entry: Open, group: string, reason: ManagerFailure): void {
    entry.failures += 1;
    if (isTrouble(reason)) entry.trouble = reason;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
    this.parts.log.warn('KV manager gives no answer; requests are routed without its hits', { group, reason });
  }

  private close(open: OpenManagerLookup): void {
    open
      .close()
      .catch((error: unknown) => this.parts.log.warn('closing a KV manager failed', { error: String(error) }));
  }
}

function keysOf(groups: readonly BackendGroup[], type: KVCache['type']): Set<string> {
  return new Set(groups.filter(({ spec }) => spec.kvCache.type === type).map(({ metadata }) => keyOf(metadata)));
}

function managerAddress(group: BackendGroup): { url: URL; timeout: number } {
  const { kvCache } = group.spec;
  if (kvCache.type !== 'Manager') throw new TypeError(`group ${group.metadata.name} asks no KV manager`);
  const { service, url, path, timeout } = kvCache.manager;
  const origin = url ?? `http://${service?.name}.${group.metadata.namespace}:${service?.port}`;
  // Set, not resolved: a path like //other would name another host.
  const address = new URL(origin);
  address.pathname = path;
  return { url: address, timeout: parseDuration(timeout) };
}
