import { Flag } from '../router/states.ts';
import type { FleetContext, Site } from './context.ts';
import { readEngineMetrics, type EngineReport } from './engine-metrics.ts';
import type { ProbeResult } from './probe.ts';
import { Alarm, onBeat } from './schedule.ts';

/** Longest metrics answer that is read: 4 MiB. */
const maxBytes = 4 * 1024 * 1024;

/** Told what the scrapes of an endpoint find, besides its load. */
export interface ScrapeListener {
  scraped(report: EngineReport): void;
  /** Its numbers have just become too old to count. */
  wentStale(): void;
}

/**
 * Reads one endpoint's metrics every interval into EndpointStates, never two at a time. A scrape that fails leaves the
 * last numbers standing; they stop counting when they are older than `staleAfter` and more than one scrape has failed.
 */
export class Scraper {
  /** Start of the last good scrape, in milliseconds of the clock; before the first: when scraping began. */
  goodSince = 0;
  private readonly context: FleetContext;
  private readonly site: Site;
  private readonly listener: ScrapeListener;
  private readonly alarm = new Alarm(() => this.send());
  private readonly onResult = (result: ProbeResult): void => this.answered(result);
  private startedAt = 0;
  private failures = 0;
  private busy = false;
  private paused = false;
  private stopped = false;

  constructor(context: FleetContext, site: Site, listener: ScrapeListener) {
    this.context = context;
    this.site = site;
    this.listener = listener;
  }

  /** `phase`, 0..1: which part of the interval this endpoint's scrapes fall into. */
  start(phase: number): void {
    const now = this.context.clock.now();
    const scrapedAt = this.context.states.scrapedAt[this.site.slot];
    this.goodSince = scrapedAt > 0 ? scrapedAt : now;
    const interval = this.interval();
    this.context.schedule.set(this.alarm, onBeat(now + phase * interval, interval));
  }

  stop(): void {
    this.stopped = true;
    this.context.schedule.clear(this.alarm);
  }

  /** No scrapes until `resume`; an answer that is under way counts for nothing. */
  pause(): void {
    this.paused = true;
    this.context.schedule.clear(this.alarm);
  }

  /** Goes on at once; the pause itself makes no number too old. */
  resume(): void {
    const { clock, schedule, states } = this.context;
    this.paused = false;
    this.failures = 0;
    if (!states.has(this.site.slot, Flag.stale)) this.goodSince = clock.now();
    if (!this.busy) schedule.set(this.alarm, clock.now());
  }

  private interval(): number {
    return this.site.target.metrics.interval * this.site.pace.stretch;
  }

  private send(): void {
    const { probe, clock, states, counters } = this.context;
    const { path, timeout } = this.site.target.metrics;
    this.busy = true;
    this.startedAt = clock.now();
    counters.scrapes += 1;
    states.scrapeStarts(this.site.slot);
    probe.get({ access: this.site.access, path, timeout, maxBytes }, this.onResult);
  }

  private answered(result: ProbeResult): void {
    this.busy = false;
    if (this.stopped || this.paused) return;
    if (!result.ok || !this.read(result.body)) this.failed();
    const interval = this.interval();
    this.context.schedule.set(this.alarm, onBeat(this.startedAt + interval, interval));
  }

  /** False where the text does not say how many requests wait: then it says nothing of the load. */
  private read(body: Buffer): boolean {
    const { states, counters } = this.context;
    const { slot, target } = this.site;
    const report = readEngineMetrics(target.engine, body.toString('latin1'));
    counters.samplesIgnored += report.ignored;
    this.listener.scraped(report);
    if (report.waiting === null) return false;
    const { waiting, running, usage } = report;
    const sample = { waiting, running: running ?? states.running[slot], usage: usage ?? states.usage[slot] };
    states.scrapeSucceeds(slot, sample, this.startedAt);
    this.goodSince = this.startedAt;
    this.failures = 0;
    return true;
  }

  private failed(): void {
    const { states, clock, counters } = this.context;
    const { slot, target } = this.site;
    counters.scrapeFailures += 1;
    this.failures += 1;
    const tooOld = clock.now() - this.goodSince > target.metrics.staleAfter;
    if (!tooOld || this.failures < 2 || states.has(slot, Flag.stale)) return;
    states.set(slot, Flag.stale, true);
    this.listener.wentStale();
  }
}
