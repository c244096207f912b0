import type { Timeouts } from '../router/policy.ts';
import type { Inbound } from './inbound.ts';

/** By when the parts of an exchange must be over, in milliseconds of the clock; Infinity for what may take for ever. */
export class TimeLimits {
  /** The exchange with all its tries. */
  readonly whole: number;
  private readonly timeouts: Timeouts;
  private readonly stream: boolean;

  constructor({ policy, payload, startedAt }: Inbound) {
    const { timeouts } = policy;
    this.timeouts = timeouts;
    this.stream = payload.stream;
    const limit = earliest(timeouts.request, payload.stream ? 0 : timeouts.nonStreaming);
    this.whole = limit === 0 ? Infinity : startedAt + limit;
  }

  /** The first byte of a stream, of a try that begins now. */
  firstByte(now: number): number {
    return this.stream ? this.within(this.timeouts.firstByte, now) : this.whole;
  }

  /** The next event of a stream. */
  nextEvent(now: number): number {
    return this.within(this.timeouts.streamIdle, now);
  }

  private within(limit: number, now: number): number {
    return limit === 0 ? this.whole : Math.min(this.whole, now + limit);
  }
}

/** The shorter of two limits, where 0 is none. */
function earliest(a: number, b: number): number {
  if (a === 0) return b;
  return b === 0 ? a : Math.min(a, b);
}
