import type { Endpoint } from './endpoint.ts';

/**
 * The endpoints a decision chooses among: scratch memory that is filled anew for each decision.
 * Only the first `length` elements of each array mean anything.
 */
export class Candidates {
  length = 0;
  endpoints: Endpoint[] = [];
  slots = new Int32Array(64);
  /** Prompt tokens that the endpoint has in its KV cache; 0 where the profile does not ask for hits. */
  cachedTokens = new Float64Array(64);
  /** Length of the prompt in tokens. */
  promptTokens = 0;

  clear(): void {
    this.length = 0;
  }

  push(endpoint: Endpoint): void {
    if (this.length === this.slots.length) this.grow();
    this.endpoints[this.length] = endpoint;
    this.slots[this.length] = endpoint.slot;
    this.cachedTokens[this.length] = 0;
    this.length += 1;
  }

  /** Puts a candidate in the place of an earlier one; for filling before cached tokens are known. */
  move(from: number, to: number): void {
    this.endpoints[to] = this.endpoints[from];
    this.slots[to] = this.slots[from];
  }

  private grow(): void {
    const slots = new Int32Array(this.slots.length * 2);
    slots.set(this.slots);
    this.slots = slots;
    const cached = new Float64Array(slots.length);
    cached.set(this.cachedTokens);
    this.cachedTokens = cached;
  }
}
