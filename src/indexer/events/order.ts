import type { KVEventCounters } from './counters.ts';
import type { StreamLimits } from './limits.ts';

/** What the order of a stream leads to; the stream carries it out. */
export interface OrderActions {
  /** Takes in a batch; false when it could not be understood, so that the holder's entries are no longer true. */
  apply(payload: Uint8Array): boolean;
  /** Drops the holder's entries. */
  clear(): void;
  /** Whether there is an endpoint to ask for replays. */
  readonly hasReplay: boolean;
  /** Whether a replay may be asked for now. */
  canReplay(): boolean;
  /** Asks for all batches from this number on; another one under way is given up. */
  replay(from: number): void;
  cancelReplay(): void;
}

interface Numbered {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** Bytes at a batch's start that hold its time: they tell an engine from its successor. */
const stampBytes = 16;
/** A replay is ahead of the subscription by what lies in queues. */
const toldBeforeMost = 1_000;

/**
 * Puts one rank's batches in order, without I/O. Numbers on the subscription only grow, so one that does not means a new
 * engine. A jump is filled by a replay from the last batch taken: its answer starts with that very batch while the engine is
 * the same and still has it. What comes meanwhile waits. Where nothing fills the jump, the holder's entries are dropped and
 * grow again from what comes.
 */
export class StreamOrder {
  private readonly actions: OrderActions;
  private readonly counters: KVEventCounters;
  private readonly limits: StreamLimits;
  /** `away`: without a connection. `draining`: a replay is over, and what has waited is taken in piece by piece. */
  private state: 'live' | 'away' | 'replaying' | 'draining' = 'live';
  /** Whether a batch has been taken since the holder was empty; `next` is then the number after it. */
  private known = false;
  private next = 0;
  /** The last number on the subscription itself. */
  private lastSeen = -1;
  /** Batches on the subscription, one after the other, that a replay had told already. */
  private toldBefore = 0;
  private readonly stamp = new Uint8Array(stampBytes);
  private pending: Numbered[] = [];
  private pendingBytes = 0;
  private drained = 0;
  /** Whether the replay under way has brought nothing yet. */
  private replayUntouched = false;
  private replayFrom = 0;
  /** Whether that replay goes on from the last batch taken; otherwise it tells all anew. */
  private resuming = false;
  /** Whether the connection is new, and nothing has shown yet that the engine is still the same. */
  private uncertain = false;
  /** Whether a replay that failed has left something untold. */
  private incomplete = false;

  constructor(actions: OrderActions, counters: KVEventCounters, limits: StreamLimits) {
    this.actions = actions;
    this.counters = counters;
    this.limits = limits;
  }

  get replaying(): boolean {
    return this.state === 'replaying';
  }

  /**
   * The connection is lost: far more often because the engine has gone than for another reason. Where a replay can tell, the
   * entries stay until it does, and what comes waits; otherwise they are dropped.
   */
  disconnected(): void {
    if (this.state === 'replaying') this.actions.cancelReplay();
    // What has waited is lost with its replay; the next one tells it again if it is still true.
    this.forgetPending();
    this.uncertain = this.known;
    this.state = this.actions.hasReplay ? 'away' : 'live';
    if (this.known && !this.actions.hasReplay) this.drop();
  }

  /** The connection stands; batches may have come over it before this is heard. What was published before is replayed. */
  connected(): void {
    if (this.state === 'replaying' || this.state === 'draining') return;
    if (this.actions.canReplay()) this.resume();
    else if (this.state === 'away') {
      this.settleUncertainty();
      this.state = 'draining';
    }
  }

  /** Tries again what an earlier replay has failed to tell, if anything. */
  retry(): void {
    if (this.incomplete && this.state === 'live' && this.actions.canReplay()) this.startReplay(0, false);
  }

  /** A batch from the subscription. */
  received(sequence: number, payload: Uint8Array): void {
    if (sequence <= this.lastSeen) this.restarted();
    this.lastSeen = sequence;
    if (this.state === 'live') this.arrived(sequence, payload);
    else this.wait(sequence, payload);
  }

  /** A batch from a replay. */
  replayed(sequence: number, payload: Uint8Array): void {
    if (this.state !== 'replaying') return;
    if (this.replayUntouched) {
      this.replayUntouched = false;
      if (this.known && !this.continues(sequence, payload)) return;
    }
    // A replay that is sent faster than it is taken loses batches too; the next one starts where this one broke.
    if (this.known && sequence > this.next && this.replayFrom < this.next - 1) this.resume();
    else this.takeOrDrop(sequence, payload);
  }

  /** All of the replay has come. */
  replayEnded(): void {
    if (this.state !== 'replaying') return;
    if (this.replayUntouched && this.known && this.resuming) {
      // Not even the last batch taken: another engine, or one that keeps nothing.
      this.succeeded();
      return;
    }
    if (!this.resuming) this.incomplete = false;
    this.state = 'draining';
  }

  /** The replay has ended before its time. */
  replayFailed(): void {
    if (this.state !== 'replaying') return;
    this.settleUncertainty();
    this.incomplete ||= !this.known || (this.pending.length > 0 && this.pending[0].sequence > this.next);
    this.state = 'draining';
  }

  /** Takes in one batch of those that have waited; false when there is none left. */
  drainOne(): boolean {
    if (this.state !== 'draining') return false;
    if (this.drained < this.pending.length) {
      const { sequence, payload } = this.pending[this.drained++];
      this.takeOrDrop(sequence, payload);
      return true;
    }
    this.forgetPending();
    this.state = 'live';
    return false;
  }

  private arrived(sequence: number, payload: Uint8Array): void {
    if (this.known && sequence < this.next && this.isAhead()) return;
    if (sequence === (this.known ? this.next : 0)) {
      this.take(sequence, payload);
      return;
    }
    if (this.known) this.counters.gaps += 1;
    if (this.actions.canReplay()) {
      this.resume();
      this.wait(sequence, payload);
    } else this.takeOrDrop(sequence, payload);
  }

  private settleUncertainty(): void {
    if (!this.uncertain) return;
    this.lastSeen = this.pending.at(-1)?.sequence ?? -1;
    this.incomplete = true;
    this.drop();
  }

  /** Whether a replay may have told already what comes now; one that has told of a far future has lied. */
  private isAhead(): boolean {
    this.toldBefore += 1;
    if (this.toldBefore <= toldBeforeMost) return true;
    this.drop();
    return false;
  }

  /** Whether a replay's first batch is to be taken; what it proves untrue is dropped. */
  private continues(sequence: number, payload: Uint8Array): boolean {
    if (!this.resuming) this.forget();
    else if (sequence >= this.next) this.drop();
    else if (!this.isLast(sequence, payload)) {
      this.succeeded();
      return false;
    }
    this.uncertain = false;
    return true;
  }

  /** A replay shows another engine in this one's place. */
  private succeeded(): void {
    this.counters.restarts += 1;
    this.lastSeen = this.pending.at(-1)?.sequence ?? -1;
    this.forget();
    this.startReplay(0, false);
  }

  private isLast(sequence: number, payload: Uint8Array): boolean {
    if (sequence !== this.next - 1) return false;
    for (let i = 0; i < stampBytes; i++) if (this.stamp[i] !== byteOf(payload, i)) return false;
    return true;
  }

  private restarted(): void {
    this.counters.restarts += 1;
    if (this.state === 'replaying') this.actions.cancelReplay();
    this.forget();
    this.forgetPending();
    this.state = 'live';
  }

  private wait(sequence: number, payload: Uint8Array): void {
    this.pending.push({ sequence, payload });
    this.pendingBytes += payload.length;
    const { pendingMessages, pendingBytes } = this.limits;
    if (this.pending.length <= pendingMessages && this.pendingBytes <= pendingBytes) return;
    this.actions.cancelReplay();
    this.incomplete = true;
    this.drop();
    this.forgetPending();
    this.state = 'live';
    this.take(sequence, payload);
  }

  private resume(): void {
    this.startReplay(this.known ? this.next - 1 : 0, this.known);
  }

  private startReplay(from: number, resuming: boolean): void {
    this.state = 'replaying';
    this.replayFrom = from;
    this.resuming = resuming;
    this.replayUntouched = true;
    this.actions.replay(from);
  }

  private takeOrDrop(sequence: number, payload: Uint8Array): void {
    if (this.known && sequence < this.next) return;
    if (this.known && sequence > this.next) this.drop();
    this.take(sequence, payload);
  }

  private take(sequence: number, payload: Uint8Array): void {
    if (!this.actions.apply(payload)) this.drop();
    this.known = true;
    this.toldBefore = 0;
    this.next = sequence + 1;
    for (let i = 0; i < stampBytes; i++) this.stamp[i] = byteOf(payload, i);
  }

  private drop(): void {
    this.counters.dropped += 1;
    this.forget();
  }

  private forget(): void {
    this.actions.clear();
    this.uncertain = false;
    this.known = false;
    this.next = 0;
  }

  private forgetPending(): void {
    this.pending = [];
    this.pendingBytes = 0;
    this.drained = 0;
  }
}

function byteOf(payload: Uint8Array, place: number): number {
  return place < payload.length ? payload[place] : 0;
}
