import type { Clock } from '../router/clock.ts';
import type { SharedStore } from './allocation.ts';
import type { Engine } from './engine.ts';
import { garbageParams, type Fault, type FaultPlan, type RequestKind } from './faults.ts';
import type { Exchange, ExchangeHost } from './http/exchange.ts';
import type { FormatOf } from './http/format.ts';
import type { Answer, Generation } from './http/generation.ts';
import { Histogram, firstTokenBounds } from './http/histogram.ts';
import type { ServedModels } from './http/names.ts';
import type { TransferRequest } from './http/transfer-params.ts';
import type { KvEventPublisher } from './kv-publisher.ts';
import type { NixlConnector } from './nixl.ts';
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
  readonly faults: FaultPlan;
  /** Hands prompts over to other engines and takes theirs; null without. */
  readonly nixl: NixlConnector | null;
  /** Storage shared with other engines; null without. */
  readonly store: SharedStore | null;
  /** Whether a notice of aborted requests frees their blocks; vLLM itself passes it over. */
  readonly heedsAborts: boolean;
  /** Told when KV events cannot be published any more. */
  readonly onError: (error: unknown) => void;
}

/** One request on its way to the engine. */
export interface Job {
  readonly generation: Generation;
  readonly formatOf: FormatOf;
  readonly exchange: Exchange;
  /** The answer's id. */
  readonly id: string;
  /** The client's own name of the request, if it has given one. */
  readonly requestId: string | null;
  readonly transfer: TransferRequest;
  /** The shape of garbage to answer a prefill with; null for none. */
  readonly garbage: NonNullable<Fault['shape']> | null;
}

/** The hand-over between prefill and decode engines in GET /sim/state; engine seconds. What is counted how: EngineTotals. */
export interface HandoverState {
  readonly connector: 'nixl' | 'shared' | 'none';
  readonly heldRequests: number;
  readonly heldBlocks: number;
  readonly heldBlockSeconds: number;
  readonly deadBlockSeconds: number;
  readonly deadLeaseBlockSeconds: number;
  readonly leaseExpired: number;
  readonly releasedByRead: number;
  readonly releasedByAbort: number;
  readonly releasedByRefusal: number;
  readonly abortNotices: number;
  readonly lateNotices: number;
  /** Requests whose KV is on its way here. */
  readonly receiving: number;
  /** Of those: granted by the prefiller, bytes on their way. */
  readonly moving: number;
  /** Open connections of the side channel, of both directions. */
  readonly openTransfers: number;
  readonly transfers: number;
  readonly failedTransfers: number;
  readonly externalTokens: number;
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
  readonly handover: HandoverState;
}

/** One engine of one or more data-parallel ranks, its clock, its faults and the answers under way. */
export class SimHost implements ExchangeHost {
  readonly models: ServedModels;
  readonly maxModelLength: number;
  readonly ranks: readonly Rank[];
  readonly nixl: NixlConnector | null;
  readonly firstTokens = new Histogram(firstTokenBounds);
  private readonly parts: HostParts;
  private readonly faults: FaultPlan;
  private readonly active = new Map<Exchange, Rank>();
  private readonly touchedExchanges = new Set<Exchange>();
  private cancelRevival: () => void = () => undefined;

  constructor(parts: HostParts) {
    this.parts = parts;
    this.models = parts.models;
    this.maxModelLength = parts.maxModelLength;
    this.faults = parts.faults;
    this.nixl = parts.nixl;
    const { service, clock, speedUp, store } = parts;
    const needs = { service, clock, speedUp, store, flush: this.flush, wallSeconds: epochSeconds };
    this.ranks = Array.from({ length: parts.ranks }, (_, number) =>
      makeRank(number, parts.publishers.at(number) ?? null, needs),
    );
  }

  get connector(): HandoverState['connector'] {
    if (this.nixl !== null) return 'nixl';
    return this.parts.store === null ? 'none' : 'shared';
  }

  /** Of rank 0. */
  get engine(): Engine {
    return this.ranks[0].engine;
  }

  /** Queues every choice of a request on the rank with the least to do and lets its exchange write the answer. */
  generate({ generation, formatOf, exchange, id, requestId, transfer, garbage }: Job): void {
    const rank = leastLoaded(this.ranks);
    this.active.set(exchange, rank);
    const { adapter, salt, maxOutput, n, prompts } = generation;
    const names = requestId === null ? [id] : [id, requestId];
    const sequences = prompts.flatMap((prompt, at) =>
      Array.from({ length: n }, (_, choice) => {
        const spec = { prompt, maxOutput, adapter, salt, listener: exchange };
        // vLLM numbers the choices of a completion in the engine's id; a chat's has no number.
        const engineId = id.startsWith('cmpl-') ? `${id}-${at * n + choice}` : id;
        return this.nixl?.submit(spec, { transfer, rank, id: engineId, names }) ?? rank.driver.submit(spec);
      }),
    );
    const { nixl } = this;
    const kept = nixl === null || transfer.type !== 'prefill' ? null : () => nixl.paramsOf(sequences[0]);
    const transferParams = kept !== null && garbage !== null ? () => garbageParams(garbage) : kept;
    const answer: Answer = { id, created: Math.floor(epochSeconds()), generation, sequences, transferParams };
    exchange.begin(answer, formatOf(answer));
    // A further choice's arrival may have ended a step of the first one's.
    exchange.flush();
  }

  /** Blocks of these requests will not be read. */
  abortHeld(names: readonly string[]): void {
    if (this.parts.heedsAborts) this.nixl?.abortHeld(names);
  }

  /** So many milliseconds later, of wall time. */
  after(milliseconds: number, act: () => void): void {
    this.parts.clock.after(milliseconds, act);
  }

  touched(exchange: Exchange): void {
    this.touchedExchanges.add(exchange);
  }

  firstToken(sequence: Sequence): void {
    this.firstTokens.observe(sequence.firstTokenAt - sequence.arrivedAt);
  }

  over(exchange: Exchange): void {
    const rank = this.active.get(exchange);
    if (rank === undefined) return;
    this.active.delete(exchange);
    this.touchedExchanges.delete(exchange);
    for (const sequence of exchange.sequences) {
      if (!sequence.ended) this.abort(sequence, rank);
      // Nobody has heard whose blocks these are.
      else if (!exchange.delivered) {
        rank.driver.at(({ held }, now) => {
          held.markDead(sequence, now);
        });
      }
    }
  }

  private abort(sequence: Sequence, { driver }: Rank): void {
    if (this.nixl === null) driver.abort(sequence);
    else this.nixl.abort(sequence, driver);
  }

  /** The fault for a new request; a slow spell ends when the first request beyond its count arrives. */
  strike(kind: RequestKind): Fault {
    const fault = this.faults.strike(kind);
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
    // What is due by now, such as the end of a lease, and the time held so far.
    for (const { driver } of this.ranks)
      driver.at((engine, now) => {
        engine.advance(now);
      });
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
      handover: this.handover(sum),
    };
  }

  private handover(sum: (of: (engine: Engine) => number) => number): HandoverState {
    const { nixl, connector } = this;
    return {
      connector,
      heldRequests: sum(({ held }) => held.sequences),
      heldBlocks: sum(({ held }) => held.blocks),
      heldBlockSeconds: sum(({ totals }) => totals.heldBlockSeconds),
      deadBlockSeconds: sum(({ totals }) => totals.deadBlockSeconds),
      deadLeaseBlockSeconds: sum(({ totals }) => totals.deadLeaseBlockSeconds),
      leaseExpired: sum(({ totals }) => totals.leaseExpired),
      releasedByRead: sum(({ totals }) => totals.heldReleasedByRead),
      releasedByAbort: sum(({ totals }) => totals.heldReleasedByAbort),
      releasedByRefusal: sum(({ totals }) => totals.heldReleasedByRefusal),
      abortNotices: nixl?.abortNotices ?? 0,
      lateNotices: nixl?.lateNotices ?? 0,
      receiving: sum(({ receiving }) => receiving),
      moving: nixl?.moving ?? 0,
      openTransfers: nixl?.openTransfers ?? 0,
      transfers: sum(({ totals }) => totals.transfers),
      failedTransfers: sum(({ totals }) => totals.failedTransfers),
      externalTokens: sum(({ totals }) => totals.externalTokens),
    };
  }

  stop(): void {
    this.cancelRevival();
    this.nixl?.close();
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
