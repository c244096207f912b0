import { encode } from '@msgpack/msgpack';
import type { CacheListener } from './engine.ts';
import type { Sequence } from './sequence.ts';

/** An event as it goes over the wire; the order of keys is vLLM's. */
type KvEvent = Readonly<Record<string, unknown>>;

/** Takes each finished batch: the msgpack payload of the third frame. */
export type BatchSink = (payload: Uint8Array) => void;

/**
 * Turns what happens in the prefix cache into vLLM's KV event batches: an array `[seconds, events, data-parallel rank]`, events
 * as maps with `type` first and nulls written out, block hashes as unsigned 64-bit integers. One batch a step, none if empty.
 */
export class KvEventBatches implements CacheListener {
  private readonly sink: BatchSink;
  private readonly blockSize: number;
  /** Seconds since the epoch. */
  private readonly wallSeconds: () => number;
  private readonly rank: number;
  private events: KvEvent[] = [];

  constructor(blockSize: number, wallSeconds: () => number, sink: BatchSink, rank = 0) {
    this.rank = rank;
    this.blockSize = blockSize;
    this.wallSeconds = wallSeconds;
    this.sink = sink;
  }

  stored(sequence: Sequence, from: number, to: number): void {
    const { blockSize } = this;
    const hashes: bigint[] = [];
    const extraKeys: (readonly string[] | null)[] = [];
    for (let block = from; block < to; block++) {
      hashes.push(hashOf(sequence.hashHigh(block), sequence.hashLow(block)));
      extraKeys.push(extraKeysOf(sequence, block));
    }
    this.events.push({
      type: 'BlockStored',
      block_hashes: hashes,
      parent_block_hash: from === 0 ? null : hashOf(sequence.hashHigh(from - 1), sequence.hashLow(from - 1)),
      token_ids: Array.from(sequence.tokens.subarray(from * blockSize, to * blockSize)),
      block_size: blockSize,
      lora_id: sequence.adapter?.id ?? null,
      medium: 'GPU',
      lora_name: sequence.adapter?.name ?? null,
      extra_keys: extraKeys,
      group_idx: 0,
      kv_cache_spec_kind: 'full_attention',
    });
  }

  removed(high: number, low: number): void {
    this.events.push({ type: 'BlockRemoved', block_hashes: [hashOf(high, low)], medium: 'GPU', group_idx: 0 });
  }

  cleared(): void {
    this.events.push({ type: 'AllBlocksCleared' });
  }

  stepEnded(): void {
    if (this.events.length === 0) return;
    // Integers that fit are written short, as vLLM's encoder does; only hashes are BigInts, always eight bytes wide.
    this.sink(encode([this.wallSeconds(), this.events, this.rank], { useBigInt64: true }));
    this.events = [];
  }
}

function hashOf(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

function extraKeysOf(sequence: Sequence, block: number): readonly string[] | null {
  const keys: string[] = [];
  if (sequence.adapter !== null) keys.push(sequence.adapter.name);
  if (block === 0 && sequence.salt !== '') keys.push(sequence.salt);
  return keys.length > 0 ? keys : null;
}
