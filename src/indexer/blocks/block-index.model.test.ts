import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tier } from '../kv-events.ts';
import { keysOf, storedOf, testIndex, type TestIndex } from './testkit.ts';

const expectedFor = 1000;

interface Engine {
  readonly held: Map<string, Set<Tier>>;
  /** Further copies on the GPU. */
  readonly copies: Map<string, number>;
  readonly expected: Map<string, number>;
}

/** What an index should say, with the plainest means: prompts' prefixes as strings. */
class Model {
  time = 1;
  orphans = 0;
  removedUnknown = 0;
  private readonly roomy: boolean;
  private readonly open = new Map<number, Engine>();

  /** `roomy`: everything fits. An index that has refused a block may still expect it: then the model says what is most. */
  constructor(roomy = true) {
    this.roomy = roomy;
  }

  opened(holder: number): void {
    this.open.set(holder, { held: new Map(), copies: new Map(), expected: new Map() });
  }

  closed(holder: number): void {
    this.open.delete(holder);
  }

  isOpen(holder: number): boolean {
    return this.open.has(holder);
  }

  stored(holder: number, path: readonly number[], from: number, tier: Tier): void {
    const of = this.open.get(holder);
    if (of === undefined) return;
    if (from > 0 && !of.held.has(name(path, from))) {
      this.orphans += path.length - from;
      return;
    }
    for (let end = from + 1; end <= path.length; end++) {
      const prefix = name(path, end);
      if (from > 0 && tier === 0 && of.held.get(prefix)?.has(tier) === true)
        of.copies.set(prefix, Math.min(15, (of.copies.get(prefix) ?? 0) + 1));
      of.held.set(prefix, (of.held.get(prefix) ?? new Set<Tier>()).add(tier));
      if (!this.roomy) continue;
      of.expected.delete(prefix);
    }
  }

  removed(holder: number, path: readonly number[], tier: Tier): void {
    const { held, copies } = this.open.get(holder) ?? {};
    const further = tier === 0 ? (copies?.get(name(path)) ?? 0) : 0;
    if (further > 0) {
      copies?.set(name(path), further - 1);
      return;
    }
    const tiers = held?.get(name(path));
    if (tiers?.delete(tier) !== true) this.removedUnknown += 1;
    else if (tiers.size === 0) held?.delete(name(path));
  }

  expect(holder: number, path: readonly number[]): void {
    const of = this.open.get(holder);
    if (of === undefined) return;
    for (let end = 1; end <= path.length; end++) {
      const prefix = name(path, end);
      if (!this.roomy || !of.held.has(prefix)) of.expected.set(prefix, this.time + expectedFor);
    }
  }

  /** [blocks, in CPU memory, on disk] */
  found(holder: number, path: readonly number[]): [number, number, number] {
    const of = this.open.get(holder);
    const found: [number, number, number] = [0, 0, 0];
    if (of === undefined) return found;
    for (let end = 1; end <= path.length; end++) {
      const tiers = of.held.get(name(path, end));
      const expected = (of.expected.get(name(path, end)) ?? 0) > this.time;
      if (tiers === undefined && !expected) break;
      found[0] += 1;
      if (tiers === undefined || tiers.has(0)) continue;
      found[tiers.has(1) ? 1 : 2] += 1;
    }
    return found;
  }

  /** Unique blocks and placements, once all that has been left is swept and all expectations have run out. */
  settled(): { blocks: number; placements: number } {
    const holdings = [...this.open.values()].flatMap(({ held }) => [...held]);
    return {
      blocks: new Set(holdings.map(([prefix]) => prefix)).size,
      placements: holdings.reduce((sum, [, tiers]) => sum + tiers.size, 0),
    };
  }
}

function name(path: readonly number[], end = path.length): string {
  return path.slice(0, end).join();
}

type Step = (index: TestIndex, model: Model, clock: { time: number }) => void;

const holders = 4;
const holder = fc.nat(holders - 1);
/** Prompts of two kinds of block: many share prefixes. */
const path = fc.array(fc.nat(1), { minLength: 1, maxLength: 6 });
const tier = fc.constantFrom<Tier>(0, 1, 2);

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(holder, path, fc.nat(5), tier).map(([to, blocks, after, on]): Step => (index, model) => {
      const from = after % blocks.length;
      index.stored(to, storedOf(blocks, { from, tier: on }));
      model.stored(to, blocks, from, on);
    }),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(holder, path, tier).map(([from, blocks, on]): Step => (index, model) => {
      index.drop(from, blocks, { tier: on });
      model.removed(from, blocks, on);
    }),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(holder, path).map(([to, blocks]): Step => (index, model) => {
      index.routed(to, blocks);
      model.expect(to, blocks);
    }),
  },
  {
    weight: 2,
    arbitrary: fc.constant<Step>((index, model) => {
      const opened = index.open();
      if (opened !== null) model.opened(opened);
    }),
  },
  {
    weight: 1,
    arbitrary: holder.map((which): Step => (index, model) => {
      index.close(which);
      model.closed(which);
    }),
  },
  {
    weight: 1,
    arbitrary: holder.map((which): Step => (index, model) => {
      index.cleared(which);
      if (model.isOpen(which)) model.opened(which);
    }),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 700 }).map((time): Step => (_index, model, clock) => {
      clock.time += time;
      model.time = clock.time;
    }),
  },
  {
    weight: 1,
    arbitrary: fc.nat(8).map(
      (budget): Step =>
        (index) =>
          void index.sweep(budget),
    ),
  },
);
const stories = fc.array(steps, { minLength: 1, maxLength: 80, size: 'max' });

describe('BlockIndex beside a model of maps and sets', () => {
  it('says the same of every holder after every step, and holds the same in the end', () => {
    fc.assert(
      fc.property(stories, fc.array(path, { minLength: 3, maxLength: 3 }), (story, prompts) => {
        const { index, clock } = testIndex({ expectedFor, bounds: { maxHolders: holders } });
        const model = new Model();
        for (const step of story) {
          step(index, model, clock);
          for (const prompt of prompts) {
            const match = index.match(keysOf(prompt), prompt.length);
            for (let of = 0; of < holders; of++) {
              expect([match.blocks[of], match.cpu[of], match.disk[of]]).toEqual(model.found(of, prompt));
            }
          }
        }
        clock.time += expectedFor;
        while (index.sweep(3));
        const { orphans, removedUnknown } = model;
        expect(index.counters).toMatchObject({ ...model.settled(), expected: 0, unswept: 0, refused: 0 });
        expect(index.counters).toMatchObject({ orphans, removedUnknown });
      }),
      { numRuns: 400 },
    );
  }, 60_000);

  it('says nothing that is not so when it is too small, and never exceeds its bounds', () => {
    const bounds = { maxHolders: holders, maxBlocks: 6, maxPlacements: 8, maxExpected: 3 };
    fc.assert(
      fc.property(stories, fc.array(path, { minLength: 3, maxLength: 3 }), (story, prompts) => {
        const { index, clock } = testIndex({ expectedFor, bounds });
        const model = new Model(false);
        for (const step of story) {
          step(index, model, clock);
          for (const prompt of prompts) {
            const match = index.match(keysOf(prompt), prompt.length);
            for (let of = 0; of < holders; of++) {
              expect(match.blocks[of]).toBeLessThanOrEqual(model.found(of, prompt)[0]);
            }
          }
          const { blocks, placements, expected } = index.counters;
          expect(blocks).toBeLessThanOrEqual(bounds.maxBlocks);
          expect(placements).toBeLessThanOrEqual(bounds.maxPlacements);
          expect(expected).toBeLessThanOrEqual(bounds.maxExpected);
        }
        for (let of = 0; of < holders; of++) index.close(of);
        clock.time += expectedFor;
        while (index.sweep(3));
        expect(index.counters).toMatchObject({ blocks: 0, placements: 0, expected: 0, unswept: 0 });
      }),
      { numRuns: 400 },
    );
  }, 60_000);
});
