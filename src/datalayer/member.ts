import type { AdapterReport } from '../router/adapters.ts';
import type { Endpoint } from '../router/endpoint.ts';
import { Flag } from '../router/states.ts';
import type { FleetContext, Pace, Site } from './context.ts';
import type { EngineReport } from './engine-metrics.ts';
import { HealthProbe, type HealthListener } from './health-probe.ts';
import { ModelLearner, type ModelList, type ModelListener } from './models.ts';
import type { ProbeAccess } from './probe.ts';
import type { FleetChange, FleetEventType, MemberReason, MemberStatus } from './report.ts';
import { Alarm } from './schedule.ts';
import { Scraper, type ScrapeListener } from './scraper.ts';
import { SlowStart } from './slow-start.ts';
import type { GroupTarget } from './targets.ts';

/** What an endpoint tells its group, and asks of it. */
export interface MemberOwner {
  readonly target: GroupTarget;
  readonly pace: Readonly<Pace>;
  /** What the group's endpoints serve. */
  readonly models: readonly string[];
  changed(change: FleetChange): void;
  event(type: FleetEventType, member: Member, message: string): void;
  /** The engine has a new process, with nothing in its cache. */
  restarted(slot: number): void;
  /** Whether another endpoint of the group has been ready for long. */
  hasVeteran(besides: Member): boolean;
}

/** One endpoint of a group and all that watches it, from its discovery until it is gone. */
export class Member implements Site, HealthListener, ScrapeListener, ModelListener {
  endpoint: Endpoint;
  access: ProbeAccess;
  readonly slot: number;
  /** Milliseconds of the clock; null while it is not ready. */
  readySince: number | null = null;
  cacheTokens: number | null = null;
  lora: AdapterReport | null = null;
  private readonly context: FleetContext;
  private readonly owner: MemberOwner;
  private readonly health: HealthProbe;
  private readonly scraper: Scraper;
  private readonly learner: ModelLearner;
  private readonly slowStart: SlowStart;
  private readonly back = new Alarm(() => this.endEjection());
  /** It has answered a health probe. */
  private proven = false;
  /** It has a new process, or is new itself: becoming ready is a cold start. */
  private cold: boolean;

  /** `resumed`: it was gone and has come back while its slot was still its own. */
  constructor(context: FleetContext, owner: MemberOwner, endpoint: Endpoint, resumed: boolean) {
    this.context = context;
    this.owner = owner;
    this.endpoint = endpoint;
    this.slot = endpoint.slot;
    this.cold = !resumed;
    this.access = accessTo(owner.target, endpoint.address);
    this.health = new HealthProbe(context, this, this);
    this.scraper = new Scraper(context, this, this);
    this.learner = new ModelLearner(context, this, this);
    this.slowStart = new SlowStart(context, this.slot);
  }

  get target(): GroupTarget {
    return this.owner.target;
  }

  get pace(): Readonly<Pace> {
    return this.owner.pace;
  }

  get relays(): boolean {
    const { relays } = this.target;
    return relays !== undefined && this.endpoint.labels[relays.label] === relays.value;
  }

  get models(): ModelList | null {
    return this.learner.known;
  }

  /** `phase`, 0..1: where in the intervals its probes fall; `spread`: milliseconds in which all have their first one. */
  start(phase: number, spread: number, discoveredReady: boolean): void {
    const { states } = this.context;
    states.set(this.slot, Flag.ejected, false);
    states.set(this.slot, Flag.unready, false);
    this.health.start(phase * spread);
    if (!this.relays) this.scraper.start(phase);
    this.setDiscoveredReady(discoveredReady);
    this.look();
  }

  /** Discovery or settings have changed; what is known of its health stays. */
  update(endpoint: Endpoint, discoveredReady: boolean): void {
    const relayed = this.relays;
    this.endpoint = endpoint;
    this.access = accessTo(this.target, endpoint.address);
    if (relayed !== this.relays) this.scrapeOrNot();
    this.setDiscoveredReady(discoveredReady);
    this.look();
  }

  stop(): void {
    this.health.stop();
    this.scraper.stop();
    this.learner.stop();
    this.slowStart.stop();
    this.context.schedule.clear(this.back);
  }

  /** A request has just failed to connect there. */
  suspect(): void {
    this.health.doubt();
  }

  /** Out until then, in milliseconds of the clock. */
  eject(until: number): void {
    const seconds = Math.round((until - this.context.clock.now()) / 1000);
    this.context.states.set(this.slot, Flag.ejected, true);
    this.context.schedule.set(this.back, until);
    this.owner.event('EndpointEjected', this, `too many requests in a row failed there: no new ones for ${seconds} s`);
    this.refresh();
  }

  status(): MemberStatus {
    const { name, address } = this.endpoint;
    const stale = this.context.states.has(this.slot, Flag.stale);
    const reason = this.reason();
    return { name, address, ready: reason === 'Ready', reason, staleSince: stale ? this.scraper.goodSince : null };
  }

  up(): void {
    const { states } = this.context;
    const returns = !states.has(this.slot, Flag.healthy);
    this.proven = true;
    states.set(this.slot, Flag.healthy, true);
    if (returns) this.owner.event('EndpointHealthy', this, 'health probes succeed');
    this.refresh();
    this.learner.look();
  }

  down(message: string): void {
    this.context.states.set(this.slot, Flag.healthy, false);
    this.learner.pause();
    // What was taken for ready on trust has never been: its start is still to come.
    if (!this.proven) this.cold = true;
    this.owner.event('EndpointUnhealthy', this, `health probes fail: ${message}`);
    this.refresh();
  }

  mayHaveRestarted(): void {
    // The next scrape learns the new start time; comparing it with the old one would tell the same restart twice.
    this.context.startTimes[this.slot] = 0;
    this.lora = null;
    this.restart();
  }

  identify(done: (same: boolean | null) => void): void {
    this.learner.ask((list) => done(list === null ? null : this.isSame(list)));
  }

  /** While discovery is blind, what another engine at the address serves is nothing that the group serves. */
  believes(list: ModelList): boolean {
    const known = this.learner.known?.base ?? [];
    if (!this.context.discoveryStale || known.length === 0 || this.isSame(list)) return true;
    this.health.doubt();
    return false;
  }

  learned(): void {
    this.owner.changed('models');
  }

  scraped(report: EngineReport): void {
    const { startTimes } = this.context;
    const { slot } = this;
    this.cacheTokens = report.cacheTokens ?? this.cacheTokens;
    this.lora = report.lora;
    // Later only: the processes of one engine that share a port answer in turns, each with its own start.
    if (report.startTime !== null && report.startTime > startTimes[slot]) {
      const known = startTimes[slot] > 0;
      startTimes[slot] = report.startTime;
      if (known) {
        this.restart();
        this.health.doubt();
      }
    }
    this.setSleeping(report.awake === false);
  }

  wentStale(): void {
    this.owner.event('MetricsStale', this, 'its metrics cannot be read: only own requests count as its load');
    this.owner.changed('readiness');
  }

  private reason(): MemberReason {
    const { states } = this.context;
    if (states.has(this.slot, Flag.unready)) return 'NotReady';
    if (!states.has(this.slot, Flag.healthy)) return 'Unhealthy';
    if (states.has(this.slot, Flag.sleeping)) return 'Sleeping';
    return states.has(this.slot, Flag.ejected) ? 'Ejected' : 'Ready';
  }

  private setSleeping(sleeping: boolean): void {
    const { states } = this.context;
    if (states.has(this.slot, Flag.sleeping) === sleeping) return;
    states.set(this.slot, Flag.sleeping, sleeping);
    if (sleeping)
      this.owner.event('EndpointAsleep', this, 'the engine sleeps: wake it up, or take it out of the group');
    else this.owner.event('EndpointAwake', this, 'the engine is awake');
    this.refresh();
  }

  private endEjection(): void {
    const { states } = this.context;
    states.set(this.slot, Flag.ejected, false);
    if (states.has(this.slot, Flag.unready)) return;
    this.owner.event('EndpointReturned', this, 'gets requests again after its ejection');
    this.refresh();
  }

  /** One that discovery holds not ready is left alone: its engine may be loading, or told to rest before it ends. */
  private setDiscoveredReady(ready: boolean): void {
    const { states } = this.context;
    if (states.has(this.slot, Flag.unready) !== ready) return;
    states.set(this.slot, Flag.unready, !ready);
    if (!ready) {
      this.health.pause();
      this.scraper.pause();
      this.learner.pause();
      return;
    }
    this.health.resume();
    this.scrapeOrNot();
    if (this.proven && states.has(this.slot, Flag.healthy)) this.learner.look();
  }

  private scrapeOrNot(): void {
    if (this.relays) this.scraper.pause();
    else this.scraper.resume();
  }

  private restart(): void {
    this.cold = true;
    this.owner.restarted(this.slot);
    this.owner.event('EndpointRestarted', this, 'the engine may have a new process: its cache counts as empty');
    if (this.readySince !== null) this.warmUp();
  }

  /** Brings `readySince` in line with the flags. */
  private refresh(): void {
    if (this.look()) this.owner.changed('readiness');
  }

  private look(): boolean {
    const ready = this.context.states.isReady(this.slot);
    if (ready === (this.readySince !== null)) return false;
    this.readySince = ready ? this.context.clock.now() : null;
    if (ready) this.warmUp();
    return true;
  }

  private warmUp(): void {
    if (!this.cold) return;
    this.cold = false;
    if (this.owner.hasVeteran(this)) this.slowStart.begin();
    else this.slowStart.skip();
  }

  /** One that never told its models is recognised by those of its group. */
  private isSame(list: ModelList): boolean {
    const known = this.learner.known?.base ?? [];
    if (known.length > 0) return known.every((name) => list.base.includes(name));
    return list.base.length > 0 && list.base.every((name) => this.owner.models.includes(name));
  }
}

function accessTo(target: GroupTarget, address: string): ProbeAccess {
  return {
    origin: `${target.scheme}://${address}`,
    tls: target.scheme === 'https' ? (target.tls ?? {}) : null,
    authorization: target.apiKey === undefined ? null : `Bearer ${target.apiKey}`,
  };
}
