import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { LeaseFailed, LeaseStore, type LeaseOptions } from './lease-store.ts';
import { givenBack, heldBy, type Lease } from './lease.ts';

/** Milliseconds. */
export interface LeaseTiming {
  /** Without a sign of life for so long the leader counts as dead; whole seconds. */
  readonly duration: number;
  /** A leader that could not renew for so long stops leading; well below `duration`. */
  readonly renewDeadline: number;
  /** Between two tries, of the leader and of those who wait. */
  readonly retryPeriod: number;
}

/**
 * Shorter than client-go's 15, 10 and 2 seconds: a death is seen at most a retry period and a duration later, and
 * that must stay below 15 seconds.
 */
export const defaultLeaseTiming: LeaseTiming = { duration: 11_000, renewDeadline: 8_000, retryPeriod: 2_000 };

export interface LeaderElectionOptions extends LeaseOptions {
  /** Of this replica; no two that run at the same time have the same. */
  readonly identity: string;
  onGained(): void;
  /** Called before anybody else can lead, as long as this process is not stopped in its tracks. */
  onLost(): void;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly timing?: LeaseTiming;
  /** The time of day, only ever written down. */
  readonly date?: () => Date;
}

/**
 * Elects one of many replicas by a Lease. Nobody's clock is compared with another's: a leader is dead when its Lease
 * has not changed for its duration by the clock of whoever looks.
 */
export class LeaderElection {
  private readonly options: LeaderElectionOptions;
  private readonly timing: LeaseTiming;
  private readonly store: LeaseStore;
  private readonly date: () => Date;
  private seen: Lease | null = null;
  private seenAt = 0;
  private isLeading = false;
  private ended = false;
  /** The try under way. */
  private trying: Promise<void> = Promise.resolve();
  private lastError = '';
  private cancelTry: () => void = () => undefined;
  private cancelDeadline: () => void = () => undefined;

  constructor(options: LeaderElectionOptions) {
    this.options = options;
    this.timing = options.timing ?? defaultLeaseTiming;
    this.date = options.date ?? (() => new Date());
    // Half the deadline: one call that hangs leaves time for another.
    this.store = new LeaseStore(options, this.timing.renewDeadline / 2);
  }

  get leading(): boolean {
    return this.isLeading;
  }

  /** Identity of the leader as last seen; empty for none. */
  get holder(): string {
    return this.seen?.holder ?? '';
  }

  start(): void {
    this.tryNow();
  }

  /**
   * Stops leading and gives the Lease back, so that another takes it within a retry period. Never rejects: what cannot
   * be given back runs out by itself.
   */
  async release(): Promise<void> {
    const { identity } = this.options;
    this.close();
    // A try under way may still take the Lease.
    await this.trying;
    if (this.holder !== identity) return;
    try {
      const held = await this.store.read();
      if (held?.holder === identity) await this.store.replace(held, givenBack(held, this.date()));
    } catch (error) {
      this.options.log.warn('cannot give the lease back, it will run out', { error: errorText(error) });
    }
  }

  /** Stops leading without giving the Lease back, as a crash would. */
  close(): void {
    this.ended = true;
    this.cancelTry();
    this.lose();
  }

  private tryNow(): void {
    this.trying = this.attempt();
  }

  private async attempt(): Promise<void> {
    let retryAfter = 0;
    const { clock } = this.options;
    const startedAt = clock.now();
    try {
      await this.acquireOrRenew(startedAt);
      this.lastError = '';
    } catch (error) {
      if (error instanceof LeaseFailed) retryAfter = error.retryAfter;
      this.say(error);
    }
    if (!this.ended) this.cancelTry = clock.after(this.wait(startedAt, retryAfter), () => this.tryNow());
  }

  /**
   * Counted from the start of the try, so that a call that hung leaves the leader time for another; a fifth by chance,
   * so that those who wait do not all come at once, and exactly when a dead leader's time is over. A server that wants
   * to be left alone is, by all but the leader.
   */
  private wait(startedAt: number, retryAfter: number): number {
    const { retryPeriod, renewDeadline } = this.timing;
    const { clock, random } = this.options;
    const period = retryPeriod * (0.9 + random() / 5);
    const wait = Math.max(period - (clock.now() - startedAt), period / 4);
    if (this.isLeading) return wait;
    const runsOutIn = this.seen === null ? 0 : this.runsOutAt(this.seen) - clock.now();
    return Math.max(runsOutIn > 0 ? Math.min(wait, runsOutIn) : wait, Math.min(retryAfter, renewDeadline));
  }

  private async acquireOrRenew(startedAt: number): Promise<void> {
    const { identity } = this.options;
    // The leader knows what the Lease is like; only when it has changed all the same does it look again.
    if (this.isLeading && this.seen !== null && (await this.renewSeen(this.seen, startedAt))) return;
    const lease = await this.store.read();
    if (lease === null) {
      this.take(await this.store.create(heldBy(null, identity, this.timing.duration, this.date())), startedAt);
      return;
    }
    this.observe(lease);
    if (this.mayTake(lease)) {
      this.take(await this.store.replace(lease, heldBy(lease, identity, this.timing.duration, this.date())), startedAt);
    } else this.lose();
  }

  private async renewSeen(seen: Lease, startedAt: number): Promise<boolean> {
    try {
      const spec = heldBy(seen, this.options.identity, this.timing.duration, this.date());
      this.take(await this.store.replace(seen, spec), startedAt);
      return true;
    } catch (error) {
      if (error instanceof LeaseFailed && (error.status === 409 || error.status === 404)) return false;
      throw error;
    }
  }

  private mayTake(lease: Lease): boolean {
    const { holder } = lease;
    return holder === '' || holder === this.options.identity || this.runsOutAt(lease) <= this.options.clock.now();
  }

  private runsOutAt(lease: Lease): number {
    return lease.holder === '' ? this.seenAt : this.seenAt + (lease.duration ?? this.timing.duration);
  }

  private observe(lease: Lease): void {
    if (this.seen?.record !== lease.record) this.seenAt = this.options.clock.now();
    this.seen = lease;
  }

  /** The Lease is ours as of `startedAt`, before the write: others may have seen it from then on. */
  private take(lease: Lease, startedAt: number): void {
    const { clock } = this.options;
    this.observe(lease);
    const left = startedAt + this.timing.renewDeadline - clock.now();
    // An answer that comes after the deadline says nothing about now.
    if (this.ended || left <= 0) return;
    this.cancelDeadline();
    this.cancelDeadline = clock.after(left, () => this.lose());
    if (this.isLeading) return;
    this.isLeading = true;
    this.options.onGained();
  }

  private lose(): void {
    this.cancelDeadline();
    if (!this.isLeading) return;
    this.isLeading = false;
    this.options.onLost();
  }

  /** A fault that lasts is told once. Losing the race for the Lease is none. */
  private say(error: unknown): void {
    const text = errorText(error);
    const lostRace = error instanceof LeaseFailed && error.status === 409;
    if (!lostRace && text !== this.lastError) this.options.log.warn('the lease cannot be kept', { error: text });
    this.lastError = text;
  }
}
