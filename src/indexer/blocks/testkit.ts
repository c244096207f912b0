import { Tier, type StoredBlocks } from '../kv-events.ts';
import { BlockIndex, type BlockIndexOptions } from './block-index.ts';
import { TokenKeys } from './token-keys.ts';

export const secret = 77;
export const blockSize = 4;

/** Engines hash in a way of their own. */
const engineKeys = new TokenKeys(4711);
const promptKeys = new TokenKeys(secret);

export interface Told {
  /** The first block told of; those before it are its ancestors. */
  readonly from?: number;
  readonly blockSize?: number;
  readonly lora?: string;
  readonly salt?: string;
  readonly tier?: Tier;
  readonly extras?: readonly string[];
}

/** The tokens of a prompt whose blocks are told apart by a number each. */
export function tokensOf(blocks: readonly number[], size = blockSize): Uint32Array {
  return Uint32Array.from({ length: blocks.length * size }, (_, i) => blocks[Math.floor(i / size)] * 100 + (i % size));
}

/** The engine's hashes of the blocks. */
export function hashesOf(blocks: readonly number[], told: Told = {}): Uint32Array {
  const size = told.blockSize ?? blockSize;
  const scope = { blockSize: size, lora: told.lora ?? '', salt: (told.salt ?? '') + (told.extras?.join() ?? '') };
  const count = engineKeys.compute(tokensOf(blocks, size), blocks.length * size, scope);
  return engineKeys.keys.slice(0, 2 * count);
}

/** The event of an engine that has stored a prompt's blocks from `from` on. */
export function storedOf(blocks: readonly number[], told: Told = {}): StoredBlocks {
  const { from = 0, lora = '', salt = '', tier = Tier.gpu, extras = null } = told;
  const size = told.blockSize ?? blockSize;
  const hashes = hashesOf(blocks, told);
  return {
    count: blocks.length - from,
    hashes: hashes.slice(2 * from),
    hasParent: from > 0,
    parentLow: from > 0 ? hashes[2 * from - 2] : 0,
    parentHigh: from > 0 ? hashes[2 * from - 1] : 0,
    tokens: tokensOf(blocks, size).slice(from * size),
    blockSize: size,
    lora,
    salt,
    extras,
    tier,
  };
}

/** A prompt's keys, as a router makes them. */
export function keysOf(blocks: readonly number[], told: Told = {}): Uint32Array {
  const size = told.blockSize ?? blockSize;
  const scope = { blockSize: size, lora: told.lora ?? '', salt: told.salt ?? '' };
  const count = promptKeys.compute(tokensOf(blocks, size), blocks.length * size, scope);
  return promptKeys.keys.slice(0, 2 * count);
}

/** An index that can be asked in plain words. */
export class TestIndex extends BlockIndex {
  /** A holder, which there must be. */
  opened(): number {
    const holder = this.open();
    if (holder === null) throw new Error('no holder is left');
    return holder;
  }

  /** [blocks, of these in CPU memory, on disk] that the holder has of the prompt. */
  found(holder: number, blocks: readonly number[], told: Told = {}): [number, number, number] {
    const match = this.match(keysOf(blocks, told), blocks.length);
    return [match.blocks[holder], match.cpu[holder], match.disk[holder]];
  }

  /** Blocks from the first on that the holder has of the prompt. */
  has(holder: number, blocks: readonly number[], told: Told = {}): number {
    return this.found(holder, blocks, told)[0];
  }

  /** The engine has dropped the last of these blocks. */
  drop(holder: number, blocks: readonly number[], told: Told = {}): void {
    const [low, high] = hashesOf(blocks, told).slice(-2);
    this.removed(holder, low, high, told.tier ?? Tier.gpu);
  }

  routed(holder: number, blocks: readonly number[]): void {
    this.expect(holder, keysOf(blocks), blocks.length);
  }
}

/** A small index and the time it goes by, in milliseconds. */
export function testIndex(options: Partial<BlockIndexOptions> = {}): { index: TestIndex; clock: { time: number } } {
  const clock = { time: 1 };
  const bounds = { maxBlocks: 4096, maxPlacements: 8192, maxHolders: 16, maxExpected: 256, ...options.bounds };
  const index = new TestIndex({ secret, clock: { now: () => clock.time }, expectedFor: 1000, ...options, bounds });
  return { index, clock };
}
