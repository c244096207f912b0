/** How long to wait before the next try. */
export interface BackoffLimits {
  /** Milliseconds. */
  readonly first: number;
  readonly longest: number;
}

/** Waits that double, a quarter more or less by chance so that many do not come back at the same time. */
export function backoffDelay({ first, longest }: BackoffLimits, failures: number, random: () => number): number {
  // 2 ** 40 milliseconds are 35 years: further doubling would only lead to Infinity.
  const delay = Math.min(longest, first * 2 ** Math.min(failures, 40));
  return Math.min(longest, delay * (0.75 + random() / 2));
}
