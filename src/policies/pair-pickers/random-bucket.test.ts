import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import { randomBucket } from './random-bucket.ts';

describe('picker-random-pd-bucket', () => {
  const pairs = pairsOf([
    { name: 'a', from: 0, prefills: 1, decodes: 1 },
    { name: 'b', from: 10, prefills: 2, decodes: 4 },
  ]);

  it('draws the group first, then each side: within five standard deviations (by chance one run in 1.7 million fails)', () => {
    const picker = randomBucket.create({}, contextOf(readyStates(1), seeded(2)));
    const times = 20_000;
    const counts = new Map<string, number>();
    for (let i = 0; i < times; i++) {
      picker.pick(request(), pairs, new PairCosts());
      const found = `${pairs.group}/${pairs.prefill}/${pairs.decode}`;
      counts.set(found, (counts.get(found) ?? 0) + 1);
    }
    const near = (found: string, share: number): void => {
      expect(Math.abs((counts.get(found) ?? 0) - times * share)).toBeLessThan(
        5 * Math.sqrt(times * share * (1 - share)),
      );
    };
    near('0/0/0', 1 / 2);
    for (const prefill of [1, 2]) for (const decode of [1, 2, 3, 4]) near(`1/${prefill}/${decode}`, 1 / 16);
    expect(counts.size).toBe(9);
  });

  it.each([0, 1 - 2 ** -53])('stays within the pairs at the edge of chance: %d', (point) => {
    randomBucket
      .create(
        {},
        contextOf(readyStates(1), () => point),
      )
      .pick(request(), pairs, new PairCosts());
    expect([pairs.group, pairs.prefill, pairs.decode]).toEqual(point === 0 ? [0, 0, 0] : [1, 2, 4]);
    expect(pairs.equals).toBe(1 + 2 * 4);
  });
});
