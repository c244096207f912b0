import type { BackendGroup } from '../api/backend-group.ts';
import { Compiler, keyOf, type GroupSurroundings } from '../controller/compile.ts';
import type { Condition, Verdict } from '../controller/conditions.ts';
import type { Discovery } from '../controller/found.ts';
import { noResources, type ResourceSnapshot } from '../controller/resource-snapshot.ts';
import { Fleet } from '../datalayer/fleet.ts';
import type { FleetChange, FleetEvent } from '../datalayer/report.ts';
import { UpstreamProbe } from './upstream-probe.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import { HistogramSeries } from '../observability/histogram.ts';
import { errorText, rateLimited, type Log } from '../observability/log.ts';
import { registry } from '../policies/index.ts';
import type { AdapterReports } from '../router/adapters.ts';
import type { Clock } from '../router/clock.ts';
import type { DecisionObserver } from '../router/observer.ts';
import { Router } from '../router/router.ts';
import { EndpointStates } from '../router/states.ts';
import { TableStore } from '../router/table.ts';
import { GroupTargets } from './group-targets.ts';
import { cacheConditions, CacheWatch } from './kv/cache-conditions.ts';
import type { KVRoom } from './kv/room.ts';
import { ManagerLookups } from './manager-lookups.ts';
import { needsRoom, PrefixSources } from './prefix-sources.ts';

/** Milliseconds between looks at what engines have said of their cache size. */
const capacityInterval = 2000;
/** Milliseconds after which the approximate index forgets what no request has used. */
const agingRound = 3_600_000;
/** Endpoints that are looked at for that at one time. */
const agedAtOnce = 16;
/** Milliseconds between two tables that the fleet asks for. */
const fleetPace = 50;
/** Endpoints that the router has room for; each takes about 100 bytes, in use or not. */
const endpointCapacity = 16_384;
/** Upper bounds for the time that a table takes to make, in seconds. */
const tableBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

export interface AssemblyOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly maxScrapesPerSecond: number;
  /** A new table is in force. */
  readonly onTable: () => void;
  readonly discovery: Discovery;
  /** Folder with the folders of mounted tokenizers. */
  readonly tokenizers?: string;
  /** What shared prefixes are sealed with; without it none are shared. */
  readonly prefixKey?: Uint8Array | null;
  /** Told of every decision. */
  readonly observer?: DecisionObserver;
  /** Endpoints of a group have come, gone or changed their readiness by themselves. */
  readonly onGroupChange?: (key: string) => void;
  readonly onFleetEvent?: (event: FleetEvent) => void;
  /** Whether the front door can take a request from a prefiller to a decoder by itself; true where it is left out. */
  readonly handsOver?: boolean;
}

/** The decision core and what feeds it: resources in, a routing table in force out. */
export class Assembly {
  readonly states = new EndpointStates(endpointCapacity);
  readonly store = new TableStore();
  readonly router: Router;
  readonly fleet: Fleet;
  readonly index = new ApproximateIndex();
  readonly sources: PrefixSources;
  readonly managers: ManagerLookups;
  /** Seconds from a change at hand to its table in force, for which everything else in the process waits. */
  readonly tableTimes = new HistogramSeries(tableBuckets);
  verdicts: readonly Verdict[] = [];
  snapshot: ResourceSnapshot = noResources;
  private readonly options: AssemblyOptions;
  private readonly compiler: Compiler;
  private readonly groups = new GroupTargets();
  private scheduled = false;
  private entering = false;
  private closed = false;
  /** When the fleet last made a table, in milliseconds of the clock. */
  private fleetTableAt = -Infinity;
  private cancelCapacity: () => void;
  private readonly cacheWatch = new CacheWatch();
  private nextAging: number;

  constructor(options: AssemblyOptions) {
    this.options = options;
    const { clock, log } = options;
    const { states } = this;
    const adapters: AdapterReports = { lora: (slot) => this.fleet.lora(slot) };
    const { handsOver = true } = options;
    this.compiler = new Compiler(registry, { states, adapters, random: Math.random, clock }, { handsOver });
    this.router = new Router({
      states: this.states,
      random: Math.random,
      ...(options.observer === undefined ? {} : { observer: options.observer }),
      readiness: { reasonOf: (slot) => this.fleet.reasonOf(slot) },
    });
    this.fleet = new Fleet({
      states: this.states,
      clock,
      fetch: new UpstreamProbe(clock),
      onChange: (key, change) => this.fleetChanged(key, change),
      onRestart: (slot) => this.forget(slot),
      onEvent: (event) => this.fleetEvent(event),
      maxScrapesPerSecond: options.maxScrapesPerSecond,
    });
    this.managers = new ManagerLookups({ clock, log, discovery: options.discovery });
    this.sources = new PrefixSources(this.index, this.managers);
    this.cancelCapacity = clock.after(capacityInterval, this.learnCapacities);
    this.nextAging = clock.now() + agingRound;
  }

  /** Puts the resources in force. */
  update(snapshot: ResourceSnapshot): void {
    const startedAt = this.options.clock.now();
    this.snapshot = snapshot;
    this.groups.update(snapshot.groups, snapshot.secrets, this.options.discovery);
    for (const { group, secret } of this.groups.missing()) {
      this.options.log.warn('a secret is missing; engines will refuse the router', { group, secret });
    }
    this.sources.retain(snapshot.groups);
    this.fleet.reconcile(this.groups.targets);
    if (this.room === null && snapshot.groups.some(needsRoom)) this.enterRoom();
    this.room?.reconcile(snapshot.groups, this.groups.targets);
    this.compile(startedAt);
  }

  /** Events, tokens and shared stores; null while no group has needed them. */
  get room(): KVRoom | null {
    return this.sources.room;
  }

  /** What a router that has just started does not know yet and soon will; null when its first decision is a good one. */
  get stillToLearn(): string | null {
    if (!this.modelsKnown) return 'engines have not named their models yet';
    const { room } = this;
    if (room === null) return this.snapshot.groups.some(needsRoom) ? 'the KV index is not loaded yet' : null;
    return room.stores.warm ? null : 'shared prefixes have not been read yet';
  }

  /** Whether every group that learns its models has learned some. */
  private get modelsKnown(): boolean {
    return this.snapshot.groups.every(
      ({ metadata, spec }) => spec.models.length > 0 || this.fleet.models(keyOf(metadata)).length > 0,
    );
  }

  /** Settles when no socket is left. */
  async close(): Promise<void> {
    this.cancelCapacity();
    this.sources.retain([]);
    this.fleet.close();
    this.closed = true;
    await this.room?.close();
  }

  /** Loads what few routers need and all would pay for; what it knows is in force right after. */
  private enterRoom(): void {
    if (this.entering) return;
    this.entering = true;
    const { clock, log, tokenizers = '', prefixKey = null, discovery } = this.options;
    const { fleet, states, index } = this;
    const apiKeyOf = (key: string): string | undefined => this.groups.connection(key).apiKey;
    const calm = rateLimited(log, () => clock.now());
    import('./kv/room.ts')
      .then(({ KVRoom }) => {
        if (this.closed) return;
        const from = { fleet, states, index, discovery };
        this.sources.room = new KVRoom({ ...from, apiKeyOf, tokenizers, prefixKey, clock, log: calm });
        this.update(this.snapshot);
      })
      .catch((error: unknown) => {
        this.entering = false;
        log.error('KV events and shared prefixes cannot be had; hits are guessed', { error: errorText(error) });
      });
  }

  /** `startedAt`: when work on the change began, in milliseconds of the clock. */
  private compile(startedAt: number): void {
    const { snapshot, store } = this;
    const { table, verdicts } = this.compiler.compile({
      generation: store.current.generation + 1,
      groups: snapshot.groups,
      policies: snapshot.policies,
      broken: snapshot.broken,
      brokenGroups: snapshot.brokenGroups ?? [],
      surroundings: (key, group) => this.surroundings(key, group),
    });
    this.verdicts = verdicts;
    store.current = table;
    this.tableTimes.observe((this.options.clock.now() - startedAt) / 1000);
    this.options.onTable();
  }

  private surroundings(key: string, group: BackendGroup): GroupSurroundings {
    const connection = this.groups.connection(key);
    const endpoints = this.fleet.endpoints(key);
    const { secrets } = this.snapshot;
    return {
      endpoints,
      learnedModels: this.fleet.models(key),
      connection,
      discovered: this.groups.discovered(key),
      declaredSince: this.snapshot.declaredSince?.get(group),
      ...this.sources.of(group, { connection, endpoints, secrets }),
    };
  }

  /** Many changes of one moment make one table, and a fleet that starts, which changes all the time, makes few. */
  private fleetChanged(key: string, change: FleetChange): void {
    this.options.onGroupChange?.(key);
    const concerns = change === 'endpoints' || (change === 'models' && this.groups.learnsModels(key));
    if (!concerns || this.scheduled) return;
    this.scheduled = true;
    const { clock } = this.options;
    const wait = this.fleetTableAt + fleetPace - clock.now();
    if (wait <= 0) setImmediate(this.followFleet);
    else clock.after(wait, this.followFleet);
  }

  private readonly followFleet = (): void => {
    const { clock, log } = this.options;
    this.scheduled = false;
    this.fleetTableAt = clock.now();
    try {
      this.compile(this.fleetTableAt);
    } catch (error) {
      log.error('compiling the routing table failed; the last one stays in force', { error: errorText(error) });
    }
  };

  /** Nothing is cached at the slot any more, whose books a shared store keeps or we. */
  private forget(slot: number): void {
    if (this.room?.stores.forget(slot) !== true) this.index.forget(slot);
  }

  private fleetEvent(event: FleetEvent): void {
    const { type, group, endpoint, message } = event;
    this.options.onFleetEvent?.(event);
    const fields = { event: type, group, endpoint, reason: message };
    if (type === 'SlotsExhausted') this.options.log.error('endpoints without a slot get no requests', fields);
    else this.options.log.info('endpoint', fields);
  }

  /** Whether it is known what the caches of groups hold, by key. */
  get caches(): ReadonlyMap<string, readonly Condition[]> {
    return cacheConditions(this);
  }

  private readonly learnCapacities = (): void => {
    for (const key of this.cacheWatch.look(this.caches)) this.options.onGroupChange?.(key);
    for (const { endpoints } of this.store.current.groups.values()) {
      for (const { slot } of endpoints) {
        const tokens = this.fleet.cacheTokens(slot);
        if (tokens !== null) this.index.setCapacity(slot, tokens);
      }
    }
    const { clock } = this.options;
    if (clock.now() >= this.nextAging && this.index.age(agedAtOnce)) this.nextAging = clock.now() + agingRound;
    this.cancelCapacity = clock.after(capacityInterval, this.learnCapacities);
  };
}
