import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { randomPicker } from './random.ts';

it('random-picker picks all alike, whatever their scores: within five standard deviations', () => {
  const picker = randomPicker.create({}, contextOf(readyStates(1), seeded(5)));
  const counts = [0, 0, 0];
  const times = 15_000;
  for (let i = 0; i < times; i++)
    counts[picker.pick(request(), candidatesOf(endpoints(3)), Float64Array.of(-9, 0, 9))] += 1;
  for (const count of counts) expect(Math.abs(count - times / 3)).toBeLessThan(5 * Math.sqrt((times * 2) / 9));
});
