import type { TokenIds } from './contract.ts';

/** Tokens of all tokenizers together, in bytes. */
export const defaultMemoryBytes = 64 * 1024 * 1024;
/** What an entry takes besides its ids: the object, its array and its place in the map. */
const entryBytes = 256;

/** A remembered stretch of a prompt: its ids follow those of `parent`. */
export interface Stretch {
  readonly low: number;
  readonly high: number;
  readonly parent: Stretch | null;
  readonly ids: TokenIds;
  /** Tokens from the prompt's beginning to the end of this stretch. */
  readonly length: number;
}

/**
 * Token ids of prompts by 64-bit keys. A growing chat is a chain of stretches, each with its own ids only. What was not
 * used for longest goes first; using a stretch uses all before it, so that a chain is never broken in its middle.
 */
export class TokenMemory {
  private readonly limit: number;
  /** In the order of use, the most recent last. */
  private readonly stretches = new Map<number, Stretch>();
  private taken = 0;

  /** `limit`: the most that may be taken, in bytes. */
  constructor(limit = defaultMemoryBytes) {
    this.limit = limit;
  }

  /** Bytes taken. */
  get bytes(): number {
    return this.taken;
  }

  get size(): number {
    return this.stretches.size;
  }

  find(low: number, high: number): Stretch | null {
    const found = this.stretches.get(slotOf(low, high));
    return found?.low === low && found.high === high ? found : null;
  }

  /** Remembers ids that follow those of `parent`; returns what was known under the key already where something was. */
  put(low: number, high: number, content: { parent: Stretch | null; ids: TokenIds }): Stretch {
    const { parent, ids } = content;
    const known = this.find(low, high);
    const stretch = known ?? { low, high, parent, ids, length: (parent?.length ?? 0) + ids.length };
    this.use(stretch);
    return stretch;
  }

  /** Marks a stretch and all before it as used. */
  use(stretch: Stretch): void {
    for (let at: Stretch | null = stretch; at !== null; at = at.parent) {
      const slot = slotOf(at.low, at.high);
      const old = this.stretches.get(slot);
      if (old !== undefined) this.drop(slot, old);
      this.stretches.set(slot, at);
      this.taken += costOf(at);
    }
    this.trim();
  }

  private trim(): void {
    for (const [slot, stretch] of this.stretches) {
      if (this.taken <= this.limit) return;
      this.drop(slot, stretch);
    }
  }

  private drop(slot: number, stretch: Stretch): void {
    this.stretches.delete(slot);
    this.taken -= costOf(stretch);
  }
}

/** All ids up to the end of a stretch, and then `more`. */
export function idsOf(stretch: Stretch, more: TokenIds): TokenIds {
  if (stretch.parent === null && more.length === 0) return stretch.ids;
  const ids = new Uint32Array(stretch.length + more.length);
  ids.set(more, stretch.length);
  for (let at: Stretch | null = stretch; at !== null; at = at.parent) ids.set(at.ids, at.length - at.ids.length);
  return ids;
}

/** 53 bits of the key, as many as a number holds. */
function slotOf(low: number, high: number): number {
  return (high & 0x1fffff) * 2 ** 32 + low;
}

function costOf(stretch: Stretch): number {
  return stretch.ids.byteLength + entryBytes;
}
