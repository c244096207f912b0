import type { BackendGroup } from '../../api/backend-group.ts';
import { keyOf } from '../../controller/compile.ts';
import type { Fleet } from '../../datalayer/fleet.ts';
import type { GroupTarget } from '../../datalayer/targets.ts';
import type { EventTarget, TargetState } from '../../indexer/events/target.ts';
import { HolderBook } from '../../indexer/holder-book.ts';
import type { Clock } from '../../router/clock.ts';
import { EventFeed } from './event-feed.ts';
import { eventSettingsOf, eventTargetOf } from './event-targets.ts';

/** How the events of one group's engines arrive. */
export interface GroupEvents {
  /** Endpoints whose events all arrive, and all endpoints. */
  readonly live: number;
  readonly total: number;
  /** Why those of one do not, where there is such a one. */
  readonly trouble: { readonly endpoint: string; readonly reason: string } | null;
}

export interface FollowerOptions {
  readonly fleet: Fleet;
  readonly clock: Clock;
  /** The key that the engines of a group want; undefined for none. */
  readonly apiKeyOf: (group: string) => string | undefined;
}

/** Milliseconds between looks whose events arrive. */
const refreshInterval = 200;

interface Followed {
  readonly group: string;
  readonly endpoint: string;
  readonly address: string;
  readonly slot: number;
  /** What to subscribe to, or why there is nothing. */
  readonly target: EventTarget | { readonly reason: string };
}

/** Follows the KV events of all groups that want them; without such groups nothing is loaded and nothing listens. */
export class EventFollower {
  readonly book = new HolderBook();
  private readonly options: FollowerOptions;
  private open: EventFeed | null = null;
  private followed: readonly Followed[] = [];
  /** By key of the target, and by address. */
  private byKey = new Map<string, Followed>();
  private byAddress = new Map<string, Followed>();
  private states: readonly TargetState[] = [];
  private cancelRefresh: () => void = () => undefined;

  constructor(options: FollowerOptions) {
    this.options = options;
  }

  /** The index and its streams; null while no group has wanted them. */
  get feed(): EventFeed | null {
    return this.open;
  }

  /** The same, made when first asked for. */
  need(): EventFeed {
    if (this.open !== null) return this.open;
    const { clock } = this.options;
    this.open = new EventFeed({
      clock,
      apiKeyOf: (address) => this.apiKeyOf(address),
      onHolders: (key) => this.holdersChanged(key),
    });
    this.cancelRefresh = clock.after(refreshInterval, this.refreshAgain);
    return this.open;
  }

  /** Follows the engines that the fleet now has of these groups. */
  reconcile(groups: readonly BackendGroup[], targets: readonly GroupTarget[]): void {
    const byGroup = new Map(targets.map((target) => [target.key, target]));
    const followed = groups
      .filter(({ spec }) => spec.kvCache.type === 'Events')
      .flatMap((group) => this.enginesOf(group, byGroup.get(keyOf(group.metadata))));
    if (followed.length === 0 && this.open === null) return;
    const slots = new Set(followed.map(({ slot }) => slot));
    for (const { slot } of this.followed) if (!slots.has(slot)) this.book.drop(slot);
    this.followed = followed;
    this.byKey = new Map(followed.flatMap((one) => ('reason' in one.target ? [] : [[one.target.key, one] as const])));
    this.byAddress = new Map(followed.map((one) => [one.address, one]));
    this.need().streams.reconcile(
      [...this.byKey.values()].flatMap(({ target }) => ('reason' in target ? [] : [target])),
    );
    this.refresh();
  }

  /** How each engine's streams were doing at the last look, which is what decisions go by. */
  get streams(): readonly TargetState[] {
    return this.states;
  }

  /** By key of the group. */
  groups(): Map<string, GroupEvents> {
    const reasons = new Map(this.states.map(({ key, phase, reason }) => [key, reason === '' ? phase : reason]));
    const found = new Map<string, GroupEvents>();
    for (const { group, endpoint, slot, target } of this.followed) {
      const { live, total, trouble } = found.get(group) ?? { live: 0, total: 0, trouble: null };
      const isLive = this.book.isLive(slot);
      const reason = 'reason' in target ? target.reason : (reasons.get(target.key) ?? 'connecting');
      found.set(group, {
        live: live + (isLive ? 1 : 0),
        total: total + 1,
        trouble: trouble ?? (isLive ? null : { endpoint, reason }),
      });
    }
    return found;
  }

  async close(): Promise<void> {
    this.cancelRefresh();
    await this.open?.close();
  }

  private readonly refreshAgain = (): void => {
    this.refresh();
    this.cancelRefresh = this.options.clock.after(refreshInterval, this.refreshAgain);
  };

  /** Takes in whose events arrive now. */
  private refresh(): void {
    if (this.open === null) return;
    this.states = this.open.streams.states();
    const phases = new Map(this.states.map(({ key, phase }) => [key, phase]));
    for (const { slot, target } of this.followed) {
      if ('reason' in target) this.book.drop(slot);
      else this.book.set(slot, this.open.holdersOf(target.key), phases.get(target.key) === 'live');
    }
  }

  private enginesOf(group: BackendGroup, target: GroupTarget | undefined): Followed[] {
    const settings = eventSettingsOf(group);
    if (settings === null || target === undefined) return [];
    const seeds = new Map(target.endpoints.map((seed) => [seed.name, seed]));
    return this.options.fleet.endpoints(target.key).flatMap(({ name, address, slot }) => {
      const seed = seeds.get(name);
      if (seed === undefined) return [];
      const plain = target.scheme === 'http';
      const engine = { group: target.key, seed, settings, plain };
      return [{ group: target.key, endpoint: name, address, slot, target: eventTargetOf(engine) }];
    });
  }

  private holdersChanged(key: string): void {
    const one = this.byKey.get(key);
    // A new cache is live once its stream is; until then what is known of the old one is gone.
    if (one !== undefined && this.open !== null) this.book.set(one.slot, this.open.holdersOf(key), false);
  }

  private apiKeyOf(address: string): string | undefined {
    const one = this.byAddress.get(address);
    return one === undefined ? undefined : this.options.apiKeyOf(one.group);
  }
}
