import { firstAttempt, type Decision } from '../../src/router/decision.ts';
import { nothingForeknown } from '../../src/router/foreknowledge.ts';
import { Prompt } from '../../src/router/prompt.ts';
import type { InferenceRequest } from '../../src/router/request.ts';
import type { Engine } from '../../src/sim/engine.ts';
import type { RemotePrompt, Sequence, SequenceListener } from '../../src/sim/sequence.ts';
import type { Contender } from './contenders.ts';
import { fleet, type Fleet, type FleetOptions, type GroupShape, type Node } from './fleet.ts';
import { Gaps } from './gaps.ts';
import type { Arrival } from './workload.ts';

export interface Run extends FleetOptions {
  readonly groups: readonly GroupShape[];
  readonly contender: Contender;
  readonly arrivals: readonly Arrival[];
  /** Requests a second. */
  readonly rate: number;
  readonly seed: number;
  /** Stops as soon as more than a tenth of the requests have waited longer for their first token, in seconds. */
  readonly stopAbove?: number;
}

/** Of the last two thirds of the requests: the first third warms caches up and fills queues. */
export interface Outcome {
  /** Seconds to the first token, by request. */
  readonly firstTokens: number[];
  readonly gaps: Gaps;
  /** More than a tenth were over `stopAbove`: the rest was not played. */
  readonly stopped: boolean;
}

const warmUp = 1 / 3;
const scrapeEvery = 1;
const noHeaders = { get: (): undefined => undefined };

/** A request on its way. */
class Flight implements SequenceListener {
  readonly arrival: Arrival;
  readonly decision: Decision;
  readonly arrivedAt: number;
  readonly isMeasured: boolean;
  decoding = false;
  lastTokenAt = -1;
  private readonly notes: Note[];

  constructor(notes: Note[], arrival: Arrival, decision: Decision, arrivedAt: number, isMeasured: boolean) {
    this.notes = notes;
    this.arrival = arrival;
    this.decision = decision;
    this.arrivedAt = arrivedAt;
    this.isMeasured = isMeasured;
  }

  progressed(sequence: Sequence): void {
    this.notes.push({ flight: this, sequence });
  }
}

/** What an engine's step has brought. */
interface Note {
  readonly flight: Flight;
  readonly sequence: Sequence;
}

/** One run in virtual time: the product's router decides, simulated engines work, nobody sleeps. Seconds. */
class Play {
  private readonly run: Run;
  private readonly fleet: Fleet;
  private readonly prompt = new Prompt();
  private readonly request: InferenceRequest;
  private readonly notes: Note[] = [];
  private readonly firstTokens: number[] = [];
  private readonly gaps = new Gaps();
  private now = 0;
  private arrived = 0;
  private ended = 0;
  private late = 0;

  constructor(run: Run) {
    this.run = run;
    const clock = { now: (): number => this.milliseconds() };
    this.fleet = fleet(run.groups, run.contender, clock, run.seed, run);
    this.request = { model: 'm', headers: noHeaders, user: '', prompt: this.prompt, known: nothingForeknown };
  }

  play(): Outcome {
    const { arrivals, rate, scrapeEvery: every = scrapeEvery } = this.run;
    const { nodes } = this.fleet;
    const mostLate = Math.floor((1 - warmUp) * arrivals.length * 0.1);
    // Engines are scraped one after the other, each once a period.
    let scrapeAt = 0;
    let scraped = 0;
    while (this.ended < arrivals.length && this.late <= mostLate) {
      const arrivalAt = this.arrived < arrivals.length ? arrivals[this.arrived].at / rate : Infinity;
      let stepAt = Infinity;
      for (const { engine } of nodes) stepAt = Math.min(stepAt, engine.due);
      this.now = Math.min(arrivalAt, stepAt, scrapeAt);
      if (stepAt === this.now) this.step();
      if (scrapeAt === this.now) {
        this.scrape(nodes[scraped]);
        scraped = (scraped + 1) % nodes.length;
        scrapeAt += every / nodes.length;
      }
      if (arrivalAt === this.now) this.arrive();
    }
    return { firstTokens: this.firstTokens, gaps: this.gaps, stopped: this.late > mostLate };
  }

  /** The clock of the router; its 0 means never. */
  private milliseconds(): number {
    return 1 + this.now * 1000;
  }

  private step(): void {
    for (const { engine } of this.fleet.nodes) if (engine.due <= this.now) engine.advance(this.now);
    for (const { flight, sequence } of this.notes) {
      if (flight.decoding) this.produced(flight, sequence);
      else this.computed(flight, sequence);
    }
    this.notes.length = 0;
  }

  private scrape({ endpoint: { slot }, engine: { waiting, running, usage } }: Node): void {
    for (const { states } of this.fleet.fronts) {
      states.scrapeStarts(slot);
      states.scrapeSucceeds(slot, { waiting, running, usage }, this.milliseconds());
    }
  }

  private arrive(): void {
    const { prompt, request, now } = this;
    const { arrivals } = this.run;
    const { fronts } = this.fleet;
    const index = this.arrived++;
    const arrival = arrivals[index];
    const { buffer, byteOffset, byteLength } = arrival.prompt;
    prompt.begin('m');
    prompt.reserve(byteLength).set(new Uint8Array(buffer, byteOffset, byteLength), prompt.end);
    prompt.wrote(byteLength);
    const { router, policy } = fronts[index % fronts.length];
    const decision = router.decide(policy, request, firstAttempt);
    if (decision === null) throw new Error('no endpoint was found');
    const flight = new Flight(this.notes, arrival, decision, now, index >= warmUp * arrivals.length);
    const { handover, endpoint } = decision;
    if (handover === null) this.decode(flight, endpoint.slot, null);
    else {
      const part = { prompt: arrival.prompt, maxOutput: 1, holdAfter: true, listener: flight };
      this.engineAt(handover.prefill.slot).submit(part, now);
    }
  }

  /** The prefiller is done: the decoder reads what it has computed. */
  private computed(flight: Flight, sequence: Sequence): void {
    const { handover, reservation } = flight.decision;
    if (handover === null) throw new Error('there is nobody to hand over to');
    if (handover.by === 'Router') reservation.prefilled();
    const prefiller = this.engineAt(handover.prefill.slot);
    const done = (_reader: Sequence, now: number): void => {
      prefiller.releaseHeld(sequence, 'read', now);
    };
    this.decode(flight, handover.decode.slot, { done });
  }

  /** Without a remote prompt the engine does it all. */
  private decode(flight: Flight, slot: number, remote: RemotePrompt | null): void {
    const { prompt, maxOutput } = flight.arrival;
    flight.decoding = true;
    this.engineAt(slot).submit({ prompt, maxOutput, remote, listener: flight }, this.now);
  }

  private produced(flight: Flight, sequence: Sequence): void {
    const { now } = this;
    const { reservation } = flight.decision;
    if (flight.lastTokenAt < 0) {
      reservation.firstByte();
      if (flight.isMeasured) this.answered(now - flight.arrivedAt);
    } else if (flight.isMeasured) this.gaps.add(now - flight.lastTokenAt);
    flight.lastTokenAt = now;
    if (!sequence.ended) return;
    reservation.release();
    this.ended += 1;
  }

  private answered(seconds: number): void {
    this.firstTokens.push(seconds);
    if (seconds > (this.run.stopAbove ?? Infinity)) this.late += 1;
  }

  private engineAt(slot: number): Engine {
    const node = this.fleet.bySlot.get(slot);
    if (node === undefined) throw new Error(`no engine has slot ${slot}`);
    return node.engine;
  }
}

export const simulate = (run: Run): Outcome => new Play(run).play();
