import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { maxScore } from './max-score.ts';

it('max-score-picker picks the highest sum of gains, each of equals as likely: within five standard deviations', () => {
  const picker = maxScore.create({}, contextOf(readyStates(1), seeded(5)));
  const counts = [0, 0, 0];
  const times = 10_000;
  // Pickers see gains as negative costs.
  for (let i = 0; i < times; i++)
    counts[picker.pick(request(), candidatesOf(endpoints(3)), Float64Array.of(-2, -1, -2, -9))] += 1;
  expect(counts[1]).toBe(0);
  expect(Math.abs(counts[0] - times / 2)).toBeLessThan(5 * Math.sqrt(times / 4));
  expect(picker.breaksTiesByChance).toBe(true);
});
