import type { Clock } from '../router/clock.ts';
import { EngineDriver } from './driver.ts';
import { Engine } from './engine.ts';
import { FaultPlan, type Fault } from './faults.ts';
import type { Exchange, ExchangeHost } from './http/exchange.ts';
import type { FormatOf } from './http/format.ts';
import type { Answer, Generation } from './http/generation.ts';
import { Histogram, firstTokenBounds } from './http/histogram.ts';
import type { ServedModels } from './http/names.ts';
import { KvEventBatches } from './kv-events.ts';
import type { KvEventPublisher } from './kv-publisher.ts';
import type { Sequence } from './sequence.ts';
import type { ServiceModel } from './service-model.ts';

/** What one simulated engine consists of besides its HTTP server. */
export interface HostParts {
  readonly models: ServedModels;
  readonly service: ServiceModel;
  readonly maxModelLength: number;
  readonly clock: Clock;
  readonly speedUp: number;
  readonly publisher: KvEventPublisher | null;
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

/** One engine, its clock, its faults and the answers under way. */
export class SimHost implements ExchangeHost {
  readonly models: ServedModels;
  readonly maxModelLength: number;
  readonly engine: Engine;
  readonly faults = new FaultPlan();
  readonly firstTokens = new Histogram(firstTokenBounds);
  readonly publisher: KvEventPublisher | null;
  private readonly parts: HostParts;
  private readonly driver: EngineDriver;
  private readonly active = new Set<Exchange>();
  private readonly touchedExchanges = new Set<Exchange>();
  private cancelRevival: () => void = () => undefined;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.models = parts.models;
    this.maxModelLength = parts.maxModelLength;
    const { publisher, service, clock, speedUp } = parts;
    this.publisher = publisher;
    const batches =
      publisher === null
        ? null
        : new KvEventBatches(service.blockSize, epochSeconds, (payload) => {
            publisher.publish(payload);
          });
    this.engine = new Engine(service, batches);
    this.driver = new EngineDriver(this.engine, { clock, speedUp, flush: this.flush });
  }

  /** Queues every choice of a request and lets its exchange write the answer. */
  generate(generation: Generation, formatOf: FormatOf, exchange: Exchange, id: string): void {
    this.active.add(exchange);
    const { adapter, salt, maxOutput } = generation;
    const sequences: Sequence[] = [];
    for (const prompt of generation.prompts) {
      for (let i = 0; i < generation.n; i++)
        sequences.push(this.driver.submit({ prompt, maxOutput, adapter, salt, listener: exchange }));
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
    if (!this.active.delete(exchange)) return;
    this.touchedExchanges.delete(exchange);
    for (const sequence of exchange.sequences) if (!sequence.ended) this.driver.abort(sequence);
  }

  /** The fault for a new request; a slow spell ends when the first request beyond its count arrives. */
  strike(): Fault {
    const fault = this.faults.strike();
    this.applySlowness(fault);
    return fault;
  }

  /** Faults of KV events leave those of requests as they are; `none` ends both. */
  setFault(fault: Fault): void {
    if (fault.type === 'none') this.publisher?.lose(0);
    if (fault.type === 'lose-events') this.publisher?.lose(fault.count);
    else if (fault.type === 'restart-events') this.restartEvents(fault.seconds);
    else this.setRequestFault(fault);
  }

  private setRequestFault(fault: Fault): void {
    this.faults.set(fault);
    this.applySlowness(fault);
  }

  sleep(): void {
    this.driver.sleep();
  }

  wake(): void {
    this.driver.wake();
  }

  state(): SimState {
    const { totals, running, waiting, usage, pool } = this.engine;
    return {
      engineSeconds: this.driver.now(),
      speedUp: this.parts.speedUp,
      lagSeconds: totals.lateSeconds,
      lagPercent: totals.requestSeconds > 0 ? (100 * totals.lateSeconds) / totals.requestSeconds : 0,
      requestSeconds: totals.requestSeconds,
      requests: totals.submitted,
      finished: totals.finished,
      aborted: totals.aborted,
      preempted: totals.preempted,
      activeStreams: this.active.size,
      running,
      waiting,
      usage,
      cachedBlocks: pool.cached,
      hits: totals.hitTokens,
      queries: totals.queriedTokens,
    };
  }

  stop(): void {
    this.cancelRevival();
    this.driver.stop();
    this.publisher?.close();
  }

  private restartEvents(seconds: number): void {
    const { publisher, clock, onError } = this.parts;
    if (publisher === null) return;
    this.cancelRevival();
    publisher.kill();
    this.engine.clearCache();
    this.cancelRevival = clock.after(seconds * 1000, () => {
      publisher.revive().catch(onError);
    });
  }

  private applySlowness(fault: Fault): void {
    this.engine.slowdown = fault.type === 'slow' ? fault.factor : 1;
  }

  private readonly flush = (): void => {
    for (const exchange of this.touchedExchanges) exchange.flush();
    this.touchedExchanges.clear();
  };
}

function epochSeconds(): number {
  return Date.now() / 1000;
}
