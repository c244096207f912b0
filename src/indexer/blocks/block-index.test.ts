import { describe, expect, it } from 'vitest';
import { Tier, type StoredBlocks } from '../kv-events.ts';
import { blockSize, hashesOf, keysOf, storedOf, testIndex, tokensOf, type Told } from './testkit.ts';

describe('BlockIndex', () => {
  it('finds the blocks of a prompt from the first on, up to where the prompt takes another way', () => {
    const { index } = testIndex();
    const [a, b] = [index.opened(), index.opened()];
    index.stored(a, storedOf([1, 2, 3]));
    index.stored(b, storedOf([1, 2, 4, 5]));
    expect([index.has(a, [1, 2, 3]), index.has(b, [1, 2, 3])]).toEqual([3, 2]);
    expect([index.has(a, [1, 2, 4, 5, 6]), index.has(b, [1, 2, 4, 5, 6])]).toEqual([2, 4]);
    expect([index.has(a, [2, 3]), index.has(a, [])]).toEqual([0, 0]);
    expect(index.counters).toMatchObject({ blocks: 5, placements: 7 });
  });

  it('stops at the first gap and goes on when the gap is closed', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2, 3, 4]));
    index.drop(holder, [1, 2]);
    expect(index.has(holder, [1, 2, 3, 4])).toBe(1);
    index.stored(holder, storedOf([1, 2], { from: 1 }));
    expect(index.has(holder, [1, 2, 3, 4])).toBe(4);
  });

  it('chains blocks to a parent told of earlier, whatever scope the later event repeats or leaves out', () => {
    const { index } = testIndex();
    const holder = index.opened();
    const scope: Told = { lora: 'adapter', salt: 'tenant' };
    index.stored(holder, storedOf([1, 2], scope));
    index.stored(holder, { ...storedOf([1, 2, 3], { ...scope, from: 2 }), salt: '', lora: '' });
    expect(index.has(holder, [1, 2, 3], scope)).toBe(3);
    expect(index.has(holder, [1, 2, 3])).toBe(0);
    expect(index.has(holder, [1, 2, 3], { lora: 'adapter' })).toBe(0);
    expect(index.has(holder, [1, 2, 3], { salt: 'tenant' })).toBe(0);
  });

  it('serves a hundred holders in one match', () => {
    const { index } = testIndex({ bounds: { maxHolders: 100 } });
    const prompt = Array.from({ length: 20 }, (_, i) => i);
    const holders = Array.from({ length: 100 }, () => index.opened());
    for (const holder of holders) index.stored(holder, storedOf(prompt.slice(0, holder % 21)));
    const { blocks } = index.match(keysOf(prompt), prompt.length);
    expect(holders.map((holder) => blocks[holder])).toEqual(holders.map((holder) => holder % 21));
  });

  it('keeps a block that was computed anew until both copies of it are gone', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2, 3]));
    // The whole prompt again: an engine computes its last block anew, into another place.
    index.stored(holder, storedOf([1, 2, 3], { from: 2 }));
    index.drop(holder, [1, 2, 3]);
    expect(index.has(holder, [1, 2, 3])).toBe(3);
    index.drop(holder, [1, 2, 3]);
    expect(index.has(holder, [1, 2, 3])).toBe(2);
  });

  it('stores a block once however often it is told of', () => {
    const { index } = testIndex();
    const holder = index.opened();
    for (let i = 0; i < 3; i++) index.stored(holder, storedOf([1, 2]));
    expect(index.counters).toMatchObject({ blocks: 2, placements: 2 });
    index.drop(holder, [1, 2]);
    index.drop(holder, [1]);
    expect(index.counters).toMatchObject({ blocks: 0, placements: 0, removedUnknown: 0 });
  });

  it('keeps apart engines of different block sizes', () => {
    const { index } = testIndex();
    const [small, large] = [index.opened(), index.opened()];
    index.stored(small, storedOf([1, 2], { blockSize: 4 }));
    index.stored(large, storedOf([1, 2], { blockSize: 8 }));
    expect([index.blockSizeOf(small), index.blockSizeOf(large)]).toEqual([4, 8]);
    expect([index.has(small, [1, 2], { blockSize: 4 }), index.has(large, [1, 2], { blockSize: 4 })]).toEqual([2, 0]);
    expect([index.has(small, [1, 2], { blockSize: 8 }), index.has(large, [1, 2], { blockSize: 8 })]).toEqual([0, 2]);
  });

  it('never takes a prompt of text for one with an image', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2, 3], { extras: ['', 'image', ''] }));
    expect(index.has(holder, [1, 2, 3])).toBe(1);
    index.stored(holder, storedOf([1, 2, 3]));
    expect(index.has(holder, [1, 2, 3])).toBe(3);
    expect(index.counters.blocks).toBe(5);
  });

  it('lets a hash that now means another block forget the old one', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1]));
    index.stored(holder, { ...storedOf([2]), hashes: hashesOf([1]) });
    expect([index.has(holder, [1]), index.has(holder, [2])]).toEqual([0, 1]);
    index.drop(holder, [1]);
    expect(index.counters).toMatchObject({ blocks: 0, placements: 0 });
  });

  it('lets either of two hashes of one block take it away, and frees it with both', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1]));
    index.stored(holder, { ...storedOf([1]), hashes: hashesOf([2]) });
    index.drop(holder, [2]);
    expect(index.has(holder, [1])).toBe(0);
    expect(index.counters.blocks).toBe(1);
    index.drop(holder, [1]);
    expect(index.counters.blocks).toBe(0);
  });
});

describe('tiers', () => {
  it('count each block where it lies nearest', () => {
    const { index } = testIndex();
    const holder = index.opened();
    const prompt = [1, 2, 3, 4, 5, 6];
    index.stored(holder, storedOf(prompt, { tier: Tier.disk }));
    expect(index.found(holder, prompt)).toEqual([6, 0, 6]);
    index.stored(holder, storedOf(prompt.slice(0, 4), { tier: Tier.cpu }));
    expect(index.found(holder, prompt)).toEqual([6, 4, 2]);
    index.stored(holder, storedOf([1, 2], { tier: Tier.gpu }));
    expect(index.found(holder, prompt)).toEqual([6, 2, 2]);
    expect(index.found(holder, [1, 2, 3])).toEqual([3, 1, 0]);
  });

  it('leave a block on the others when it goes from one', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1]));
    index.stored(holder, storedOf([1], { tier: Tier.cpu }));
    index.drop(holder, [1]);
    expect(index.found(holder, [1])).toEqual([1, 1, 0]);
    index.drop(holder, [1]);
    expect(index.counters.removedUnknown).toBe(1);
    index.drop(holder, [1], { tier: Tier.cpu });
    expect(index.found(holder, [1])).toEqual([0, 0, 0]);
    expect(index.counters).toMatchObject({ blocks: 0, placements: 0 });
  });

  it('are told apart between holders of one block', () => {
    const { index } = testIndex({ bounds: { maxHolders: 50 } });
    const holders = Array.from({ length: 50 }, () => index.opened());
    for (const holder of holders) {
      for (const tier of [Tier.gpu, Tier.cpu, Tier.disk]) {
        if ((holder & (1 << tier)) !== 0) index.stored(holder, storedOf([1, 2, 3], { tier }));
      }
    }
    const match = index.match(keysOf([1, 2, 3]), 3);
    for (const holder of holders) {
      expect(match.blocks[holder], String(holder)).toBe((holder & 7) === 0 ? 0 : 3);
      expect(match.cpu[holder], String(holder)).toBe((holder & 3) === 2 ? 3 : 0);
      expect(match.disk[holder], String(holder)).toBe((holder & 7) === 4 ? 3 : 0);
    }
  });

  it('of blocks past the end of a holder leave no trace in the next match', () => {
    const { index } = testIndex({ bounds: { maxHolders: 33 } });
    // Lanes of two words, so that the first one's is done with while the other's goes on.
    const [first, ...others] = Array.from({ length: 33 }, () => index.opened());
    index.stored(first, storedOf([1, 2, 3], { tier: Tier.cpu }));
    index.stored(first, storedOf([1, 2, 3, 4], { from: 3, tier: Tier.disk }));
    index.stored(first, storedOf([1, 2, 3, 4, 5], { from: 4 }));
    for (const end of [1, 2]) index.drop(first, [1, 2, 3].slice(0, end), { tier: Tier.cpu });
    for (const holder of others.slice(0, 31)) index.stored(holder, storedOf([7]));
    const last = others[31];
    index.stored(last, storedOf([1, 2, 3, 4, 5]));
    index.stored(last, storedOf([8], { tier: Tier.cpu }));
    index.stored(last, storedOf([9]));
    expect([index.has(first, [1, 2, 3, 4, 5]), index.has(last, [1, 2, 3, 4, 5])]).toEqual([0, 5]);
    expect([index.found(first, [8]), index.found(last, [8])]).toEqual([
      [0, 0, 0],
      [1, 1, 0],
    ]);
    index.has(last, [1, 2, 3, 4, 5]);
    expect([index.has(first, [9]), index.has(last, [9])]).toEqual([0, 1]);
  });

  it('take in blocks of which only the hashes are told, when they are known', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2]));
    const offloaded = { ...storedOf([1, 2, 3], { tier: Tier.cpu }), blockSize: 0 };
    index.stored(holder, offloaded);
    expect(index.counters).toMatchObject({ orphans: 1, malformed: 0, placements: 4 });
    index.drop(holder, [1, 2]);
    expect(index.found(holder, [1, 2])).toEqual([2, 1, 0]);
  });
});

describe('holders', () => {
  it('vanish at once when closed, and their number comes back empty', () => {
    const { index } = testIndex();
    const [a, b] = [index.opened(), index.opened()];
    for (const holder of [a, b]) index.stored(holder, storedOf([1, 2]));
    index.close(a);
    expect([index.has(a, [1, 2]), index.has(b, [1, 2])]).toEqual([0, 2]);
    expect(index.opened()).toBe(a);
    expect([index.has(a, [1, 2]), index.blockSizeOf(a)]).toEqual([0, 0]);
    index.stored(a, storedOf([1]));
    expect(index.has(a, [1, 2])).toBe(1);
  });

  it('are empty at once when cleared, and may come with another block size', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2]));
    index.cleared(holder);
    expect(index.has(holder, [1, 2])).toBe(0);
    index.stored(holder, storedOf([1, 2, 3], { from: 2 }));
    expect(index.counters.orphans).toBe(1);
    index.stored(holder, storedOf([1, 2], { blockSize: 8 }));
    expect(index.has(holder, [1, 2], { blockSize: 8 })).toBe(2);
  });

  it('are as many as was said at construction, not one more', () => {
    const { index } = testIndex({ bounds: { maxHolders: 2 } });
    expect([index.open(), index.open(), index.open()]).toEqual([0, 1, null]);
    index.close(0);
    expect([index.open(), index.open()]).toEqual([0, null]);
  });

  it('leave behind what is swept little by little', () => {
    const { index } = testIndex();
    const [a, b] = [index.opened(), index.opened()];
    index.stored(a, storedOf([1, 2, 3, 4, 5]));
    index.stored(b, storedOf([1]));
    index.close(a);
    expect(index.counters).toMatchObject({ placements: 6, unswept: 1 });
    expect(index.sweep(2)).toBe(true);
    expect(index.counters).toMatchObject({ placements: 4, unswept: 1 });
    expect(index.sweep(3)).toBe(false);
    expect(index.counters).toMatchObject({ blocks: 1, placements: 1, unswept: 0 });
    expect(index.has(b, [1])).toBe(1);
  });

  it('sweep by the way of storing, so that a full index takes in what comes after a close', () => {
    const { index } = testIndex({ bounds: { maxBlocks: 100, maxPlacements: 100 } });
    const prompt = (start: number): number[] => Array.from({ length: 100 }, (_, i) => start + i);
    let holder = index.opened();
    for (let round = 0; round < 20; round++) {
      index.stored(holder, storedOf(prompt(round * 100)));
      expect(index.has(holder, prompt(round * 100))).toBe(100);
      if (round % 2 === 0) index.cleared(holder);
      else {
        index.close(holder);
        holder = index.opened();
      }
    }
    expect(index.counters.refused).toBe(0);
  });

  it('get no lane while all are being left, are counted, and recover', () => {
    const { index, clock } = testIndex();
    const holder = index.opened();
    for (let i = 0; i < 40; i++) {
      index.routed(holder, [i]);
      index.cleared(holder);
    }
    index.stored(holder, storedOf([1, 2]));
    expect(index.counters).toMatchObject({ unswept: 32, refused: 2 });
    clock.time += 1000;
    index.stored(holder, storedOf([1, 2]));
    expect(index.has(holder, [1, 2])).toBe(2);
    expect(index.counters).toMatchObject({ unswept: 0, refused: 2 });
  });
});

describe('expectations', () => {
  it('count as present, near, until their time runs out', () => {
    const { index, clock } = testIndex();
    const [a, b] = [index.opened(), index.opened()];
    index.routed(a, [1, 2]);
    expect([index.found(a, [1, 2, 3]), index.found(b, [1, 2, 3])]).toEqual([
      [2, 0, 0],
      [0, 0, 0],
    ]);
    clock.time += 999;
    expect(index.has(a, [1, 2])).toBe(2);
    clock.time += 1;
    expect(index.has(a, [1, 2])).toBe(0);
    expect(index.counters).toMatchObject({ blocks: 0, expected: 0 });
  });

  it('last longer when a sibling follows', () => {
    const { index, clock } = testIndex();
    const holder = index.opened();
    index.routed(holder, [1, 2]);
    clock.time += 900;
    index.routed(holder, [1, 3]);
    clock.time += 900;
    expect([index.has(holder, [1, 2]), index.has(holder, [1, 3])]).toEqual([1, 2]);
  });

  it('are made of what another holds, whichever word of bits it stands in', () => {
    const { index } = testIndex({ bounds: { maxHolders: 33 } });
    const holders = Array.from({ length: 33 }, () => index.opened());
    for (const holder of holders) index.stored(holder, storedOf([7]));
    index.stored(holders[0], storedOf([1, 2]));
    index.routed(holders[32], [1, 2]);
    expect(index.has(holders[32], [1, 2])).toBe(2);
  });

  it('become true with the events and then go with the events only', () => {
    const { index, clock } = testIndex();
    const holder = index.opened();
    index.routed(holder, [1, 2]);
    index.stored(holder, storedOf([1, 2]));
    expect(index.counters).toMatchObject({ blocks: 2, placements: 2, expected: 0 });
    clock.time += 5000;
    expect(index.has(holder, [1, 2])).toBe(2);
    index.drop(holder, [1, 2]);
    expect(index.has(holder, [1, 2])).toBe(1);
  });

  it('are not made of what is held', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2], { tier: Tier.cpu }));
    index.routed(holder, [1, 2, 3]);
    expect(index.found(holder, [1, 2, 3])).toEqual([3, 2, 0]);
    expect(index.counters.expected).toBe(1);
    index.drop(holder, [1], { tier: Tier.cpu });
    expect(index.has(holder, [1, 2, 3])).toBe(0);
  });

  it.each<[string, (index: ReturnType<typeof testIndex>['index'], holder: number) => void]>([
    ['closed', (index, holder) => index.close(holder)],
    ['cleared', (index, holder) => index.cleared(holder)],
  ])('vanish with a holder that is %s, and do not come back with its number', (_word, end) => {
    const { index, clock } = testIndex();
    const holder = index.opened();
    index.routed(holder, [1, 2]);
    end(index, holder);
    index.open();
    index.stored(holder, storedOf([9]));
    expect([index.has(holder, [1, 2]), index.has(holder, [9])]).toEqual([0, 1]);
    clock.time += 1000;
    index.sweep(0);
    expect(index.counters).toMatchObject({ blocks: 1, unswept: 0 });
  });

  it('beyond the bound push out the oldest', () => {
    const { index } = testIndex({ bounds: { maxExpected: 3 } });
    const [a, b] = [index.opened(), index.opened()];
    index.routed(a, [1, 2]);
    index.routed(b, [1, 2]);
    expect([index.has(a, [1, 2]), index.has(b, [1, 2])]).toEqual([0, 2]);
    expect(index.counters.expected).toBe(3);
    index.routed(a, [5, 6, 7, 8]);
    expect([index.has(a, [5, 6, 7, 8]), index.counters.expected]).toEqual([3, 3]);
  });

  it('of a holder that is not open are passed over', () => {
    const { index } = testIndex();
    index.routed(3, [1, 2]);
    expect(index.counters).toMatchObject({ blocks: 0, expected: 0 });
  });
});

describe('what makes no sense', () => {
  const good = (): StoredBlocks => storedOf([1, 2]);
  const cases: [string, () => StoredBlocks][] = [
    ['a negative block size', () => ({ ...good(), blockSize: -4 })],
    ['a block size that is no integer', () => ({ ...good(), blockSize: 0.5 })],
    [
      'a huge block size',
      () => ({ ...good(), count: 1, blockSize: 16_385, tokens: new Uint32Array(16_385), hashes: hashesOf([1]) }),
    ],
    ['fewer tokens than blocks', () => ({ ...good(), tokens: tokensOf([1]) })],
    ['a token too few', () => ({ ...good(), tokens: tokensOf([1, 2]).slice(1) })],
    ['more blocks than hashes', () => ({ ...good(), hashes: hashesOf([1]) })],
    ['extras for some blocks only', () => ({ ...good(), extras: ['image'] })],
  ];

  it.each(cases)('is counted and ignored: %s', (_sentence, event) => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, event());
    expect(index.counters).toMatchObject({ malformed: 1, blocks: 0, placements: 0 });
    index.stored(holder, good());
    expect(index.has(holder, [1, 2])).toBe(2);
  });

  it('is counted and ignored: another block size than before', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, good());
    index.stored(holder, storedOf([3], { blockSize: 8 }));
    expect(index.counters).toMatchObject({ malformed: 1, blocks: 2 });
    expect(index.blockSizeOf(holder)).toBe(blockSize);
  });

  it('is counted and ignored: holders that are not open', () => {
    const { index } = testIndex();
    for (const holder of [-1, 0, 5, 16, 1e9, 0.5, NaN]) {
      index.stored(holder, good());
      index.cleared(holder);
      index.drop(holder, [1]);
      index.close(holder);
    }
    expect(index.counters).toMatchObject({ malformed: 14, removedUnknown: 7, blocks: 0, placements: 0 });
    const holder = index.opened();
    index.stored(holder, good());
    expect(index.has(holder, [1, 2])).toBe(2);
  });

  it('takes no token or hash beyond those of the blocks told of, as decoders use their arrays again', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, { ...storedOf([1, 2, 3]), count: 2 });
    expect(index.has(holder, [1, 2, 3])).toBe(2);
    expect(index.counters).toMatchObject({ blocks: 2, malformed: 0 });
  });

  it('believes no block size of 0: nothing is keyed by it', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, { ...good(), blockSize: 0 });
    expect(index.counters).toMatchObject({ orphans: 2, blocks: 0 });
    expect(index.blockSizeOf(holder)).toBe(0);
  });

  it('cannot key blocks whose parent was lost, and finds their like again when the whole is told', () => {
    const { index } = testIndex();
    const holder = index.opened();
    index.stored(holder, storedOf([1, 2, 3], { from: 1 }));
    expect(index.counters).toMatchObject({ orphans: 2, blocks: 0 });
    index.stored(holder, storedOf([1, 2, 3]));
    expect(index.has(holder, [1, 2, 3])).toBe(3);
  });
});

describe('bounds', () => {
  it('refuse what is beyond them, count it, and take it in when there is room again', () => {
    const { index } = testIndex({ bounds: { maxBlocks: 3, maxPlacements: 4 } });
    const [a, b] = [index.opened(), index.opened()];
    index.stored(a, storedOf([1, 2, 3, 4, 5]));
    expect(index.counters).toMatchObject({ blocks: 3, placements: 3, refused: 2 });
    index.stored(b, storedOf([1, 2, 3]));
    expect([index.has(a, [1, 2, 3, 4]), index.has(b, [1, 2, 3, 4])]).toEqual([3, 1]);
    expect(index.counters).toMatchObject({ blocks: 3, placements: 4, refused: 4 });
    index.stored(a, storedOf([1], { tier: Tier.cpu }));
    expect(index.counters).toMatchObject({ placements: 4, refused: 5 });
    index.stored(a, storedOf([1, 2]));
    expect(index.counters.refused).toBe(5);
    index.drop(a, [1, 2, 3]);
    index.stored(b, storedOf([1, 2]));
    expect(index.has(b, [1, 2])).toBe(2);
  });

  it('count what is expected beyond them as refused', () => {
    const { index } = testIndex({ bounds: { maxBlocks: 3 } });
    const holder = index.opened();
    index.routed(holder, [1, 2, 3, 4, 5]);
    expect(index.has(holder, [1, 2, 3, 4, 5])).toBe(3);
    expect(index.counters).toMatchObject({ blocks: 3, expected: 3, refused: 2 });
  });

  it('fix the memory at construction', () => {
    const { index } = testIndex({ bounds: { maxBlocks: 1000, maxPlacements: 2000, maxExpected: 100 } });
    const before = index.bytes;
    const holder = index.opened();
    for (let i = 0; i < 3000; i++) index.stored(holder, storedOf([i]));
    expect(index.bytes).toBe(before);
    expect(index.counters).toMatchObject({ blocks: 1000, refused: 2000 });
  });
});
