import { expect, test } from 'vitest';
import { mean, quantile } from './statistics.ts';

test('quantiles interpolate between ranks, whatever the order', () => {
  const values = [4, 1, 3, 2, 5];
  expect([0, 0.25, 0.5, 0.9, 1].map((share) => quantile(values, share))).toEqual([1, 2, 3, 4.6, 5]);
  expect(quantile([7], 0.9)).toBe(7);
  expect(values).toEqual([4, 1, 3, 2, 5]);
});

test('of nothing there is neither mean nor quantile', () => {
  expect([mean([]), quantile([], 0.5)]).toEqual([NaN, NaN]);
  expect(mean([1, 2, 6])).toBe(3);
});
