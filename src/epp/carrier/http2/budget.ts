import type { Clock } from '../../../router/clock.ts';

/** What a peer may do at once, and so many times a second in the long run. */
export class Budget {
  private readonly clock: Clock;
  private readonly burst: number;
  private readonly perSecond: number;
  private tokens: number;
  private filledAt: number;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.clock = clock;
    this.burst = burst;
    this.perSecond = perSecond;
    this.tokens = burst;
    this.filledAt = clock.now();
  }

  /** Takes one; false when there is none. */
  take(): boolean {
    const now = this.clock.now();
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.filledAt) * this.perSecond) / 1000) - 1;
    this.filledAt = now;
    return this.tokens >= 0;
  }
}
