import type { Clock } from '../../router/clock.ts';
import { Budget } from './http2/budget.ts';
import { ErrorCode } from './http2/protocol.ts';

/** Calls that a peer may reset unanswered at once: all that it may have open, and a margin. */
const burst = 20_000;
/** And so many a second in the long run. Clients that give up while they wait are fewer. */
const perSecond = 1_000;

/** What can be cut off. */
export interface Cuttable {
  readonly destroyed: boolean;
  destroy(fault: Error, code: number): void;
}

/**
 * One connection, held to account for the work that it makes us throw away: a peer that opens calls only to reset them
 * (CVE-2023-44487), or to have us reset them for what it says next (CVE-2025-8671), is cut off. Resets of answered calls
 * are nothing of the kind; Envoy ends all its calls by one.
 */
export class Peer {
  private readonly connection: Cuttable;
  private readonly budget: Budget;

  constructor(connection: Cuttable, clock: Clock) {
    this.connection = connection;
    this.budget = new Budget(clock, burst, perSecond);
  }

  /** A call is over that nobody had answered yet. */
  abandoned(): void {
    if (this.connection.destroyed || this.budget.take()) return;
    this.connection.destroy(new Error('a peer resets its calls too fast'), ErrorCode.enhanceYourCalm);
  }
}
