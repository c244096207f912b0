import type { Clock } from '../../router/clock.ts';

/** Writes when its turn has come, and says whether it did: a turn that is not used goes to the next in line. */
export type Turn = () => boolean;

/**
 * So many writes a second for everybody who shares this budget: a token bucket that holds one token, so that no
 * second ever sees more. Who asks waits in line, hence nobody is kept waiting for ever by somebody busier.
 */
export class WriteBudget {
  private readonly clock: Clock;
  private readonly gap: number;
  private readonly line: Turn[] = [];
  private freeAt = 0;
  private waiting = false;

  constructor(clock: Clock, writesPerSecond: number) {
    this.clock = clock;
    this.gap = 1000 / writesPerSecond;
  }

  /** Asks for one write; the turn comes once, never within this call. */
  ask(turn: Turn): void {
    this.line.push(turn);
    this.wait();
  }

  private wait(): void {
    if (this.waiting || this.line.length === 0) return;
    this.waiting = true;
    this.clock.after(Math.max(0, this.freeAt - this.clock.now()), this.serve);
  }

  private readonly serve = (): void => {
    // Who asks again in its turn goes to the end, and is not served by this call.
    for (let left = this.line.length; left > 0; left--) {
      if (this.line.shift()?.() !== true) continue;
      this.freeAt = this.clock.now() + this.gap;
      break;
    }
    this.waiting = false;
    this.wait();
  };
}
