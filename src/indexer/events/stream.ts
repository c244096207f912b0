import type { Subscriber } from 'zeromq';
import type { Clock } from '../../router/clock.ts';
import type { KVEventSink } from '../kv-events.ts';
import type { KVEventCounters } from './counters.ts';
import type { EventOrigin, KVEventDecoder } from './decode.ts';
import type { StreamLimits } from './limits.ts';
import { StreamOrder, type OrderActions } from './order.ts';
import type { Pace } from './pace.ts';
import { Replay, type ReplayEnd } from './replay.ts';
import { endOfReplay, sequenceOf } from './sequence-number.ts';
import type { Turnstile } from './turnstile.ts';
import type { Zmq } from './zmq.ts';

/** `given_up`: no connection for so long that nobody should wait for it; it is still tried, and may come to life. */
export type StreamPhase = 'connecting' | 'replaying' | 'live' | 'given_up';

/** Where one rank's events come from. */
export interface StreamAddress {
  /** As in `tcp://10.0.0.7:5557`. */
  readonly events: string;
  readonly replay: string | null;
  /** Prefix of the topic frames that are wanted. */
  readonly topic: string;
}

/** What all streams of one router share. */
export interface StreamShared {
  readonly zmq: Zmq;
  readonly sink: KVEventSink;
  readonly decoder: KVEventDecoder;
  readonly counters: KVEventCounters;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly turnstile: Turnstile;
  readonly limits: StreamLimits;
}

/** One rank's subscription: keeps what the sink knows of the holder true to what the engine tells. */
export class KVEventStream implements OrderActions {
  readonly address: StreamAddress;
  private readonly shared: StreamShared;
  private readonly origin: EventOrigin;
  private readonly order: StreamOrder;
  private readonly socket: Subscriber;
  private connection: 'connecting' | 'up' | 'given_up' = 'connecting';
  private why = '';
  private closed = false;
  private replayUnderWay: Replay | null = null;
  private backoff: number;
  private cancelGiveUp: () => void = () => undefined;
  private cancelRetry: (() => void) | null = null;
  private readonly loops = new Set<Promise<void>>();

  /** Starts at once; throws what libzmq says of an address that it cannot read. */
  constructor(shared: StreamShared, address: StreamAddress, origin: EventOrigin) {
    this.shared = shared;
    this.address = address;
    this.origin = origin;
    this.backoff = shared.limits.replayBackoff;
    this.order = new StreamOrder(this, shared.counters, shared.limits);
    this.socket = shared.zmq.subscriber(address.events, address.topic);
    this.watch();
    this.awaitConnection();
    try {
      this.socket.connect(address.events);
    } catch (error) {
      this.socket.close();
      this.cancelGiveUp();
      throw error;
    }
    this.keep(this.read());
  }

  get phase(): StreamPhase {
    if (this.connection !== 'up') return this.connection;
    return this.order.replaying ? 'replaying' : 'live';
  }

  /** Why it has been given up; empty otherwise. */
  get reason(): string {
    return this.connection === 'given_up' ? this.why : '';
  }

  /** Settles when nothing of it is left running. */
  async close(): Promise<void> {
    this.closed = true;
    this.cancelGiveUp();
    this.cancelRetry?.();
    this.cancelReplay();
    this.socket.close();
    await Promise.all(this.loops);
  }

  apply(payload: Uint8Array): boolean {
    return this.shared.decoder.decode(payload, this.origin);
  }

  clear(): void {
    this.shared.sink.cleared(this.origin.holder);
  }

  get hasReplay(): boolean {
    return this.address.replay !== null;
  }

  canReplay(): boolean {
    return this.hasReplay && this.cancelRetry === null && !this.closed;
  }

  replay(from: number): void {
    this.cancelReplay();
    const { zmq } = this.shared;
    this.shared.counters.replays += 1;
    const replay: Replay = new Replay({
      ...this.shared,
      open: () => zmq.dealer(this.address.replay ?? ''),
      batch: (sequence, payload) => {
        // The order may have asked for another one while this one's last answers were on their way.
        if (this.replayUnderWay === replay) this.order.replayed(sequence, payload);
      },
    });
    this.replayUnderWay = replay;
    this.keep(this.follow(replay, from));
  }

  cancelReplay(): void {
    this.replayUnderWay?.cancel();
    this.replayUnderWay = null;
  }

  private async follow(replay: Replay, from: number): Promise<void> {
    const end = await replay.run(from);
    if (this.closed || this.replayUnderWay !== replay) return;
    this.replayUnderWay = null;
    this.replayOver(end);
    await this.drain();
  }

  private replayOver(end: ReplayEnd): void {
    if (end === 'ended') {
      this.backoff = this.shared.limits.replayBackoff;
      this.order.replayEnded();
      return;
    }
    this.shared.counters.replayFailures += 1;
    this.cancelRetry?.();
    this.cancelRetry = this.shared.clock.after(this.backoff, () => {
      this.cancelRetry = null;
      this.order.retry();
    });
    this.backoff = Math.min(2 * this.backoff, this.shared.limits.replayBackoffMost);
    this.order.replayFailed();
  }

  private async drain(): Promise<void> {
    for (let more = true; more && !this.closed;) {
      const rest = this.shared.pace.run(() => {
        more = this.order.drainOne();
      });
      if (rest !== null) await rest;
    }
  }

  private async read(): Promise<void> {
    for await (const frames of this.socket) {
      const rest = this.shared.pace.run(() => {
        this.message(frames);
      });
      if (rest !== null) await rest;
    }
  }

  private message(frames: readonly Uint8Array[]): void {
    // What had come in before the socket was closed is for a holder that may already be another's.
    if (this.closed) return;
    const { malformed } = this.shared.counters;
    if (frames.length !== 3) {
      malformed.frames += 1;
      return;
    }
    const sequence = sequenceOf(frames[1]);
    if (sequence < 0 || sequence === endOfReplay) malformed.sequence += 1;
    else this.order.received(sequence, frames[2]);
  }

  private watch(): void {
    const { events } = this.socket;
    events.on('handshake', () => {
      this.connected();
    });
    events.on('handshake:error:protocol', () => {
      this.why = 'what listens there does not speak ZMQ';
    });
    events.on('disconnect', () => {
      this.disconnected();
    });
  }

  private connected(): void {
    if (this.closed) return;
    this.cancelGiveUp();
    this.connection = 'up';
    this.why = '';
    this.order.connected();
    this.keep(this.drain());
  }

  private disconnected(): void {
    if (this.closed || this.connection !== 'up') return;
    this.shared.counters.disconnects += 1;
    this.order.disconnected();
    this.awaitConnection();
  }

  private awaitConnection(): void {
    this.connection = 'connecting';
    const seconds = this.shared.limits.giveUpAfter / 1000;
    this.cancelGiveUp = this.shared.clock.after(this.shared.limits.giveUpAfter, () => {
      this.giveUp(this.why === '' ? `no connection to ${this.address.events} for ${seconds} s` : this.why);
    });
  }

  private giveUp(why: string): void {
    this.connection = 'given_up';
    this.why = why;
  }

  private keep(loop: Promise<void>): void {
    const kept = loop
      .catch((error: unknown) => {
        this.giveUp(`the stream broke: ${String(error)}`);
      })
      .finally(() => this.loops.delete(kept));
    this.loops.add(kept);
  }
}
