import { encode } from '@msgpack/msgpack';
import type { StoredBlocks, Tier } from '../../src/indexer/kv-events.ts';

export const blockSize = 16;

/** Token ids of a vocabulary of 150,000. */
export function tokens(count: number, random: () => number): Uint32Array {
  return Uint32Array.from({ length: count }, () => random() * 150_000);
}

/** An event as a decoder gives it. */
export class Event implements StoredBlocks {
  readonly count: number;
  readonly hashes: Uint32Array;
  hasParent = false;
  parentLow = 0;
  parentHigh = 0;
  readonly tokens: Uint32Array;
  readonly blockSize = blockSize;
  readonly lora = '';
  readonly salt = '';
  readonly extras = null;
  readonly tier: Tier = 0;

  constructor(count: number, random: () => number) {
    this.count = count;
    this.hashes = new Uint32Array(2 * count);
    this.tokens = tokens(count * blockSize, random);
  }

  /** Becomes new blocks under new hashes, behind those of an event (this one's own too) or as a prompt's first ones. */
  follow(parent: Event | null, random: () => number): void {
    const { hashes, tokens: ids } = this;
    this.hasParent = parent !== null;
    if (parent !== null) [this.parentLow, this.parentHigh] = parent.hashes.subarray(-2);
    for (let i = 0; i < hashes.length; i++) hashes[i] = random() * 2 ** 32;
    for (let at = 0; at < ids.length; at += blockSize) {
      ids[at] = random() * 150_000;
      ids[at + 1] = random() * 150_000;
    }
  }
}

/** The event as vLLM 0.32 sends it. */
export function payloadOf({ count, hashes, hasParent, parentLow, parentHigh, tokens: ids }: Event): Uint8Array {
  const hash = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
  const event = {
    type: 'BlockStored',
    block_hashes: Array.from({ length: count }, (_, i) => hash(hashes[2 * i], hashes[2 * i + 1])),
    parent_block_hash: hasParent ? hash(parentLow, parentHigh) : null,
    token_ids: [...ids],
    block_size: blockSize,
    lora_id: null,
    medium: 'GPU',
    lora_name: null,
    extra_keys: Array<null>(count).fill(null),
    group_idx: 0,
    kv_cache_spec_kind: 'full_attention',
  };
  return encode([1_795_246_985.25, [event], 0], { useBigInt64: true });
}

/** A prompt's blocks as one holder's event. `name`: tells the hashes of prompts apart; equal for all holders. */
export function promptEvent(ids: Uint32Array, name: number, blocks: number): StoredBlocks {
  const hashes = Uint32Array.from({ length: 2 * blocks }, (_, i) => (i % 2 === 0 ? i : name));
  return {
    count: blocks,
    hashes,
    hasParent: false,
    parentLow: 0,
    parentHigh: 0,
    tokens: ids.subarray(0, blocks * blockSize),
    blockSize,
    lora: '',
    salt: '',
    extras: null,
    tier: 0,
  };
}
