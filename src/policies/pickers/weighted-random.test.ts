import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { weightedRandom } from './weighted-random.ts';

/** How often each place is picked, by gains. */
function picks(gains: number[], times: number): number[] {
  const picker = weightedRandom.create({}, contextOf(readyStates(1), seeded(5)));
  const counts = gains.map(() => 0);
  const costs = Float64Array.from([...gains, 100], (gain) => -gain);
  for (let i = 0; i < times; i++) counts[picker.pick(request(), candidatesOf(endpoints(gains.length)), costs)] += 1;
  return counts;
}

describe('weighted-random-picker', () => {
  it.each([
    ['in proportion to their gains', [1, 0, 3, 4], [1 / 8, 0, 3 / 8, 1 / 2]],
    ['all alike where none has any', [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]],
    ['never those below zero', [-5, 2, -1], [0, 1, 0]],
  ])(
    'picks %s: within five standard deviations (by chance one run in 1.7 million fails)',
    (_sentence, gains, shares) => {
      const times = 20_000;
      picks(gains, times).forEach((count, i) => {
        const deviation = Math.sqrt(times * shares[i] * (1 - shares[i]));
        expect(Math.abs(count - times * shares[i])).toBeLessThanOrEqual(5 * deviation);
      });
    },
  );

  it.each([
    [0, 1],
    [1 - 2 ** -53, 2],
  ])('stays with those that have gains at the edge of chance: %d', (point, expected) => {
    const picker = weightedRandom.create(
      {},
      contextOf(readyStates(1), () => point),
    );
    const costs = Float64Array.of(0, -0.1, -0.3, 0);
    expect(picker.pick(request(), candidatesOf(endpoints(4)), costs)).toBe(expected);
  });
});
