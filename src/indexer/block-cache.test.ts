import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockCache, bytesPerBlock } from './block-cache.ts';
import { HeldBlocks } from './held/held-blocks.ts';

/**
 * Blocks are written as paths of small numbers: path [1, 2] is block 2 after block 1. Its key holds the path's
 * number, so equal prefixes share keys as chained hashes do; `crowd` forces keys into few buckets.
 */
type Path = readonly number[];

function keyOf(path: Path, crowd: boolean): [number, number] {
  const number = path.reduce((sum, part) => sum * 5 + part + 1, 0);
  return crowd ? [number % 2, number] : [Math.imul(number, 0x9e3779b1) >>> 0, number];
}

function keysOf(path: Path, crowd: boolean): Uint32Array {
  return Uint32Array.from(path.flatMap((_, i) => keyOf(path.slice(0, i + 1), crowd)));
}

/** What BlockCache must do, in as few words as possible: a Map keeps its keys in the order of use. */
class NaiveCache {
  readonly held = new Map<string, true>();
  limit: number;
  private unused = new Set<string>();

  constructor(limit: number) {
    this.limit = limit;
  }

  touchAll(path: Path): void {
    for (let length = Math.min(path.length, this.limit); length >= 1; length--) {
      const key = path.slice(0, length).join();
      this.held.delete(key);
      this.held.set(key, true);
      this.unused.delete(key);
      this.trim();
    }
  }

  resize(limit: number): void {
    this.limit = limit;
    this.trim();
  }

  age(): void {
    for (const key of this.unused) this.held.delete(key);
    this.unused = new Set(this.held.keys());
  }

  matchLength(path: Path): number {
    let length = 0;
    while (length < path.length && this.held.has(path.slice(0, length + 1).join())) length++;
    return length;
  }

  private trim(): void {
    for (const key of this.held.keys()) {
      if (this.held.size <= this.limit) return;
      this.held.delete(key);
    }
  }
}

/** As many holders as make a second group of lanes, and some. */
const holders = 40;

/** A cache of the holder among others that share its table. */
function cacheOf(held: HeldBlocks, holder: number, limit: number): BlockCache {
  return new BlockCache(held, held.lanes.of(holder), limit);
}

function alone(limit: number): { held: HeldBlocks; cache: BlockCache } {
  const held = new HeldBlocks(5000, 1);
  return { held, cache: cacheOf(held, 0, limit) };
}

/** How much of the keys each holder has. */
function lengths(held: HeldBlocks, keys: Uint32Array, blocks: number, count: number): number[] {
  held.matched.fill(0);
  return [...held.match(keys, blocks).subarray(0, count)];
}

const scattered = (count: number): Uint32Array =>
  new Uint32Array(2 * count).map((_, i) => Math.imul(i + 1, 0x9e3779b1));

const path = fc.array(fc.nat(3), { minLength: 1, maxLength: 12 });
/** Few enough that they share much, and of both groups of lanes. */
const holder = fc.constantFrom(0, 31, 32);
const step = fc.record({
  holder,
  act: fc.oneof(
    { weight: 8, arbitrary: fc.record({ touch: path }) },
    { weight: 2, arbitrary: fc.constant('age' as const) },
    { weight: 1, arbitrary: fc.constant('leave' as const) },
    { weight: 1, arbitrary: fc.record({ resize: fc.integer({ min: 1, max: 200 }) }) },
  ),
});
type Act = { touch: Path } | { resize: number } | 'age' | 'leave';

/** Many caches with one table, and beside each of them a naive one that shares nothing. */
class Pairs {
  readonly held = new HeldBlocks(2000, holders);
  readonly naive: NaiveCache[] = [];
  private readonly caches: BlockCache[] = [];
  private readonly left: BlockCache[] = [];
  private readonly limit: number;
  private readonly crowd: boolean;

  constructor(limit: number, crowd: boolean) {
    this.limit = limit;
    this.crowd = crowd;
    for (let i = 0; i < holders; i++) this.renew(i);
  }

  take(i: number, act: Act): void {
    const [cache, naive] = [this.caches[i], this.naive[i]];
    if (act === 'age') {
      cache.age();
      naive.age();
    } else if (act === 'leave') {
      this.left.push(cache);
      this.held.lanes.clear(i);
      this.renew(i);
    } else if ('touch' in act) {
      cache.touchAll(keysOf(act.touch, this.crowd), act.touch.length);
      naive.touchAll(act.touch);
    } else {
      cache.resize(act.resize);
      naive.resize(act.resize);
    }
    // What has been left is freed by and by.
    this.left[0]?.dissolve(3);
    if (this.left[0]?.size === 0) this.left.shift();
  }

  /** All that is asked of a path, by the caches and by the naive ones. */
  of(asked: Path): { found: unknown; wanted: unknown } {
    const found = lengths(this.held, keysOf(asked, this.crowd), asked.length, holders);
    const wanted = this.naive.map((naive) => naive.matchLength(asked));
    const sizes = this.caches.map(({ size }) => size);
    return {
      found: [found, sizes, this.held.held],
      wanted: [wanted, this.naive.map(({ held }) => held.size), this.left.concat(this.caches).reduce(sizeSum, 0)],
    };
  }

  holds(i: number, held: Path): boolean {
    return this.caches[i].has(...keyOf(held, this.crowd));
  }

  private renew(i: number): void {
    this.caches[i] = cacheOf(this.held, i, this.limit);
    this.naive[i] = new NaiveCache(this.limit);
  }
}

const sizeSum = (sum: number, { size }: BlockCache): number => sum + size;

describe('BlockCache', () => {
  it.each([false, true])('agrees with naive LRUs of their own at every step, in crowded buckets: %s', (crowd) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 }), fc.array(step, { maxLength: 120 }), path, (limit, steps, asked) => {
        const pairs = new Pairs(limit, crowd);
        for (const { holder: at, act } of steps) {
          pairs.take(at, act);
          const { found, wanted } = pairs.of(asked);
          expect(found).toEqual(wanted);
        }
        for (const [i, { held }] of pairs.naive.entries()) {
          for (const key of held.keys()) {
            const one = key.split(',').map(Number);
            expect(pairs.holds(i, one)).toBe(true);
            // Prefix-closed: whatever is held, so is all before it.
            expect(lengths(pairs.held, keysOf(one, crowd), one.length, holders)[i]).toBe(one.length);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('finds every length beside every other', () => {
    const whole = scattered(40);
    fc.assert(
      fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: holders }), fc.nat(40), (wanted, asked) => {
        const held = new HeldBlocks(2000, holders);
        for (const [i, length] of wanted.entries()) cacheOf(held, i, 64).touchAll(whole, length);
        expect(lengths(held, whole, asked, wanted.length)).toEqual(wanted.map((length) => Math.min(length, asked)));
      }),
    );
  });

  it('does not look past the end of a prompt, where the keys of a longer one still lie', () => {
    const { held, cache } = alone(16);
    const keys = Uint32Array.from({ length: 20 }, (_, i) => i + 1);
    cache.touchAll(keys, 10);
    expect(lengths(held, keys, 4, 1)).toEqual([4]);
    expect(lengths(held, keys, 0, 1)).toEqual([0]);
  });

  it('tells keys apart that differ only in one half', () => {
    const { cache } = alone(4);
    cache.touchAll(Uint32Array.of(7, 1), 1);
    expect(cache.has(7, 1)).toBe(true);
    expect(cache.has(7, 2)).toBe(false);
    expect(cache.has(8, 1)).toBe(false);
  });

  it('holds keys whose halves have the top bit set', () => {
    const { cache } = alone(4);
    cache.touchAll(Uint32Array.of(0xffffffff, 0x80000000), 1);
    expect(cache.has(0xffffffff, 0x80000000)).toBe(true);
  });

  it('starts small, grows with use and never takes more than its bytes per block', () => {
    const limit = 5000;
    const { held, cache } = alone(limit);
    const bytes = (): number => cache.bytes + held.bytes;
    expect(bytes()).toBeLessThan(4096);
    cache.touchAll(scattered(limit), limit);
    expect(cache.size).toBe(limit);
    expect(bytes()).toBeLessThanOrEqual(limit * bytesPerBlock + 32);
    cache.resize(100);
    expect(cache.size).toBe(100);
    expect(bytes()).toBeLessThanOrEqual(100 * bytesPerBlock + 32);
  });

  it('takes less for blocks that many hold', () => {
    const held = new HeldBlocks(holders * 100, holders);
    const keys = scattered(100);
    const caches = Array.from({ length: holders }, (_, i) => cacheOf(held, i, 100));
    for (const cache of caches) cache.touchAll(keys, 100);
    const bytes = caches.reduce((sum, cache) => sum + cache.bytes, held.bytes);
    expect(bytes).toBeLessThan(0.5 * holders * 100 * bytesPerBlock);
  });

  it('gives memory back when it forgets what is not used', () => {
    const { held, cache } = alone(5000);
    const keys = scattered(5000);
    cache.touchAll(keys, 5000);
    cache.age();
    cache.touchAll(keys, 10);
    cache.age();
    expect(cache.size).toBe(10);
    expect(cache.bytes + held.bytes).toBeLessThan(4096);
  });

  it('forgets what has not been used since it was aged last, also where its limit has changed meanwhile', () => {
    const { cache } = alone(64);
    const keys = scattered(40);
    cache.touchAll(keys, 40);
    cache.age();
    cache.touchAll(keys, 10);
    cache.resize(30);
    expect(cache.size).toBe(30);
    cache.age();
    expect(cache.size).toBe(10);
  });

  it('drops what lies beyond its limit when a prompt is longer than the whole cache', () => {
    const { held, cache } = alone(3);
    const keys = Uint32Array.of(1, 0, 2, 0, 3, 0, 4, 0, 5, 0);
    cache.touchAll(keys, 5);
    expect(lengths(held, keys, 5, 1)).toEqual([3]);
  });
});
