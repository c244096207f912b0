import { ActiveHealth, type Verdict } from './active-health.ts';
import type { FleetContext, Site } from './context.ts';
import type { ProbeFault, ProbeResult } from './probe.ts';
import { Alarm, onBeat } from './schedule.ts';

/** Milliseconds to the next probe when nobody listens: an engine that died is out after a few of them. */
export const quickProbe = 200;
/** Longest answer to a health probe; nobody reads it. */
const maxBytes = 64 * 1024;
/** Probes spread over this share of the interval, so that routers and endpoints do not fall into step. */
const jitter = 0.2;

/** Told what the probes of an endpoint find. */
export interface HealthListener {
  up(): void;
  /** `message` says what failed last. */
  down(message: string): void;
  /** The process may be another one than before. */
  mayHaveRestarted(): void;
  /** Finds out whether the engine there is still the one that was known; null where it does not say. */
  identify(done: (same: boolean | null) => void): void;
}

/** Active health of one endpoint: GET, every interval, one at a time. */
export class HealthProbe {
  private readonly context: FleetContext;
  private readonly site: Site;
  private readonly listener: HealthListener;
  private readonly health = new ActiveHealth();
  private readonly alarm = new Alarm(() => this.send());
  private readonly onResult = (result: ProbeResult): void => this.answered(result);
  private busy = false;
  private stopped = false;
  private paused = false;
  private startedAt = 0;

  constructor(context: FleetContext, site: Site, listener: HealthListener) {
    this.context = context;
    this.site = site;
    this.listener = listener;
  }

  /** `delay`: milliseconds to the first probe. */
  start(delay: number): void {
    this.again(this.context.clock.now() + delay);
  }

  stop(): void {
    this.stopped = true;
    this.context.schedule.clear(this.alarm);
  }

  /** No probes until `resume`; an answer that is under way counts for nothing. */
  pause(): void {
    this.paused = true;
    this.context.schedule.clear(this.alarm);
  }

  /** Goes on at once, from what was known. */
  resume(): void {
    this.paused = false;
    if (!this.busy) this.again(this.context.clock.now());
  }

  /**
   * Something speaks against the engine, such as a request that failed there: the next probe comes soon and, while
   * discovery is blind, asks who is there.
   */
  doubt(): void {
    this.health.doubt();
    const soon = this.startedAt + quickProbe;
    if (!this.busy && !this.stopped && !this.paused && this.alarm.due > soon) this.again(soon);
  }

  private again(due: number): void {
    this.context.schedule.set(this.alarm, due);
  }

  private send(): void {
    const { probe, clock, counters } = this.context;
    const { path, timeout } = this.site.target.health;
    this.busy = true;
    this.startedAt = clock.now();
    counters.probes += 1;
    probe.get({ access: this.site.access, path, timeout, maxBytes }, this.onResult);
  }

  private answered(result: ProbeResult): void {
    if (this.stopped || this.isPaused()) return;
    if (!result.ok && !this.isWordOfRelay(result.fault)) this.failed(result.fault, result.message);
    else if (this.needsProof()) this.listener.identify((same) => this.identified(same));
    else this.succeeded();
  }

  /** A leader says that one of its engines is not ready; that it says so shows that it is there itself. */
  private isWordOfRelay(fault: ProbeFault): boolean {
    return fault === 'status' && this.site.relays;
  }

  private isPaused(): boolean {
    if (this.paused) this.busy = false;
    return this.paused;
  }

  /** While discovery is blind, an address that went silent may have been given to another engine. */
  private needsProof(): boolean {
    return this.context.discoveryStale && this.health.inDoubt;
  }

  /** One that does not say is no better than one that does not answer; one that says something else is another. */
  private identified(same: boolean | null): void {
    if (this.isPaused()) return;
    if (same === true) this.succeeded();
    else if (same === null) this.failed('failed', 'it does not say which models it serves');
    else this.failed('failed', 'it cannot be recognised by the models it serves', 1);
  }

  private succeeded(): void {
    const { wasAbsent } = this.health;
    const verdict = this.health.succeeded(this.site.target.health.successes);
    if (wasAbsent && !this.health.wasAbsent) this.listener.mayHaveRestarted();
    if (verdict === 'up') this.listener.up();
    this.rest();
  }

  private failed(fault: ProbeFault, message: string, threshold = this.site.target.health.failures): void {
    this.context.counters.probeFailures += 1;
    const verdict: Verdict = this.health.failed(fault, threshold);
    if (verdict === 'down') this.listener.down(message);
    this.rest(this.health.usable && (fault === 'refused' || fault === 'reset'));
  }

  private rest(quick = false): void {
    this.busy = false;
    const interval = this.site.target.health.interval * this.site.pace.probeStretch;
    const pause = interval * (1 - jitter / 2 + jitter * this.context.random());
    this.again(quick ? this.context.clock.now() + quickProbe : onBeat(this.startedAt + pause, interval));
  }
}
