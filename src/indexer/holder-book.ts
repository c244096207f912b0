import type { Holder } from './kv-events.ts';

const nobody: readonly Holder[] = Object.freeze([]);

/** Which KV caches of the index are which endpoint's, by slot, and whose events arrive. */
export class HolderBook {
  private readonly holders: (readonly Holder[] | undefined)[] = [];
  private readonly live: boolean[] = [];

  /** The caches of the endpoint: one for each data-parallel rank. */
  of(slot: number): readonly Holder[] {
    return this.holders[slot] ?? nobody;
  }

  /** Whether the events of all its caches arrive, so that what the index has not is not there. */
  isLive(slot: number): boolean {
    return this.live[slot] ?? false;
  }

  set(slot: number, holders: readonly Holder[], live: boolean): void {
    this.holders[slot] = holders;
    this.live[slot] = live;
  }

  /** The slot's endpoint has gone or publishes no events. */
  drop(slot: number): void {
    this.holders[slot] = undefined;
    this.live[slot] = false;
  }
}
