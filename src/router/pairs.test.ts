import { describe, expect, it } from 'vitest';
import { seeded } from '../../test/fixtures/fleet.ts';
import { pairsOf } from '../../test/fixtures/pairs.ts';
import { PairCosts, Pairs, RoleCosts } from './pairs.ts';

const shape = (name: string, from: number, prefills: number, decodes: number, leaders = 1) => ({
  name,
  from,
  prefills,
  decodes,
  leaders,
});

describe('Pairs', () => {
  it('keeps the members of each group together', () => {
    const pairs = pairsOf([shape('a', 0, 2, 1), shape('b', 10, 1, 3, 2)]);
    expect(pairs.length).toBe(2);
    expect([...pairs.prefillStarts.subarray(0, 3)]).toEqual([0, 2, 3]);
    expect([...pairs.decodeStarts.subarray(0, 3)]).toEqual([0, 1, 4]);
    expect([...pairs.leaderStarts.subarray(0, 3)]).toEqual([0, 1, 3]);
    expect([...pairs.prefills.slots.subarray(0, 3)]).toEqual([0, 1, 10]);
    expect([...pairs.decodes.slots.subarray(0, 4)]).toEqual([2, 11, 12, 13]);
  });

  it.each([
    ['prefillers', shape('b', 10, 0, 2)],
    ['decoders', shape('b', 10, 2, 0)],
    ['leaders', shape('b', 10, 2, 2, 0)],
  ])('leaves out a group without %s, with all its members', (_role, lacking) => {
    const pairs = pairsOf([shape('a', 0, 1, 1), lacking, shape('c', 20, 1, 1)]);
    expect(pairs.groups.slice(0, pairs.length).map(({ name }) => name)).toEqual(['a', 'c']);
    expect([pairs.prefills, pairs.decodes, pairs.leaders].map(({ length }) => length)).toEqual([2, 2, 2]);
    expect([...pairs.decodes.slots.subarray(0, 2)]).toEqual([1, 21]);
  });

  it('grows to any number of groups and members', () => {
    const shapes = Array.from({ length: 200 }, (_, i) => ({ ...shape(`g${i}`, i * 4, 2, 1), tpSize: i + 1 }));
    const pairs = pairsOf(shapes);
    expect(pairs.length).toBe(200);
    expect([...pairs.prefillStarts.subarray(0, 201)]).toEqual(Array.from({ length: 201 }, (_, i) => 2 * i));
    expect([...pairs.leaderStarts.subarray(0, 201)]).toEqual(Array.from({ length: 201 }, (_, i) => i));
    expect([...pairs.prefillSizes.subarray(0, 400)]).toEqual(
      Array.from({ length: 400 }, (_, i) => Math.floor(i / 2) + 1),
    );
  });

  it('is empty again for the next decision', () => {
    const pairs = pairsOf([shape('a', 0, 2, 1)]);
    pairs.clear();
    expect([pairs.length, pairs.prefills.length, pairs.decodes.length, pairs.leaders.length]).toEqual([0, 0, 0, 0]);
  });
});

describe('RoleCosts', () => {
  function roleCosts(costs: number[], charges: number[]): RoleCosts {
    const made = new RoleCosts();
    made.costs.set(costs);
    made.charges.set(charges);
    return made;
  }

  it.each([
    ['the lowest cost', [3, 1, 2], [0, 9, 0], 1],
    ['the least charged among equal costs', [1, 1, 1], [5, 7, 4], 2],
    ['the first among equals in both', [2, 1, 1], [0, 3, 3], 1],
  ])('has as its best %s', (_sentence, costs, charges, best) => {
    expect(roleCosts(costs, charges).best(0, 3)).toBe(best);
  });

  it('looks at its range alone', () => {
    const found = roleCosts([0, 5, 4, 0], [0, 0, 0, 0]);
    expect(found.best(1, 3)).toBe(2);
    expect(found.equals(1, 3)).toBe(1);
    expect(roleCosts([1, 1, 1, 1], [0, 0, 1, 0]).equals(0, 4)).toBe(3);
  });

  it('draws each equal with the same chance: within five standard deviations (by chance one run in 1.7 million fails)', () => {
    const found = roleCosts([1, 2, 1, 1, 1], [0, 0, 0, 1, 0]);
    const random = seeded(3);
    const counts = [0, 0, 0, 0, 0];
    const times = 30_000;
    for (let i = 0; i < times; i++) counts[found.draw(0, 5, random)] += 1;
    expect([counts[1], counts[3]]).toEqual([0, 0]);
    for (const place of [0, 2, 4])
      expect(Math.abs(counts[place] - times / 3)).toBeLessThan(5 * Math.sqrt((times * 2) / 9));
  });
});

describe('PairCosts', () => {
  it('adds up what scorers write, by their weights, from zero each time', () => {
    const pairs = pairsOf([shape('a', 0, 2, 1)]);
    const [sum, values] = [new PairCosts(), new PairCosts()];
    for (let round = 0; round < 2; round++) {
      sum.reset(pairs);
      for (const weight of [2, 10]) {
        values.reset(pairs);
        values.groups[0] += 1;
        values.prefills.costs[1] += 2;
        values.prefills.charges[0] += 3;
        values.decodes.costs[0] += 4;
        values.decodes.charges[0] += 5;
        sum.add(values, weight, pairs);
      }
    }
    expect(sum.groups[0]).toBe(12);
    expect([...sum.prefills.costs.subarray(0, 2)]).toEqual([0, 24]);
    expect([...sum.prefills.charges.subarray(0, 2)]).toEqual([36, 0]);
    expect(sum.decodes.costs[0]).toBe(48);
    expect(sum.decodes.charges[0]).toBe(60);
  });

  it('has room for any number', () => {
    const pairs = pairsOf(Array.from({ length: 100 }, (_, i) => shape(`g${i}`, i * 4, 2, 1)));
    const costs = new PairCosts();
    costs.reset(pairs);
    expect(costs.groups.length).toBeGreaterThanOrEqual(100);
    expect(costs.prefills.costs.length).toBeGreaterThanOrEqual(200);
    expect(costs.decodes.charges.length).toBeGreaterThanOrEqual(100);
    expect(new Pairs().length).toBe(0);
  });
});
