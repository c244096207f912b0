import type { AdapterReport, AdapterReports } from '../router/adapters.ts';
import type { Clock } from '../router/clock.ts';
import type { Endpoint } from '../router/endpoint.ts';
import type { EndpointFeedback, Outcome } from '../router/feedback.ts';
import type { EndpointStates } from '../router/states.ts';
import type { FleetContext, FleetCounters, Pace } from './context.ts';
import { byNamespace, fairShares } from './fair-share.ts';
import { Group, type GroupOwner } from './group.ts';
import type { Member } from './member.ts';
import type { ModelList } from './models.ts';
import { mayEject, PassiveHealth } from './passive-health.ts';
import type { HttpProbe } from './probe.ts';
import type { FleetChange, FleetEvent, GroupSummary, MemberReason, MemberStatus } from './report.ts';
import { Alarm, Schedule } from './schedule.ts';
import { SlotAllocator } from './slots.ts';
import type { GroupTarget } from './targets.ts';

/** Scrapes a second of the whole router, by default. */
export const defaultScrapesPerSecond = 300;
/** Health probes that go with each scrape of the budget: a probe costs a third, and means an engine that died. */
const probesPerScrape = 3;
/** Milliseconds between two looks whether the requests of endpoints that are gone have ended. */
const sweepInterval = 1_000;
/** Milliseconds between first health probes, so that a large fleet is not asked in one burst … */
const firstProbeGap = 2;
/** … and the most they are spread over: until its first probe a dead engine counts as ready. */
const longestSpread = 2_000;
/** Milliseconds for which discovery that was blind is not believed to have told all yet. */
const distrust = 60_000;

const noLimits: ReadonlyMap<string, number> = new Map();

export interface FleetOptions {
  readonly states: EndpointStates;
  readonly clock: Clock;
  /** Sends the probes; closed together with the fleet. */
  readonly fetch: HttpProbe;
  /**
   * A group has changed by itself, not by `reconcile`. May be called in the middle of `report`, for every change: it
   * should do no more than put the key into a queue.
   */
  readonly onChange: (key: string, change: FleetChange) => void;
  /** Nothing is cached in the engine at the slot any more: a new process, or the slot has lost its owner. */
  readonly onRestart: (slot: number) => void;
  readonly onEvent: (event: FleetEvent) => void;
  /** Intervals between scrapes stretch where they would sum up to more, those of health probes at three times as many. */
  readonly maxScrapesPerSecond?: number;
  /** Uniform in [0, 1), for jitter. */
  readonly random?: () => number;
}

interface Place {
  readonly member: Member;
  readonly group: Group;
}

/** Every endpoint of every group: its slot, health, load and models. */
export class Fleet implements EndpointFeedback, AdapterReports {
  readonly counters: FleetCounters = {
    scrapes: 0,
    scrapeFailures: 0,
    samplesIgnored: 0,
    probes: 0,
    probeFailures: 0,
    ejections: 0,
  };
  private readonly options: FleetOptions;
  private readonly context: FleetContext;
  private readonly allocator: SlotAllocator;
  private readonly passive: PassiveHealth;
  private readonly groups = new Map<string, Group>();
  private readonly paces = new Map<string, Pace>();
  private readonly bySlot: (Place | undefined)[];
  private readonly sweeper = new Alarm(() => this.sweep());
  private readonly trust = new Alarm(() => {
    this.context.discoveryStale = false;
  });
  private readonly groupOwner: GroupOwner;
  private targets: readonly GroupTarget[] = [];
  private readonly asked = new WeakMap<GroupTarget['endpoints'], number>();
  private spread = 0;

  constructor(options: FleetOptions) {
    const { states, clock, fetch } = options;
    this.options = options;
    this.context = {
      states,
      clock,
      schedule: new Schedule(clock),
      probe: fetch,
      random: options.random ?? Math.random,
      counters: this.counters,
      startTimes: new Float64Array(states.capacity),
      discoveryStale: false,
    };
    this.bySlot = new Array<Place | undefined>(states.capacity);
    this.allocator = new SlotAllocator(states, (slot) => this.forget(slot));
    this.passive = new PassiveHealth(states, {
      suspect: (slot) => this.bySlot[slot]?.member.suspect(),
      eject: (slot) => this.eject(slot),
    });
    this.groupOwner = this.makeGroupOwner();
  }

  /**
   * Makes the groups and endpoints what the targets say. What stays keeps its slot, health and load; an endpoint that
   * is gone gets no new request from here on. Endpoints without a free slot are left out, told by an event, and taken
   * when one is free. Where there are more endpoints than slots, namespaces share these fairly: one with many leaves
   * those of the others in.
   */
  reconcile(targets: readonly GroupTarget[]): void {
    this.targets = targets;
    const wanted = new Map(targets.map((target) => [target.key, target]));
    const limits = this.limitsOf([...wanted.values()]);
    for (const [key, group] of this.groups) {
      const target = wanted.get(key) ?? null;
      const limit = limits.get(key) ?? Infinity;
      if (target === group.target && limit === group.limit) continue;
      group.dismiss(target, limit);
      if (target === null) this.groups.delete(key);
    }
    this.pace(targets);
    for (const target of wanted.values()) this.admit(target, limits.get(target.key) ?? Infinity);
    this.scheduleSweep();
  }

  /** Of a try on an endpoint; cheap, for every request. */
  report(slot: number, outcome: Outcome): void {
    this.passive.report(slot, outcome);
  }

  /**
   * Whether discovery cannot see changes now (the API server is away). Pod addresses are given away again, so while
   * that is so, and for a minute after it, an endpoint that failed comes back only if it still serves the same models:
   * an API server that is back names a dead Pod until its kubelet has told otherwise. To be ended after what discovery
   * sees then has been reconciled.
   */
  setDiscoveryStale(stale: boolean): void {
    const { context, trust } = this;
    if (stale) {
      context.schedule.clear(trust);
      context.discoveryStale = true;
    } else if (context.discoveryStale && !trust.isSet) {
      context.schedule.set(trust, context.clock.now() + distrust);
    }
  }

  /** The same array while nothing has changed; empty for an unknown group. */
  endpoints(key: string): readonly Endpoint[] {
    return this.groups.get(key)?.endpoints ?? [];
  }

  /** What the group's engines said they serve, sorted, at most 256 names; the same array while nothing has changed. */
  models(key: string): readonly string[] {
    return this.groups.get(key)?.models ?? [];
  }

  members(key: string): readonly MemberStatus[] {
    return this.groups.get(key)?.statuses() ?? [];
  }

  /** Null for an unknown group. */
  summary(key: string): GroupSummary | null {
    return this.groups.get(key)?.summary() ?? null;
  }

  /** Why the endpoint at the slot gets requests or does not; null where nobody has the slot. */
  reasonOf(slot: number): MemberReason | null {
    return this.bySlot[slot]?.member.status().reason ?? null;
  }

  /** Tokens that fit into the endpoint's KV cache, or null where its engine does not say. */
  cacheTokens(slot: number): number | null {
    return this.bySlot[slot]?.member.cacheTokens ?? null;
  }

  /** What the endpoint's engine last said it serves; null where it never has. */
  served(slot: number): ModelList | null {
    return this.bySlot[slot]?.member.models ?? null;
  }

  /** When the engine's process at the slot started, in seconds since 1970; 0 while that is not known. */
  startedAt(slot: number): number {
    return this.context.startTimes[slot];
  }

  /** The LoRA adapters that the endpoint's engine last said it works with, or null. */
  lora(slot: number): AdapterReport | null {
    return this.bySlot[slot]?.member.lora ?? null;
  }

  /** Endpoints for which there is no slot, over all groups. */
  get shutOut(): number {
    let count = 0;
    for (const group of this.groups.values()) count += group.shutOut.length;
    return count;
  }

  /** Ends all watching; what `EndpointStates` says stays as it is. */
  close(): void {
    this.context.schedule.close();
    for (const place of this.bySlot) place?.member.stop();
    this.options.fetch.close();
  }

  /** How many endpoints each group may have; of none is anything said while there are slots for all. */
  private limitsOf(targets: readonly GroupTarget[]): ReadonlyMap<string, number> {
    const { capacity } = this.context.states;
    const demands = byNamespace(targets, ({ endpoints }) => endpoints.length);
    if ([...demands.values()].reduce((sum, demand) => sum + demand, 0) <= capacity) return noLimits;
    const left = fairShares(demands, capacity);
    const limits = new Map<string, number>();
    for (const { key, namespace, endpoints } of targets) {
      const share = left.get(namespace) ?? 0;
      const limit = Math.min(endpoints.length, Math.floor(share));
      limits.set(key, limit);
      left.set(namespace, share - limit);
    }
    return limits;
  }

  private admit(target: GroupTarget, limit: number): void {
    const known = this.groups.get(target.key);
    // The very same target asks for nothing new, unless it was not to be had in full.
    const asksNothingNew = known?.target === target && known.limit === limit;
    if (asksNothingNew && (known.isFull || !this.allocator.hasRoom)) return;
    const group = known ?? new Group(this.groupOwner, target);
    this.groups.set(target.key, group);
    group.admit(target, limit);
    const { consecutiveFailures } = target.health.passive;
    for (const { slot } of group.endpoints) this.passive.setThreshold(slot, consecutiveFailures);
  }

  private makeGroupOwner(): GroupOwner {
    const { context, allocator, passive, bySlot, options } = this;
    const spread = (): number => this.spread;
    return {
      context,
      allocator,
      paceOf: (namespace) => this.paceOf(namespace),
      get spread() {
        return spread();
      },
      joined: (member, group) => {
        bySlot[member.slot] = { member, group };
      },
      left: ({ slot }) => {
        bySlot[slot] = undefined;
      },
      restarted: (slot) => {
        passive.clear(slot);
        options.onRestart(slot);
      },
      changed: options.onChange,
      event: options.onEvent,
    };
  }

  /** Stretches intervals to the budget, which namespaces share fairly, and spreads first probes by the size of the fleet. */
  private pace(targets: readonly GroupTarget[]): void {
    const budget = this.options.maxScrapesPerSecond ?? defaultScrapesPerSecond;
    const asked = byNamespace(targets, (target) => this.askedOf(target.endpoints));
    const scrapes = byNamespace(targets, (target) => (this.askedOf(target.endpoints) * 1000) / target.metrics.interval);
    const probes = byNamespace(targets, (target) => (this.askedOf(target.endpoints) * 1000) / target.health.interval);
    const scrapeShares = fairShares(scrapes, budget);
    const probeShares = fairShares(probes, budget * probesPerScrape);
    for (const namespace of this.paces.keys()) if (!asked.has(namespace)) this.paces.delete(namespace);
    for (const namespace of asked.keys()) {
      const pace = this.paceOf(namespace);
      pace.stretch = stretchOf(scrapes.get(namespace), scrapeShares.get(namespace));
      pace.probeStretch = stretchOf(probes.get(namespace), probeShares.get(namespace));
    }
    const endpoints = [...asked.values()].reduce((sum, count) => sum + count, 0);
    this.spread = Math.min(longestSpread, endpoints * firstProbeGap);
  }

  private paceOf(namespace: string): Pace {
    let pace = this.paces.get(namespace);
    if (pace === undefined) {
      pace = { stretch: 1, probeStretch: 1 };
      this.paces.set(namespace, pace);
    }
    return pace;
  }

  /** How many endpoints discovery holds ready; counted once for each list, since thousands of groups stay as they are. */
  private askedOf(seeds: GroupTarget['endpoints']): number {
    let asked = this.asked.get(seeds);
    if (asked === undefined) {
      asked = seeds.reduce((count, { discoveredReady }) => count + (discoveredReady === false ? 0 : 1), 0);
      this.asked.set(seeds, asked);
    }
    return asked;
  }

  private eject(slot: number): boolean {
    const place = this.bySlot[slot];
    if (place === undefined) return false;
    const { passive } = place.group.target.health;
    if (!mayEject(place.group.healthBeside(slot), passive.maxEjectedPercent)) return false;
    this.counters.ejections += 1;
    place.member.eject(this.passive.begin(slot, passive, this.context.clock.now()));
    return true;
  }

  private forget(slot: number): void {
    this.context.startTimes[slot] = 0;
    this.passive.clear(slot);
    this.options.onRestart(slot);
  }

  private scheduleSweep(): void {
    if (this.allocator.draining().length === 0) return;
    this.context.schedule.set(this.sweeper, this.context.clock.now() + sweepInterval);
  }

  private sweep(): void {
    const freed = this.allocator.sweep();
    if (freed.length > 0) this.retryShutOut();
    for (const key of new Set(freed.map((endpoint) => endpoint.group))) this.options.onChange(key, 'readiness');
    this.scheduleSweep();
  }

  private retryShutOut(): void {
    const waiting = [...this.groups.values()].filter((group) => group.shutOut.length > 0);
    if (waiting.length === 0) return;
    this.reconcile(this.targets);
    for (const group of waiting) group.changed('endpoints');
  }
}

/** How many times more is asked for than given; 1 where nothing is asked for. */
function stretchOf(demand = 0, share = 0): number {
  return demand > share ? demand / share : 1;
}
