import type { Holder, KVEventSink, StoredBlocks } from '../kv-events.ts';

/** Blocks as plain values, copied while the decoder still holds them. */
export interface Recorded {
  readonly hashes: readonly string[];
  readonly parent: string | null;
  readonly tokens: readonly number[];
  readonly blockSize: number;
  readonly lora: string;
  readonly salt: string;
  readonly extras: readonly string[] | null;
  readonly tier: number;
}

/** Notes every call, one line or object each, in order; and keeps the set of hashes that each holder has. */
export class Recorder implements KVEventSink {
  readonly stores: Recorded[] = [];
  readonly calls: string[] = [];
  readonly held = new Map<Holder, Set<string>>();

  stored(holder: Holder, blocks: StoredBlocks): void {
    const hashes = Array.from({ length: blocks.count }, (_, i) =>
      hashText(blocks.hashes[2 * i], blocks.hashes[2 * i + 1]),
    );
    this.calls.push(`${holder} stored ${hashes.join()}`);
    for (const hash of hashes) this.of(holder).add(hash);
    this.stores.push({
      hashes,
      parent: blocks.hasParent ? hashText(blocks.parentLow, blocks.parentHigh) : null,
      tokens: Array.from(blocks.tokens.subarray(0, blocks.count * blocks.blockSize)),
      blockSize: blocks.blockSize,
      lora: blocks.lora,
      salt: blocks.salt,
      extras: blocks.extras === null ? null : [...blocks.extras],
      tier: blocks.tier,
    });
  }

  removed(holder: Holder, low: number, high: number, tier: number): void {
    this.calls.push(`${holder} removed ${hashText(low, high)} ${tier}`);
    this.of(holder).delete(hashText(low, high));
  }

  cleared(holder: Holder): void {
    this.calls.push(`${holder} cleared`);
    this.of(holder).clear();
  }

  /** Hashes of the blocks that a holder has. */
  of(holder: Holder): Set<string> {
    const known = this.held.get(holder) ?? new Set();
    this.held.set(holder, known);
    return known;
  }
}

export function hashText(low: number, high: number): string {
  return ((BigInt(high) << 32n) | BigInt(low)).toString();
}
