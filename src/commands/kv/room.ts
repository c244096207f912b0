import type { BackendGroup } from '../../api/backend-group.ts';
import { keyOf } from '../../controller/compile.ts';
import type { Discovery } from '../../controller/found.ts';
import type { Fleet } from '../../datalayer/fleet.ts';
import type { GroupTarget } from '../../datalayer/targets.ts';
import type { ApproximateIndex } from '../../indexer/approximate.ts';
import { EventsSource } from '../../indexer/events-source.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { PrefixSource } from '../../router/prefix.ts';
import type { EndpointStates } from '../../router/states.ts';
import type { GroupAround, GroupSources } from '../group-sources.ts';
import { EventFollower } from './group-events.ts';
import { SharedStores } from './shared-stores.ts';
import { TokenLookups } from './token-lookups.ts';

export interface KVRoomOptions {
  readonly fleet: Fleet;
  readonly states: EndpointStates;
  readonly index: ApproximateIndex;
  /** What says where Services may be reached. */
  readonly discovery?: Pick<Discovery, 'refusalOf'>;
  /** The key that the engines of a group want; undefined for none. */
  readonly apiKeyOf: (group: string) => string | undefined;
  /** Folder with the folders of mounted tokenizers; empty where none are mounted. */
  readonly tokenizers: string;
  /** What shared prefixes are sealed with; null where nobody gave a key. */
  readonly prefixKey: Uint8Array | null;
  readonly clock: Clock;
  /** Should be rate limited: an engine that is away is away for every request. */
  readonly log: Log;
}

interface Source {
  readonly fallback: PrefixSource;
  readonly source: EventsSource;
}

/** What groups need that go by more than this router's own memory: events, tokens, shared stores. */
export class KVRoom {
  readonly follower: EventFollower;
  readonly tokens: TokenLookups;
  readonly stores: SharedStores;
  private readonly index: ApproximateIndex;
  private readonly sources = new Map<string, Source>();

  constructor(options: KVRoomOptions) {
    const { fleet } = options;
    this.index = options.index;
    this.follower = new EventFollower(options);
    this.tokens = new TokenLookups(options);
    this.stores = new SharedStores({ ...options, startedAt: (slot) => fleet.startedAt(slot) });
  }

  /** Of a group whose type is Approximate or Events. */
  of(group: BackendGroup, around: GroupAround): GroupSources {
    const approximate = this.stores.of(group, around.endpoints, around.secrets) ?? this.index;
    if (group.spec.kvCache.type !== 'Events') return { prefixSource: approximate };
    const tokenLookup = this.tokens.of(group, around.connection);
    const prefixSource = this.byEvents(keyOf(group.metadata), approximate);
    return { prefixSource, ...(tokenLookup === undefined ? {} : { tokenLookup }) };
  }

  /** Follows the engines that the fleet now has of the groups, and closes what belongs to others. */
  reconcile(groups: readonly BackendGroup[], targets: readonly GroupTarget[]): void {
    const following = new Set(groups.filter(({ spec }) => spec.kvCache.type === 'Events').map(keyOfGroup));
    for (const key of this.sources.keys()) if (!following.has(key)) this.sources.delete(key);
    this.tokens.retain(following);
    this.stores.retain(new Set(groups.map(keyOfGroup)));
    this.follower.reconcile(groups, targets);
  }

  /** Settles when no socket is left. */
  async close(): Promise<void> {
    this.tokens.retain(new Set());
    this.stores.retain(new Set());
    await this.follower.close();
  }

  private byEvents(key: string, fallback: PrefixSource): EventsSource {
    const known = this.sources.get(key);
    if (known?.fallback === fallback) return known.source;
    const { index, secret } = this.follower.need();
    const source = new EventsSource({ index, secret, book: this.follower.book, fallback, group: key });
    this.sources.set(key, { fallback, source });
    return source;
  }
}

const keyOfGroup = ({ metadata }: BackendGroup): string => keyOf(metadata);
