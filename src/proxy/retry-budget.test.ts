import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RetryBudget } from './retry-budget.ts';

/** How many retries fit at once. */
function room(budget: RetryBudget, now: number, limits: { percent: number; minPerSecond: number }): number {
  let taken = 0;
  while (taken < 10_000 && budget.take(now, limits)) taken += 1;
  return taken;
}

function after(requests: number, at = 5000): RetryBudget {
  const budget = new RetryBudget();
  for (let i = 0; i < requests; i++) budget.request(at);
  return budget;
}

describe('RetryBudget', () => {
  const cases: [string, number, { percent: number; minPerSecond: number }, number][] = [
    ['a fifth of a hundred requests', 100, { percent: 20, minPerSecond: 0 }, 20],
    ['the minimum of ten seconds where there were few requests', 1, { percent: 20, minPerSecond: 10 }, 100],
    ['the greater of the two', 1000, { percent: 20, minPerSecond: 10 }, 200],
    ['none where both are zero', 1000, { percent: 0, minPerSecond: 0 }, 0],
    ['none of so few requests that the share is less than one', 4, { percent: 20, minPerSecond: 0 }, 0],
    ['as many as there were requests', 7, { percent: 100, minPerSecond: 0 }, 7],
  ];
  it.each(cases)('allows %s', (_name, requests, limits, wanted) => {
    expect(room(after(requests), 5000, limits)).toBe(wanted);
  });

  it('forgets requests and retries after ten seconds, second by second', () => {
    const limits = { percent: 50, minPerSecond: 0 };
    const budget = after(100);
    expect(room(budget, 5000, limits)).toBe(50);
    expect(room(budget, 14_999, limits)).toBe(0);
    expect(room(budget, 15_000, limits)).toBe(0);
    for (let i = 0; i < 10; i++) budget.request(15_000);
    expect(room(budget, 15_000, limits)).toBe(5);
  });

  it('is empty after a long silence', () => {
    expect(room(after(100), 3_600_000, { percent: 100, minPerSecond: 0 })).toBe(0);
  });

  it('never allows more than its share over ten seconds, whatever the times', () => {
    const step = fc.record({ wait: fc.integer({ min: 0, max: 3000 }), retry: fc.boolean() });
    const limits = fc.record({
      percent: fc.integer({ min: 0, max: 100 }),
      minPerSecond: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), limits, (steps, bounds) => {
        const budget = new RetryBudget();
        const requests: number[] = [];
        const retries: number[] = [];
        let now = 1;
        for (const { wait, retry } of steps) {
          now += wait;
          if (!retry) {
            budget.request(now);
            requests.push(now);
            continue;
          }
          const oldest = (Math.floor(now / 1000) - 9) * 1000;
          const recent = (list: number[]) => list.filter((at) => at >= oldest).length;
          const allowed = Math.max((recent(requests) * bounds.percent) / 100, bounds.minPerSecond * 10);
          const fits = recent(retries) + 1 <= allowed;
          expect(budget.take(now, bounds)).toBe(fits);
          if (fits) retries.push(now);
        }
      }),
    );
  });
});
