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
  /** Nobody has listened there since the last good probe: the process may be another one now. */
  private gone = false;

  get usable(): boolean {
    return this.state !== 'unhealthy';
  }

  /** Whether a probe has ever succeeded. */
  get proven(): boolean {
    return this.state === 'healthy';
  }

  /** Whether the process behind the address may have changed since the last good probe. */
  get doubtful(): boolean {
    return this.gone;
  }

  /** `absent`: nobody listened. `threshold`: failures in a row that make it unhealthy. */
  failed(absent: boolean, threshold: number): Verdict {
    this.failures += 1;
    this.successes = 0;
    if (absent) this.gone = true;
    if (this.state === 'unhealthy') return 'same';
    if (this.state === 'healthy' && this.failures < threshold) return 'same';
    this.state = 'unhealthy';
    return 'down';
  }

  /** `threshold`: successes in a row that bring an unhealthy endpoint back. */
  succeeded(threshold: number): Verdict {
    this.failures = 0;
    this.successes += 1;
    if (this.state === 'unhealthy' && this.successes < threshold) return 'same';
    this.gone = false;
    if (this.state === 'healthy') return 'same';
    this.state = 'healthy';
    return 'up';
  }
}
