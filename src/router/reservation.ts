import type { EndpointStates } from './states.ts';

/**
 * A request's place in the books of one endpoint, from the decision to the end of the answer.
 * `firstByte` and `release` may be called any number of times, in any order; each counts once.
 */
export class Reservation {
  readonly slot: number;
  /** Prompt tokens that the endpoint has to compute for this request. */
  readonly uncachedTokens: number;
  private readonly states: EndpointStates;
  private readonly window: number;
  private waiting = true;
  private held = true;

  constructor(states: EndpointStates, slot: number, uncachedTokens: number) {
    this.states = states;
    this.slot = slot;
    this.uncachedTokens = uncachedTokens;
    this.window = states.window[slot];
    states.inFlight[slot] += 1;
    states.ownWaiting[slot] += 1;
    states.unseenWaiting[slot] += 1;
    states.newWaiting[slot] += 1;
    states.queuedTokens[slot] += uncachedTokens;
  }

  /** The prefiller of a pair has done its part, and is known to have; nothing where one engine does all. */
  prefilled(): void {}

  /** The engine has begun to answer: its prompt is computed. */
  firstByte(): void {
    if (!this.waiting) return;
    this.waiting = false;
    const { states, slot, window } = this;
    states.ownWaiting[slot] -= 1;
    if (window >= states.seenWindow[slot]) states.unseenWaiting[slot] -= 1;
    if (window === states.window[slot]) states.newWaiting[slot] -= 1;
    // Sums of fractions drift: nobody waiting means nothing queued.
    if (states.ownWaiting[slot] === 0) states.queuedTokens[slot] = 0;
    else states.queuedTokens[slot] -= this.uncachedTokens;
  }

  /** The request has ended, whatever way it ended. */
  release(): void {
    if (!this.held) return;
    this.firstByte();
    this.held = false;
    this.states.inFlight[this.slot] -= 1;
  }
}
