import type { Clock } from '../router/clock.ts';

/** Consecutive failures that open the breaker. */
const tolerated = 5;
const firstPause = 5_000;
const longestPause = 60_000;

/**
 * Stops asking a service that keeps failing: closed until five failures in a row, then open for 5 s, then one trial
 * whose failure doubles the pause, up to a minute. Up to a fifth of a pause is added by chance, so that replicas
 * do not all try at once.
 */
export class Breaker {
  private readonly clock: Clock;
  private readonly random: () => number;
  private failures = 0;
  private pause = firstPause;
  /** Milliseconds of the clock from when on a trial is let through; 0 while closed. */
  private openUntil = 0;
  private onTrial = false;
  private era = 0;

  /** `random`: uniform in [0, 1). */
  constructor(clock: Clock, random: () => number) {
    this.clock = clock;
    this.random = random;
  }

  /** A ticket for one call, or null when none may be made now; hand it back to `succeeded` or `failed`. */
  admit(): number | null {
    if (this.openUntil === 0) return this.era;
    if (this.onTrial || this.clock.now() < this.openUntil) return null;
    this.onTrial = true;
    return this.era;
  }

  succeeded(ticket: number): void {
    if (ticket !== this.era) return;
    if (this.openUntil > 0) this.era += 1;
    this.failures = 0;
    this.pause = firstPause;
    this.openUntil = 0;
    this.onTrial = false;
  }

  /** Calls that began before the breaker last opened or closed say nothing of now: they do not count. */
  failed(ticket: number): void {
    if (ticket !== this.era) return;
    this.failures += 1;
    if (!this.onTrial && this.failures < tolerated) return;
    if (this.onTrial) this.pause = Math.min(longestPause, this.pause * 2);
    this.openUntil = this.clock.now() + this.pause * (1 + this.random() / 5);
    this.onTrial = false;
    this.era += 1;
  }
}
