import type { ProbeFault } from './probe.ts';

/** What a probe changed. */
export type Verdict = 'same' | 'up' | 'down';

/**
 * The health of one endpoint by its probes. Unknown until the first, and good to use until one has failed, so that a
 * router that has just started serves at once; an unknown endpoint whose first probe fails is out at once.
 */
export class ActiveHealth {
  private state: 'unknown' | 'healthy' | 'unhealthy' = 'unknown';
  private failures = 0;
  private successes = 0;
  private absent = false;
  private doubted = false;

  /** Whether requests may be sent there. */
  get usable(): boolean {
    return this.state !== 'unhealthy';
  }

  /** Whether nobody could be reached there since the last good probe: the process may be another one now. */
  get wasAbsent(): boolean {
    return this.absent;
  }

  /** Whether something has spoken against it since the last good probe. */
  get inDoubt(): boolean {
    return this.failures > 0 || this.state === 'unhealthy' || this.absent || this.doubted;
  }

  /** Something other than a probe speaks against it. */
  doubt(): void {
    this.doubted = true;
  }

  /** `threshold`: failures in a row that make it unhealthy. */
  failed(fault: ProbeFault, threshold: number): Verdict {
    this.failures += 1;
    this.successes = 0;
    const down = this.state === 'unknown' || (this.state === 'healthy' && this.failures >= threshold);
    if (down) this.state = 'unhealthy';
    // One broken connection may be an idle one that the engine closed; where nobody listens, the process is gone.
    if (fault === 'refused' || (fault === 'reset' && this.state === 'unhealthy')) this.absent = true;
    return down ? 'down' : 'same';
  }

  /** `threshold`: successes in a row that bring an unhealthy endpoint back. */
  succeeded(threshold: number): Verdict {
    this.failures = 0;
    this.doubted = false;
    this.successes += 1;
    if (this.state === 'unhealthy' && this.successes < threshold) return 'same';
    this.absent = false;
    if (this.state === 'healthy') return 'same';
    this.state = 'healthy';
    return 'up';
  }
}
