import type { Clock } from '../router/clock.ts';

/** Something with a deadline; Infinity while it has none. */
export interface Timed {
  /** Milliseconds of the clock. */
  deadline: number;
  /** Called once the deadline has passed; it may set a new one. */
  timeOut(now: number): void;
}

/** Milliseconds between looks: how late a time-out may come. */
const resolution = 50;

/**
 * One timer for all requests' time-outs: a request sets a number instead of arming timers, and a chunk of a stream
 * costs one assignment.
 */
export class Deadlines {
  /** The clock's time at the last look: good enough for moving a deadline on. */
  coarseNow: number;
  private readonly clock: Clock;
  private readonly active = new Set<Timed>();
  private cancel: (() => void) | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
    this.coarseNow = clock.now();
  }

  add(timed: Timed): void {
    if (this.active.size === 0) {
      this.coarseNow = this.clock.now();
      this.cancel ??= this.clock.after(resolution, this.look);
    }
    this.active.add(timed);
  }

  delete(timed: Timed): void {
    this.active.delete(timed);
  }

  get size(): number {
    return this.active.size;
  }

  private readonly look = (): void => {
    this.cancel = null;
    const now = this.clock.now();
    this.coarseNow = now;
    for (const timed of this.active) if (timed.deadline <= now) timed.timeOut(now);
    // Something that came in while others were called may have set the timer already.
    if (this.active.size > 0) this.cancel ??= this.clock.after(resolution, this.look);
  };
}
