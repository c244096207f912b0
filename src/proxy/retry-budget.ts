/** Seconds that the budget looks back. */
const windowSeconds = 10;

/**
 * Keeps retries from making an outage worse: of the last ten seconds' requests at most `percent` may be retried, and
 * always `minPerSecond`.
 */
export class RetryBudget {
  private readonly requests = new Int32Array(windowSeconds);
  private readonly retries = new Int32Array(windowSeconds);
  private second = 0;

  /** Counts a request; `now` in milliseconds. */
  request(now: number): void {
    this.requests[this.turn(now)] += 1;
  }

  /** Whether one more retry fits; if so it is counted. */
  take(now: number, limits: { readonly percent: number; readonly minPerSecond: number }): boolean {
    const slot = this.turn(now);
    const allowed = Math.max((sum(this.requests) * limits.percent) / 100, limits.minPerSecond * windowSeconds);
    if (sum(this.retries) + 1 > allowed) return false;
    this.retries[slot] += 1;
    return true;
  }

  private turn(now: number): number {
    const second = Math.floor(now / 1000);
    const passed = Math.min(windowSeconds, second - this.second);
    for (let i = 1; i <= passed; i++) {
      const slot = (this.second + i) % windowSeconds;
      this.requests[slot] = 0;
      this.retries[slot] = 0;
    }
    this.second = second;
    return second % windowSeconds;
  }
}

function sum(values: Int32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
