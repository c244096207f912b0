import type { Clock } from '../router/clock.ts';
import type { EngineDriver } from './driver.ts';
import type { Engine } from './engine.ts';
import { FaultPlan, type Fault } from './faults.ts';
import type { Exchange, ExchangeHost } from './http/exchange.ts';
import type { FormatOf } from './http/format.ts';
import type { Answer, Generation } from './http/generation.ts';
import { Histogram, firstTokenBounds } from './http/histogram.ts';
import type { ServedModels } from './http/names.ts';
import type { KvEventPublisher } from './kv-publisher.ts';
import { leastLoaded, makeRank, type Rank } from './ranks.ts';
import type { Sequence } from './sequence.ts';
import type { ServiceModel } from './service-model.ts';

/** What one simulated engine consists of besides its HTTP server. */
export interface HostParts {
  readonly models: ServedModels;
  readonly service: ServiceModel;
  readonly maxModelLength: number;
  readonly clock: Clock;
  readonly speedUp: number;
  /** Of each data-parallel rank, or none. */
  readonly publishers: readonly KvEventPublisher[];
  readonly ranks: number;
  /** Told when KV events cannot be published any more. */
  readonly onError: (error: unknown) => void;
}

/** What GET /sim/state says; times in engine seconds, hits and queries in tokens. */
export interface SimState {
  readonly engineSeconds: number;
  readonly speedUp: number;
  /** How much later than due the finished requests' last tokens came out, in all and as a share of the requests' time. */
  readonly lagSeconds: number;
  readonly lagPercent: number;
  /** Time from arrival to last token of the finished requests, summed. */
  readonly requestSeconds: number;
  readonly requests: number;
  readonly finished: number;
  readonly aborted: number;
  readonly preempted: number;
  readonly activeStreams: number;
  readonly running: number;
  readonly waiting: number;
  readonly usage: number;
  readonly cachedBlocks: number;
  readonly hits: number;
  readonly queries: number;
}

/** One engine of one or more data-parallel ranks, its clock, its faults and the answers under way. */
export class SimHost implements ExchangeHost {
  readonly models: ServedModels;
  readonly maxModelLength: number;
  readonly ranks: readonly Rank[];
  readonly faults = new FaultPlan();
  readonly firstTokens = new Histogram(firstTokenBounds);
  private readonly parts: HostParts;
  private readonly active = new Map<Exchange, EngineDriver>();
  private readonly touchedExchanges = new Set<Exchange>();
  private cancelRevival: () => void = () => undefined;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.models = parts.models;
    this.maxModelLength = parts.maxModelLength;
    const { service, clock, speedUp } = parts;
    const needs = { service, clock, speedUp, flush: this.flush, wallSeconds: epochSeconds };
    this.ranks = Array.from({ length: parts.ranks }, (_, number) =>
      makeRank(number, parts.publishers.at(number) ?? null, needs),
    );
  }

  /** Of rank 0. */
  get engine(): Engine {
    return this.ranks[0].engine;
  }

  /** Queues every choice of a request on the rank with the least to do and lets its exchange write the answer. */
  generate(generation: Generation, formatOf: FormatOf, exchange: Exchange, id: string): void {
    const { driver } = leastLoaded(this.ranks);
    this.active.set(exchange, driver);
    const { adapter, salt, maxOutput } = generation;
    const sequences: Sequence[] = [];
    for (const prompt of generation.prompts) {
      for (let i = 0; i < generation.n; i++)
        sequences.push(driver.submit({ prompt, maxOutput, adapter, salt, listener: exchange }));
    }
    const answer: Answer = { id, created: Math.floor(epochSeconds()), generation, sequences };
    exchange.begin(answer, formatOf(answer));
    // A further choice's arrival may have ended a step of the first one's.
    exchange.flush();
  }

  touched(exchange: Exchange): void {
    this.touchedExchanges.add(exchange);
  }

  firstToken(sequence: Sequence): void {
    this.firstTokens.observe(sequence.firstTokenAt - sequence.arrivedAt);
  }

  over(exchange: Exchange): void {
    const driver = this.active.get(exchange);
    if (driver === undefined) return;
    this.active.delete(exchange);
    this.touchedExchanges.delete(exchange);
    for (const sequence of exchange.sequences) if (!sequence.ended) driver.abort(sequence);
  }

  /** The fault for a new request; a slow spell ends when the first request beyond its count arrives. */
  strike(): Fault {
    const fault = this.faults.strike();
    this.applySlowness(fault);
    return fault;
  }

  /** Faults of KV events leave those of requests as they are; `none` ends both. */
  setFault(fault: Fault): void {
    if (fault.type === 'none') this.loseEvents(0);
    if (fault.type === 'lose-events') this.loseEvents(fault.count);
    else if (fault.type === 'restart-events') this.restartEvents(fault.seconds);
    else this.setRequestFault(fault);
  }

  private setRequestFault(fault: Fault): void {
    this.faults.set(fault);
    this.applySlowness(fault);
  }

  sleep(): void {
    for (const { driver } of this.ranks) driver.sleep();
  }

  wake(): void {
    for (const { driver } of this.ranks) driver.wake();
  }

  /** Forgets all cached blocks of ranks where no request holds some. */
  clearCache(): void {
    for (const { engine } of this.ranks) engine.clearCache();
  }

  /** Of all ranks together; `usage` is their mean. */
  state(): SimState {
    const sum = (of: (engine: Engine) => number): number =>
      this.ranks.reduce((total, { engine }) => total + of(engine), 0);
    const requestSeconds = sum(({ totals }) => totals.requestSeconds);
    const lagSeconds = sum(({ totals }) => totals.lateSeconds);
    return {
      engineSeconds: this.ranks[0].driver.now(),
      speedUp: this.parts.speedUp,
      lagSeconds,
      lagPercent: requestSeconds > 0 ? (100 * lagSeconds) / requestSeconds : 0,
      requestSeconds,
      requests: sum(({ totals }) => totals.submitted),
      finished: sum(({ totals }) => totals.finished),
      aborted: sum(({ totals }) => totals.aborted),
      preempted: sum(({ totals }) => totals.preempted),
      activeStreams: this.active.size,
      running: sum(({ running }) => running),
      waiting: sum(({ waiting }) => waiting),
      usage: sum(({ usage }) => usage) / this.ranks.length,
      cachedBlocks: sum(({ pool }) => pool.cached),
      hits: sum(({ totals }) => totals.hitTokens),
      queries: sum(({ totals }) => totals.queriedTokens),
    };
  }

  stop(): void {
    this.cancelRevival();
    for (const { driver, publisher } of this.ranks) {
      driver.stop();
      publisher?.close();
    }
  }

  private restartEvents(seconds: number): void {
    const { publishers, clock, onError } = this.parts;
    this.cancelRevival();
    for (const publisher of publishers) publisher.kill();
    this.clearCache();
    this.cancelRevival = clock.after(seconds * 1000, () => {
      for (const publisher of publishers) publisher.revive().catch(onError);
    });
  }

  /** So many batches of every rank. */
  private loseEvents(batches: number): void {
    for (const { publisher } of this.ranks) publisher?.lose(batches);
  }

  private applySlowness(fault: Fault): void {
    for (const { engine } of this.ranks) engine.slowdown = fault.type === 'slow' ? fault.factor : 1;
  }

  private readonly flush = (): void => {
    for (const exchange of this.touchedExchanges) exchange.flush();
    this.touchedExchanges.clear();
  };
}

function epochSeconds(): number {
  return Date.now() / 1000;
}
