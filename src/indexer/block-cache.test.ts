import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockCache, bytesPerBlock } from './block-cache.ts';

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

const path = fc.array(fc.nat(3), { minLength: 1, maxLength: 12 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ touch: path }) },
  { weight: 2, arbitrary: fc.constant({ age: true }) },
  { weight: 1, arbitrary: fc.record({ resize: fc.integer({ min: 1, max: 200 }) }) },
);

describe('BlockCache', () => {
  it.each([false, true])('agrees with a naive LRU at every step, in crowded buckets: %s', (crowd) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }),
        fc.array(step, { maxLength: 80 }),
        path,
        fc.nat(14),
        (limit, steps, asked, guess) => {
          const cache = new BlockCache(limit);
          const naive = new NaiveCache(limit);
          for (const taken of steps) {
            if ('touch' in taken) {
              cache.touchAll(keysOf(taken.touch, crowd), taken.touch.length);
              naive.touchAll(taken.touch);
            } else if ('age' in taken) {
              cache.age();
              naive.age();
            } else {
              cache.resize(taken.resize);
              naive.resize(taken.resize);
            }
            expect(cache.size).toBe(naive.held.size);
            expect(cache.matchLength(keysOf(asked, crowd), asked.length, guess)).toBe(naive.matchLength(asked));
          }
          for (const key of naive.held.keys()) {
            const held = key.split(',').map(Number);
            expect(cache.has(...keyOf(held, crowd))).toBe(true);
            // Prefix-closed: whatever is held, so is all before it.
            expect(cache.matchLength(keysOf(held, crowd), held.length, guess)).toBe(held.length);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('never probes its way to a wrong length, whatever the guess', () => {
    const whole = Array.from({ length: 40 }, (_, i) => i % 4);
    const keys = Uint32Array.from(whole.flatMap((_, i) => [Math.imul(i + 1, 0x9e3779b1) >>> 0, i]));
    for (let held = 0; held <= whole.length; held++) {
      const cache = new BlockCache(64);
      cache.touchAll(keys, held);
      for (let guess = 0; guess <= whole.length + 2; guess++) {
        expect(cache.matchLength(keys, whole.length, guess)).toBe(held);
      }
    }
  });

  it('does not look past the end of a prompt, where the keys of a longer one still lie', () => {
    const cache = new BlockCache(16);
    const keys = Uint32Array.from({ length: 20 }, (_, i) => i + 1);
    cache.touchAll(keys, 10);
    for (let guess = 0; guess <= 12; guess++) expect(cache.matchLength(keys, 4, guess)).toBe(4);
  });

  it('tells keys apart that differ only in one half', () => {
    const cache = new BlockCache(4);
    cache.touchAll(Uint32Array.of(7, 1), 1);
    expect(cache.has(7, 1)).toBe(true);
    expect(cache.has(7, 2)).toBe(false);
    expect(cache.has(8, 1)).toBe(false);
  });

  it('holds keys whose halves have the top bit set', () => {
    const cache = new BlockCache(4);
    cache.touchAll(Uint32Array.of(0xffffffff, 0x80000000), 1);
    expect(cache.has(0xffffffff, 0x80000000)).toBe(true);
  });

  it('starts small, grows with use and never takes more than its bytes per block', () => {
    const limit = 5000;
    const cache = new BlockCache(limit);
    expect(cache.bytes).toBeLessThan(4096);
    const keys = new Uint32Array(2 * limit).map((_, i) => Math.imul(i + 1, 0x9e3779b1));
    cache.touchAll(keys, limit);
    expect(cache.size).toBe(limit);
    expect(cache.bytes).toBeLessThanOrEqual(limit * bytesPerBlock + 32);
    cache.resize(100);
    expect(cache.size).toBe(100);
    expect(cache.bytes).toBeLessThanOrEqual(100 * bytesPerBlock + 32);
  });

  it('gives memory back when it forgets what is not used', () => {
    const cache = new BlockCache(5000);
    const keys = new Uint32Array(2 * 5000).map((_, i) => Math.imul(i + 1, 0x9e3779b1));
    cache.touchAll(keys, 5000);
    cache.age();
    cache.touchAll(keys, 10);
    cache.age();
    expect(cache.size).toBe(10);
    expect(cache.bytes).toBeLessThan(4096);
  });

  it('drops what lies beyond its limit when a prompt is longer than the whole cache', () => {
    const cache = new BlockCache(3);
    const keys = Uint32Array.of(1, 0, 2, 0, 3, 0, 4, 0, 5, 0);
    cache.touchAll(keys, 5);
    expect(cache.matchLength(keys, 5, 0)).toBe(3);
  });
});
