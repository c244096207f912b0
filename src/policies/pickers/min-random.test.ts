import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { minRandom } from './min-random.ts';

/** How often each place is picked. */
function picks(costs: number[], times: number): number[] {
  const picker = minRandom.create({}, contextOf(readyStates(1), seeded(5)));
  const candidates = candidatesOf(endpoints(costs.length));
  const found = Array<number>(costs.length).fill(0);
  for (let i = 0; i < times; i++) found[picker.pick(request(), candidates, Float64Array.from(costs))] += 1;
  return found;
}

describe('picker-min-random', () => {
  it.each([
    ['the only one', [3], [10]],
    ['the lowest, first', [1, 2, 3], [10, 0, 0]],
    ['the lowest, in the middle', [2, 1, 3], [0, 10, 0]],
    ['the lowest, last', [3, 2, -1], [0, 0, 10]],
    ['never an equal of what was the lowest before', [2, 2, 2, 1], [0, 0, 0, 10]],
  ])('picks %s', (_sentence, costs, expected) => {
    expect(picks(costs, 10)).toEqual(expected);
  });

  it('is fair among equals: each share lies within five standard deviations (by chance one run in 1.7 million fails)', () => {
    const times = 30_000;
    const found = picks([1, 1, 0, 5, 0, 0], times);
    const deviation = Math.sqrt(times * (1 / 3) * (2 / 3));
    expect(found[0] + found[1] + found[3]).toBe(0);
    for (const place of [2, 4, 5]) expect(Math.abs(found[place] - times / 3)).toBeLessThan(5 * deviation);
  });

  it('looks at the first candidates only', () => {
    const picker = minRandom.create({}, contextOf(readyStates(1), seeded(5)));
    expect(picker.pick(request(), candidatesOf(endpoints(2)), Float64Array.of(5, 4, -100))).toBe(1);
  });
});
