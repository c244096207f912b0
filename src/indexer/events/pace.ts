import type { Clock } from '../../router/clock.ts';

/** Milliseconds that all streams together may work before requests have their turn. */
const sliceMilliseconds = 2;

/**
 * Shares the event loop: sockets hand over what has piled up without ever going back to the loop, so a restarted engine's
 * replay would halt every request. The streams of one router share a slice a turn.
 */
export class Pace {
  private readonly clock: Clock;
  private turnStart = 0;
  private turn: Promise<void> | null = null;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Does a piece of work; null when there is time for more in this turn, else what to wait for. */
  run(work: () => void): Promise<void> | null {
    this.turn ??= this.startTurn();
    work();
    return this.clock.now() - this.turnStart < sliceMilliseconds ? null : this.turn;
  }

  private async startTurn(): Promise<void> {
    this.turnStart = this.clock.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    setImmediate(resolve);
    await promise;
    this.turn = null;
  }
}
