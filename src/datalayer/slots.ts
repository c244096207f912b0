import type { Endpoint, EndpointSeed } from '../router/endpoint.ts';
import { Flag, type EndpointStates } from '../router/states.ts';

/** More endpoints than EndpointStates has rows. */
export class SlotsExhaustedError extends Error {
  override readonly name = 'SlotsExhaustedError';
  readonly capacity: number;

  constructor(capacity: number) {
    super(
      `all ${capacity} endpoint slots are in use: share the groups out among routers, by namespace or router class`,
    );
    this.capacity = capacity;
  }
}

/** An endpoint and whether its slot still has the books of an earlier life of the same endpoint. */
export interface Allocation {
  readonly endpoint: Endpoint;
  readonly resumed: boolean;
}

/**
 * Gives every endpoint (group, name and address) a slot of its own while it exists. A released slot waits until the
 * requests that run there have ended, because they write to its row; an endpoint that comes back meanwhile gets it back.
 */
export class SlotAllocator {
  private readonly states: EndpointStates;
  private readonly forget: (slot: number) => void;
  private readonly held = new Map<string, Endpoint>();
  private readonly quarantine = new Map<string, Endpoint>();
  private readonly free: number[] = [];
  private unused = 0;

  /** `forget` is told of each slot that lost its owner for good: whatever is remembered of it is void. */
  constructor(states: EndpointStates, forget: (slot: number) => void) {
    this.states = states;
    this.forget = forget;
  }

  /** Whether a new endpoint may find a slot. Where all are in use, looking for one for each endpoint left out is not cheap. */
  get hasRoom(): boolean {
    return this.free.length > 0 || this.unused < this.states.capacity || this.quarantine.size > 0;
  }

  /** The endpoint of a seed; the same object as before while the seed says the same. Throws SlotsExhaustedError. */
  take(group: string, seed: EndpointSeed): Allocation {
    const key = identity(group, seed);
    const known = this.held.get(key);
    if (known !== undefined) return { endpoint: this.keep(key, known, seed), resumed: true };
    const parted = this.quarantine.get(key);
    if (parted !== undefined) {
      this.quarantine.delete(key);
      this.states.set(parted.slot, Flag.draining, false);
      return { endpoint: this.keep(key, parted, seed), resumed: true };
    }
    const slot = this.nextSlot();
    this.states.reset(slot);
    const endpoint = makeEndpoint(group, seed, slot);
    this.held.set(key, endpoint);
    return { endpoint, resumed: false };
  }

  /** The endpoint is gone: no new requests there; its slot is used again when the running ones have ended. */
  release(endpoint: Endpoint): void {
    const key = identity(endpoint.group, endpoint);
    if (!this.held.delete(key)) return;
    this.states.set(endpoint.slot, Flag.draining, true);
    this.quarantine.set(key, endpoint);
  }

  /** Frees the slots whose last request has ended; returns whose they were. */
  sweep(): readonly Endpoint[] {
    const freed: Endpoint[] = [];
    for (const [key, endpoint] of this.quarantine) {
      if (this.states.inFlight[endpoint.slot] > 0) continue;
      this.quarantine.delete(key);
      this.forget(endpoint.slot);
      this.free.push(endpoint.slot);
      freed.push(endpoint);
    }
    return freed;
  }

  /** Endpoints that are gone but have a slot still. */
  draining(): readonly Endpoint[] {
    return [...this.quarantine.values()];
  }

  private keep(key: string, known: Endpoint, seed: EndpointSeed): Endpoint {
    const endpoint = sameLabels(known.labels, seed.labels) ? known : makeEndpoint(known.group, seed, known.slot);
    this.held.set(key, endpoint);
    return endpoint;
  }

  private nextSlot(): number {
    if (this.free.length === 0 && this.unused === this.states.capacity) this.sweep();
    // The slot that has been free longest: late reports on its former owner are over.
    const slot = this.free.shift() ?? this.unused;
    if (slot === this.states.capacity) throw new SlotsExhaustedError(slot);
    if (slot === this.unused) this.unused += 1;
    return slot;
  }
}

/** What makes an endpoint the same one: a pod that comes back elsewhere under its name is another engine. */
export function identity(group: string, seed: Pick<EndpointSeed, 'name' | 'address'>): string {
  return `${group}\n${seed.name}\n${seed.address}`;
}

function makeEndpoint(group: string, seed: EndpointSeed, slot: number): Endpoint {
  const labels = Object.freeze({ ...seed.labels });
  return Object.freeze({ id: `${group}/${seed.name}`, slot, name: seed.name, address: seed.address, group, labels });
}

function sameLabels(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
