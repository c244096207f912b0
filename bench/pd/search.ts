import { quantile } from '../../src/sim/statistics.ts';
import { simulate, type Run } from './simulation.ts';

/** What a fleet must keep to, at the 90th percentile: seconds. */
export interface Bounds {
  readonly firstToken: number;
  readonly gap: number;
}

/** How many times the guess is looked at, at most. */
const most = 10;

/** Requests a second, found to 2 %, up to which a fleet keeps to its bounds; `most` times the guess where it still does. */
export function sustainable(run: Omit<Run, 'rate'>, { firstToken, gap }: Bounds, guess: number): number {
  const holds = (rate: number): boolean => {
    const { stopped, firstTokens, gaps } = simulate({ ...run, rate, stopAbove: firstToken });
    return !stopped && quantile(firstTokens, 0.9) <= firstToken && gaps.quantile(0.9) <= gap;
  };
  let low = guess;
  let high = guess;
  if (holds(guess)) {
    do {
      low = high;
      high *= 1.6;
      if (low >= most * guess) return most * guess;
    } while (holds(high));
  } else {
    do {
      high = low;
      low /= 1.6;
    } while (low > guess / most && !holds(low));
  }
  while (high / low > 1.04) {
    const middle = Math.sqrt(low * high);
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return Math.min(most * guess, Math.sqrt(low * high));
}
