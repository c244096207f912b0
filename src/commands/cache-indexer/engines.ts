import type { BackendGroup } from '../../api/backend-group.ts';
import { keyOf } from '../../controller/compile.ts';
import type { Discovery } from '../../controller/found.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { Fleet } from '../../datalayer/fleet.ts';
import type { ModelList } from '../../datalayer/models.ts';
import { UpstreamProbe } from '../upstream-probe.ts';
import type { GroupTarget } from '../../datalayer/targets.ts';
import type { EventTarget, TargetState } from '../../indexer/events/target.ts';
import type { Holder } from '../../indexer/kv-events.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { EndpointSeed } from '../../router/endpoint.ts';
import type { Connection } from '../../router/policy.ts';
import { EndpointStates } from '../../router/states.ts';
import { GroupTargets } from '../group-targets.ts';
import type { Driven } from '../source.ts';
import { eventSettingsOf, eventTargetOf } from '../kv/event-targets.ts';
import { EngineRoster, type EngineEntry } from './roster.ts';

/** Milliseconds between scrapes of an engine: its load is a router's concern. */
const scrapeInterval = 10_000;
const scrapesPerSecond = 100;

export interface EnginesOptions {
  readonly discovery: Discovery;
  /** KV caches of the engine of that key. */
  readonly holdersOf: (key: string) => readonly Holder[];
  /** There are other engines than before, or they are reached in another way. */
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** An engine whose events are wanted. */
export interface Followed {
  readonly group: string;
  readonly seed: EndpointSeed;
  /** What to subscribe to, or why there is nothing. */
  readonly target: EventTarget | { readonly reason: string };
}

/** The engines to follow: which there are, how they are reached, what they serve. */
export class Engines implements Driven {
  readonly fleet: Fleet;
  private readonly options: EnginesOptions;
  private readonly states = new EndpointStates();
  private readonly targets = new GroupTargets();
  /** The same object for the same target: what the fleet knows of a group is kept by it. */
  private readonly watched = new WeakMap<GroupTarget, GroupTarget>();
  private groups: readonly BackendGroup[] = [];
  /** By address, in the order of discovery. */
  private byAddress: ReadonlyMap<string, Followed> = new Map();
  private slots = new Map<string, number>();
  private known: EngineRoster | null = null;

  constructor(options: EnginesOptions) {
    this.options = options;
    const { clock, log } = options;
    this.fleet = new Fleet({
      states: this.states,
      clock,
      fetch: new UpstreamProbe(clock),
      onChange: () => (this.known = null),
      onRestart: () => undefined,
      onEvent: ({ type, group, endpoint, message }) => {
        log.info('engine', { event: type, group, endpoint, reason: message });
      },
      maxScrapesPerSecond: scrapesPerSecond,
    });
  }

  /** Puts the groups in force. */
  update({ groups, secrets }: ResourceSnapshot): void {
    const { discovery, log, onChange } = this.options;
    this.groups = groups.filter((group) => eventSettingsOf(group) !== null);
    this.targets.update(this.groups, secrets, discovery);
    for (const { group, secret } of this.targets.missing())
      log.warn('a secret is missing; engines will refuse the questions', { group, secret });
    this.fleet.reconcile(this.targets.targets.map((target) => this.watchedFor(target)));
    this.follow();
    this.known = null;
    onChange();
  }

  get followed(): readonly Followed[] {
    return [...this.byAddress.values()];
  }

  get roster(): EngineRoster {
    this.known ??= this.makeRoster();
    return this.known;
  }

  /** What discovery has to say of groups without engines. */
  get troubles(): readonly string[] {
    return this.groups
      .map(({ metadata }) => ({ key: keyOf(metadata), condition: this.targets.discovered(keyOf(metadata)) }))
      .filter(({ condition }) => condition.status !== 'True')
      .map(({ key, condition }) => `${key}: ${condition.message}`);
  }

  /** By key of the group; a connection is the same object while nothing has changed. */
  connections(): Map<string, Connection> {
    return new Map(this.targets.targets.map(({ key }) => [key, this.targets.connection(key)]));
  }

  groupOf(address: string): string | null {
    return this.byAddress.get(address)?.group ?? null;
  }

  /** The key that the engine at an address wants; undefined for none. */
  apiKeyOf(address: string): string | undefined {
    const group = this.groupOf(address);
    return group === null ? undefined : this.targets.connection(group).apiKey;
  }

  isReady(address: string): boolean {
    const slot = this.slots.get(address);
    return slot !== undefined && this.states.isReady(slot);
  }

  close(): void {
    this.fleet.close();
  }

  /** Models are learned and looked at again whatever the group declares: adapters come and go. */
  private watchedFor(target: GroupTarget): GroupTarget {
    let watched = this.watched.get(target);
    if (watched === undefined) {
      const interval = Math.max(scrapeInterval, target.metrics.interval);
      const staleAfter = Math.max(3 * interval, target.metrics.staleAfter);
      watched = { ...target, learnModels: true, metrics: { ...target.metrics, interval, staleAfter } };
      this.watched.set(target, watched);
    }
    return watched;
  }

  /** Two groups may select one engine: the first has it. */
  private follow(): void {
    const byAddress = new Map<string, Followed>();
    const targets = new Map(this.targets.targets.map((target) => [target.key, target]));
    for (const group of this.groups) {
      const key = keyOf(group.metadata);
      const settings = eventSettingsOf(group);
      const target = targets.get(key);
      if (settings === null || target === undefined) continue;
      for (const seed of target.endpoints) {
        if (byAddress.has(seed.address)) continue;
        const plain = target.scheme === 'http';
        byAddress.set(seed.address, {
          group: key,
          seed,
          target: eventTargetOf({ group: key, seed, settings, plain }),
        });
      }
    }
    this.byAddress = byAddress;
  }

  private makeRoster(): EngineRoster {
    const slots = new Map<string, number>();
    const entries: EngineEntry[] = [];
    for (const group of this.groups) {
      const key = keyOf(group.metadata);
      for (const { name, address, slot } of this.fleet.endpoints(key)) {
        if (this.groupOf(address) !== key) continue;
        slots.set(address, slot);
        const models: ModelList = this.fleet.served(slot) ?? { base: group.spec.models, adapters: [] };
        entries.push({ name, address, models });
      }
    }
    this.slots = slots;
    return new EngineRoster(entries, (address) => this.holdersOf(address));
  }

  private holdersOf(address: string): readonly Holder[] {
    const target = this.byAddress.get(address)?.target;
    return target === undefined || 'reason' in target ? [] : this.options.holdersOf(target.key);
  }
}

/** How one engine is followed. */
export interface EngineState {
  readonly name: string;
  readonly address: string;
  readonly phase: TargetState['phase'];
  /** Why it is given up; empty otherwise. */
  readonly reason: string;
}

/** How each engine is followed, in the order of discovery. A Pod that is not ready yet is not waited for. */
export function engineStates(followed: readonly Followed[], states: readonly TargetState[]): EngineState[] {
  const byKey = new Map(states.map((state) => [state.key, state]));
  return followed.map(({ seed, target }) => {
    const { name, address, discoveredReady } = seed;
    if ('reason' in target) return { name, address, phase: 'given_up', reason: target.reason };
    const { phase, reason } = byKey.get(target.key) ?? { phase: 'connecting', reason: '' };
    if (phase !== 'live' && discoveredReady === false)
      return { name, address, phase: 'given_up', reason: 'the Pod is not ready' };
    return { name, address, phase, reason };
  });
}
