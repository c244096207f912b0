import type { ServerHttp2Session } from 'node:http2';
import type { Clock } from '../../router/clock.ts';

/** The error code of HTTP/2 for a peer that makes too much work. */
const enhanceYourCalm = 0xb;
/** Calls that a peer may reset unanswered at once: all that it may have open, and a margin. */
const burst = 20_000;
/** And so many a second in the long run. Clients that give up while they wait are fewer. */
const perSecond = 1_000;

/**
 * One connection, held to account for the work that it makes us throw away: a peer that opens calls only to reset them
 * (CVE-2023-44487) is cut off. Resets of answered calls are nothing of the kind; Envoy ends all its calls by one.
 */
export class Peer {
  private readonly session: ServerHttp2Session;
  private readonly clock: Clock;
  private tokens = burst;
  private filledAt: number;

  constructor(session: ServerHttp2Session, clock: Clock) {
    this.session = session;
    this.clock = clock;
    this.filledAt = clock.now();
  }

  /** The peer has reset a call that nobody had answered yet. */
  abandoned(): void {
    if (this.session.destroyed) return;
    const now = this.clock.now();
    this.tokens = Math.min(burst, this.tokens + ((now - this.filledAt) * perSecond) / 1000) - 1;
    this.filledAt = now;
    if (this.tokens < 0) this.session.destroy(new Error('a peer resets its calls too fast'), enhanceYourCalm);
  }
}
