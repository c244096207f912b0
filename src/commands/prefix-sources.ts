import type { BackendGroup } from '../api/backend-group.ts';
import type { KVCache } from '../api/kv-cache.ts';
import { keyOf, type GroupSurroundings } from '../controller/compile.ts';
import type { Secrets } from '../controller/secrets.ts';
import type { ApproximateIndex } from '../indexer/approximate.ts';
import { EventsSource } from '../indexer/events-source.ts';
import { ManagerSource } from '../indexer/manager.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { Connection } from '../router/policy.ts';
import { noPrefixSource, type PrefixSource } from '../router/prefix.ts';
import type { EventFollower } from './kv/group-events.ts';
import type { SharedStores } from './kv/shared-stores.ts';
import type { TokenLookups } from './kv/token-lookups.ts';
import type { ManagerLookups } from './manager-lookups.ts';

export interface PrefixSourceParts {
  readonly index: ApproximateIndex;
  readonly follower: EventFollower;
  readonly tokens: TokenLookups;
  readonly stores: SharedStores;
  readonly managers: ManagerLookups;
}

/** What a group's sources are made of besides its resource. */
export interface GroupAround {
  readonly connection: Connection;
  readonly endpoints: readonly Endpoint[];
  readonly secrets: Secrets;
}

type Sources = Pick<GroupSurroundings, 'prefixSource' | 'managerLookup' | 'tokenLookup'>;

/** The prefix source of every group. */
export class PrefixSources {
  private readonly parts: PrefixSourceParts;
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
        return { prefixSource: this.managerSource, managerLookup: this.parts.managers.of(group, around.secrets) };
      case 'Events':
        return this.byEvents(group, around);
    }
  }

  /** Closes what groups that are gone, or go by other sources now, have had. */
  retain(groups: readonly BackendGroup[]): void {
    this.parts.managers.retain(keysOf(groups, 'Manager'));
    const following = keysOf(groups, 'Events');
    for (const key of this.eventSources.keys()) if (!following.has(key)) this.eventSources.delete(key);
    this.parts.tokens.retain(following);
    this.parts.stores.retain(new Set(groups.map(({ metadata }) => keyOf(metadata))));
  }

  /** What is guessed from what was sent: by this replica, or by all where they share it. */
  private approximate(group: BackendGroup, { endpoints, secrets }: GroupAround): PrefixSource {
    return this.parts.stores.of(group, endpoints, secrets) ?? this.parts.index;
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
}

function keysOf(groups: readonly BackendGroup[], type: KVCache['type']): Set<string> {
  return new Set(groups.filter(({ spec }) => spec.kvCache.type === type).map(({ metadata }) => keyOf(metadata)));
}
