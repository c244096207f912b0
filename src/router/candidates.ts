import type { Endpoint } from './endpoint.ts';

/**
 * The endpoints a decision chooses among: scratch memory that is filled anew for each decision.
 * Only the first `length` elements of each array mean anything.
 */
export class Candidates {
  length = 0;
  /** How many more stand behind those: fit to be picked, but left out of this decision. */
  spared = 0;
  endpoints: Endpoint[] = [];
  slots = new Int32Array(64);
  /** Prompt tokens that the endpoint has in its KV cache; 0 where the profile does not ask for hits. */
  cachedTokens = new Float64Array(64);
  /** The model that the engine will be asked for: the backend's where it rewrites, else the request's. */
  model = '';
  /** Length of the prompt in tokens. */
  promptTokens = 0;

  clear(): void {
    this.length = 0;
    this.spared = 0;
  }

  push(endpoint: Endpoint): void {
    if (this.length === this.slots.length) this.grow();
    this.endpoints[this.length] = endpoint;
    this.slots[this.length] = endpoint.slot;
    this.cachedTokens[this.length] = 0;
    this.length += 1;
  }

  /** Changes the places of two candidates; for filling, before cached tokens are known. */
  swap(a: number, b: number): void {
    const { endpoints, slots } = this;
    const endpoint = endpoints[a];
    endpoints[a] = endpoints[b];
    endpoints[b] = endpoint;
    slots[a] = endpoints[a].slot;
    slots[b] = endpoint.slot;
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
