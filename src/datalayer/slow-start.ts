import type { FleetContext } from './context.ts';
import { Alarm } from './schedule.ts';

/** Share of traffic that a new replica is offered at first. */
const coldest = 0.1;
/** Milliseconds until it is offered all. */
const warmUp = 10_000;
/** Milliseconds between two steps of it. */
const step = 250;
/** A replica is new beside others that have been ready for more than so many milliseconds. */
export const veteranAfter = 10_000;

/**
 * Slow start of one endpoint: an empty replica looks ideal to every scorer, and would get the whole burst before its
 * caches and compiled graphs are warm. `warmth = 0.1 + 0.9 · t / 10 s`.
 */
export class SlowStart {
  private readonly context: FleetContext;
  private readonly slot: number;
  private readonly alarm = new Alarm(() => this.warm());
  private since = 0;

  constructor(context: FleetContext, slot: number) {
    this.context = context;
    this.slot = slot;
  }

  begin(): void {
    this.since = this.context.clock.now();
    this.warm();
  }

  /** Warm at once. */
  skip(): void {
    this.stop();
    this.context.states.warmth[this.slot] = 1;
  }

  stop(): void {
    this.context.schedule.clear(this.alarm);
  }

  private warm(): void {
    const { clock, states, schedule } = this.context;
    const passed = clock.now() - this.since;
    states.warmth[this.slot] = passed >= warmUp ? 1 : coldest + (1 - coldest) * (passed / warmUp);
    if (passed < warmUp) schedule.set(this.alarm, clock.now() + step);
  }
}
