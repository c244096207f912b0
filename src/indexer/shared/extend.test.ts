import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockCache } from '../block-cache.ts';
import { HeldBlocks } from '../held/held-blocks.ts';

/** Keys of a chain named by letters: block i stands for the letters 0..i. */
function keysOf(letters: string): Uint32Array {
  const keys = new Uint32Array(2 * letters.length);
  let state = 17;
  for (let i = 0; i < letters.length; i++) {
    state = Math.imul(state ^ letters.charCodeAt(i), 0x85ebca6b) ^ i;
    keys.set([state, Math.imul(state, 0xc2b2ae35) ^ letters.length], 2 * i);
    keys[2 * i + 1] = i + 1;
  }
  return keys;
}

function cacheOf(limit: number): BlockCache {
  const blocks = new HeldBlocks(100, 1);
  return new BlockCache(blocks, blocks.lanes.of(0), limit);
}

const held = (cache: BlockCache, letters: string): boolean[] => {
  const keys = keysOf(letters);
  return [...letters].map((_, i) => cache.has(keys[2 * i], keys[2 * i + 1]));
};

describe('BlockCache.extend', () => {
  it('adds what follows a held block, and nothing where it is not held', () => {
    const cache = cacheOf(10);
    cache.touchAll(keysOf('ab'), 2);
    expect(cache.extend(keysOf('abcd').subarray(2), 3)).toBe(true);
    expect(held(cache, 'abcd')).toEqual([true, true, true, true]);
    expect(cache.extend(keysOf('xyz').subarray(2), 2)).toBe(false);
    expect(cache.size).toBe(4);
  });

  it('gives up what was used longest ago, never the parents of what it adds', () => {
    const cache = cacheOf(4);
    cache.touchAll(keysOf('xy'), 2);
    cache.touchAll(keysOf('ab'), 2);
    cache.extend(keysOf('abcdefg').subarray(2), 6);
    expect(held(cache, 'abcdefg')).toEqual([true, true, true, true, false, false, false]);
    expect(held(cache, 'xy')).toEqual([false, false]);
  });

  it('never holds a block without those before it, however chains are told', () => {
    const chain = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 2, maxLength: 12 });
    const step = fc.record({
      letters: chain,
      from: fc.nat(10),
      age: fc.boolean(),
      limit: fc.option(fc.integer({ min: 1, max: 30 })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 30 }), (steps, first) => {
        const cache = cacheOf(first);
        let limit = first;
        for (const { letters, from, age, limit: next } of steps) {
          const keys = keysOf(letters);
          if (from === 0 || from >= letters.length) cache.touchAll(keys, letters.length);
          else cache.extend(keys.subarray(2 * (from - 1)), letters.length - from + 1);
          if (age && from === 3) cache.age();
          if (next !== null && from === 5) cache.resize((limit = next));
          expect(cache.size).toBeLessThanOrEqual(limit);
          for (const { letters: other } of steps) {
            const found = held(cache, other);
            expect(found.lastIndexOf(true)).toBe(found.filter(Boolean).length - 1);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
