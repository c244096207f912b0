import type { Clock } from './clock.ts';

/** Something with a deadline; Infinity while it has none. */
export interface Timed {
  /** Milliseconds of the clock. */
  deadline: number;
  /** Where Deadlines keeps it; -1 while it does not. */
  place: number;
  /** Called once the deadline has passed; it may set a new one. */
  timeOut(now: number): void;
}

/**
 * One timer for all time-outs of requests or of connections: a request sets a number instead of arming timers, and a
 * chunk of a stream costs one assignment.
 *
 * Its members are in an array and know their places. A Set that many short-lived objects pass through is rebuilt again
 * and again, and V8 links each of its tables to the next: once one table has grown old, the collector takes all later
 * ones, and the requests in them, for alive. That cost a third of the CPU time and 80 MB; see bench/proxy.
 */
export class Deadlines<T extends Timed = Timed> {
  /** The clock's time at the last look: good enough for moving a deadline on. */
  coarseNow: number;
  private readonly clock: Clock;
  private readonly resolution: number;
  private readonly active: T[] = [];
  private cancel: (() => void) | null = null;

  /** `resolution` is the milliseconds between looks: how late a time-out may come. */
  constructor(clock: Clock, resolution = 50) {
    this.clock = clock;
    this.resolution = resolution;
    this.coarseNow = clock.now();
  }

  add(timed: T): void {
    if (this.active.length === 0) {
      this.coarseNow = this.clock.now();
      this.cancel ??= this.clock.after(this.resolution, this.look);
    }
    if (timed.place >= 0) return;
    timed.place = this.active.push(timed) - 1;
  }

  delete(timed: T): void {
    const { place } = timed;
    if (place < 0) return;
    timed.place = -1;
    const last = this.active.pop();
    if (last === undefined || last === timed) return;
    this.active[place] = last;
    last.place = place;
  }

  get size(): number {
    return this.active.length;
  }

  /** All of them, in no order; a copy, since what is done with them may take them out. */
  all(): T[] {
    return [...this.active];
  }

  private readonly look = (): void => {
    this.cancel = null;
    const now = this.clock.now();
    this.coarseNow = now;
    // Backwards: the last one takes the place of one that is taken out, and has been looked at.
    for (let i = this.active.length - 1; i >= 0; i--) {
      if (i < this.active.length && this.active[i].deadline <= now) this.active[i].timeOut(now);
    }
    // Something that came in while others were called may have set the timer already.
    if (this.active.length > 0) this.cancel ??= this.clock.after(this.resolution, this.look);
  };
}
