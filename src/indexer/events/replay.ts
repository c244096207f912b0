import type { Dealer } from 'zeromq';
import type { Clock } from '../../router/clock.ts';
import type { KVEventCounters } from './counters.ts';
import type { StreamLimits } from './limits.ts';
import type { Pace } from './pace.ts';
import { endOfReplay, sequenceOf } from './sequence-number.ts';
import type { Turnstile } from './turnstile.ts';

/** How a replay ended: with its end mark, not at all, without one in time, or with answers that are none. */
export type ReplayEnd = 'ended' | 'cancelled' | 'timeout' | 'rubbish' | 'too_long' | 'socket';

export interface ReplayParts {
  readonly open: () => Dealer;
  readonly turnstile: Turnstile;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly limits: StreamLimits;
  readonly counters: KVEventCounters;
  readonly batch: (sequence: number, payload: Uint8Array) => void;
}

const empty = new Uint8Array(0);

/**
 * One replay: sends `(empty, first number)`, takes `(empty, topic, number, payload)`, or without topic as older engines
 * answer, up to the end mark of number −1. Bounded in time between two answers, in batches and in nonsense.
 */
export class Replay {
  private readonly parts: ReplayParts;
  private dealer: Dealer | null = null;
  private end: ReplayEnd | null = null;
  private cancelTimer: () => void = () => undefined;
  private rubbish = 0;
  private batches = 0;

  constructor(parts: ReplayParts) {
    this.parts = parts;
  }

  /** Never rejects. */
  async run(from: number): Promise<ReplayEnd> {
    const { turnstile } = this.parts;
    await turnstile.enter();
    try {
      if (this.end === null) await this.exchange(from);
    } catch {
      // libzmq's errors have one meaning here: this replay brings nothing more.
      this.end ??= 'socket';
    } finally {
      turnstile.leave();
    }
    return this.finish('socket');
  }

  cancel(): void {
    this.finish('cancelled');
  }

  private async exchange(from: number): Promise<void> {
    const { pace } = this.parts;
    this.dealer = this.parts.open();
    this.restartTimer();
    const first = new Uint8Array(8);
    new DataView(first.buffer).setBigUint64(0, BigInt(from));
    await this.dealer.send([empty, first]);
    for await (const frames of this.dealer) {
      const rest = pace.run(() => {
        this.answer(frames);
      });
      if (rest !== null) await rest;
      this.restartTimer();
    }
  }

  private answer(frames: readonly Uint8Array[]): void {
    if (this.end !== null) return;
    const count = frames.length;
    const framed = (count === 3 || count === 4) && frames[0].length === 0;
    const number = framed ? sequenceOf(frames[count - 2]) : -1;
    if (number === endOfReplay) this.finish('ended');
    else if (number < 0) this.nonsense();
    else if (this.batches >= this.parts.limits.replayBatches) this.finish('too_long');
    else {
      this.batches += 1;
      this.parts.batch(number, frames[count - 1]);
    }
  }

  private nonsense(): void {
    this.parts.counters.malformed.replay += 1;
    this.rubbish += 1;
    if (this.rubbish > this.parts.limits.replayRubbish) this.finish('rubbish');
  }

  private restartTimer(): void {
    this.cancelTimer();
    if (this.end !== null) return;
    this.cancelTimer = this.parts.clock.after(this.parts.limits.replayIdle, () => {
      this.finish('timeout');
    });
  }

  /** The first end counts. */
  private finish(end: ReplayEnd): ReplayEnd {
    this.end ??= end;
    this.cancelTimer();
    // Ends the loop that reads from it.
    if (this.dealer?.closed === false) this.dealer.close();
    return this.end;
  }
}
