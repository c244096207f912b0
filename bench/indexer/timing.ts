export const rounds = 11;

/** Microseconds a call: the median of the rounds, and the best one, which other processes have disturbed least. */
export interface Time {
  readonly median: number;
  readonly best: number;
}

/**
 * The thread's own processor time, in microseconds, that the call takes: on a busy machine the clock on the wall counts
 * what other processes do. The kernel updates it with its ticks, so that only calls of many milliseconds are measured well.
 */
export function ownTime(call: () => void): number {
  const before = process.threadCpuUsage();
  call();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

/** `calls`: so many that a round takes some 100 ms. */
export function time(calls: number, call: (i: number) => void): Time {
  const found = Array.from({ length: rounds }, () => {
    const took = ownTime(() => {
      for (let i = 0; i < calls; i++) call(i);
    });
    return took / calls;
  });
  found.sort((a, b) => a - b);
  return { median: found[rounds >> 1], best: found[0] };
}

/**
 * How long each of a row of calls took, in milliseconds, at its best over several equal rows: what a call takes every
 * time is its own, what it takes once is the work of other processes on the core.
 */
export class Pauses {
  private readonly best: number[] = [];
  private at = 0;

  /** Starts the row once more. */
  again(): void {
    this.at = 0;
  }

  run(call: () => void): void {
    const start = performance.now();
    call();
    const took = performance.now() - start;
    this.best[this.at] = Math.min(took, this.best[this.at] ?? Infinity);
    this.at += 1;
  }

  get calls(): number {
    return this.best.length;
  }

  get longest(): number {
    return this.best.reduce((longest, took) => Math.max(longest, took), 0);
  }
}
