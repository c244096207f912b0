import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { idsOf, TokenMemory, type Stretch } from './memory.ts';

const none = new Uint32Array(0);

/** Remembers a chain along a path of small numbers; each stretch holds the number's own id. */
function remember(memory: TokenMemory, path: readonly number[]): Stretch | null {
  let parent: Stretch | null = null;
  let key = 7;
  for (const part of path) {
    key = key * 5 + part + 1;
    parent = memory.put(key >>> 0, key % 1_000_003, { parent, ids: Uint32Array.of(part, part) });
  }
  return parent;
}

function find(memory: TokenMemory, path: readonly number[]): Stretch | null {
  const key = path.reduce((sum, part) => sum * 5 + part + 1, 7);
  return memory.find(key >>> 0, key % 1_000_003);
}

const somePath = fc.array(fc.nat(3), { minLength: 1, maxLength: 8 });

describe('TokenMemory', () => {
  it('stays within its bytes and never forgets what a remembered stretch follows', () => {
    fc.assert(
      fc.property(fc.array(somePath, { maxLength: 40 }), fc.integer({ min: 300, max: 8000 }), (paths, limit) => {
        const memory = new TokenMemory(limit);
        for (const path of paths) {
          remember(memory, path);
          expect(memory.bytes).toBeLessThanOrEqual(limit);
        }
        for (const path of paths) {
          const stretch = find(memory, path);
          if (stretch === null) continue;
          for (let length = 1; length <= path.length; length++)
            expect(find(memory, path.slice(0, length))).not.toBeNull();
          expect([...idsOf(stretch, Uint32Array.of(9))]).toEqual([...path.flatMap((part) => [part, part]), 9]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('counts its bytes to the last: an emptied memory has none', () => {
    const memory = new TokenMemory(2000);
    for (const path of [[1], [1, 2], [1, 2, 3], [2], [1, 2]]) remember(memory, path);
    const before = memory.bytes;
    for (const path of [[1, 2, 3], [2]]) remember(memory, path);
    expect(memory.bytes).toBe(before);
    expect(before).toBe(memory.size * (256 + 8));
  });

  it('forgets first what was not used for longest', () => {
    const memory = new TokenMemory(3 * (256 + 8));
    for (const path of [[1], [2], [3]]) remember(memory, path);
    const first = find(memory, [1]);
    if (first !== null) memory.use(first);
    remember(memory, [0]);
    expect([[1], [2], [3], [0]].map((path) => find(memory, path) !== null)).toEqual([true, false, true, true]);
  });

  it('keeps what it knew under a key', () => {
    const memory = new TokenMemory();
    const first = memory.put(1, 2, { parent: null, ids: Uint32Array.of(5) });
    expect(memory.put(1, 2, { parent: null, ids: Uint32Array.of(6) })).toBe(first);
    expect(memory.size).toBe(1);
  });

  it('tells keys apart that share the bits of its table', () => {
    const memory = new TokenMemory();
    memory.put(1, 2, { parent: null, ids: Uint32Array.of(5) });
    expect(memory.find(1, 2 + 2 ** 21)).toBeNull();
    memory.put(1, 2 + 2 ** 21, { parent: null, ids: Uint32Array.of(6) });
    expect(memory.find(1, 2)).toBeNull();
    expect(memory.bytes).toBe(260);
  });

  it('does not keep what is larger than itself', () => {
    const memory = new TokenMemory(1000);
    memory.put(1, 2, { parent: null, ids: new Uint32Array(1000) });
    expect(memory.size).toBe(0);
    expect(memory.bytes).toBe(0);
  });

  it('gives the ids of a first stretch without copying them', () => {
    const memory = new TokenMemory();
    const ids = Uint32Array.of(5);
    expect(idsOf(memory.put(1, 2, { parent: null, ids }), none)).toBe(ids);
  });
});
