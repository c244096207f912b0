import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byNamespace, fairShares } from './fair-share.ts';

const shares = (demands: Record<string, number>, capacity: number): Record<string, number> =>
  Object.fromEntries(fairShares(new Map(Object.entries(demands)), capacity));

describe('fair shares', () => {
  const cases: [string, Record<string, number>, number, Record<string, number>][] = [
    ['all get what they ask for while it is enough', { a: 3, b: 5 }, 8, { a: 3, b: 5 }],
    ['one who asks for little gets it, whatever another asks for', { a: 1_000_000, b: 3 }, 10, { a: 7, b: 3 }],
    ['two who ask for much get the same', { a: 100, b: 900, c: 2 }, 10, { a: 4, b: 4, c: 2 }],
    ['one alone may have all', { a: 100 }, 10, { a: 10 }],
    ['nobody asks for nothing in vain', { a: 0, b: 20 }, 10, { a: 0, b: 10 }],
  ]; // prettier-ignore
  it.each(cases)('%s', (_sentence, demands, capacity, wanted) => {
    expect(shares(demands, capacity)).toEqual(wanted);
  });

  it('are never more than asked nor all together more than there is, and leave nothing that is asked for', () => {
    const demands = fc.dictionary(fc.string(), fc.nat(1000), { minKeys: 1 });
    fc.assert(
      fc.property(demands, fc.nat(3000), (asked, capacity) => {
        const given = fairShares(new Map(Object.entries(asked)), capacity);
        let sum = 0;
        let wanted = 0;
        for (const [key, share] of given) {
          expect(share).toBeLessThanOrEqual(asked[key]);
          sum += share;
          wanted += asked[key];
        }
        expect(sum).toBeCloseTo(Math.min(capacity, wanted), 6);
      }),
    );
  });

  it('are of sums by namespace', () => {
    const items = [
      { namespace: 'a', n: 1 },
      { namespace: 'b', n: 2 },
      { namespace: 'a', n: 3 },
    ];
    expect(byNamespace(items, ({ n }) => n)).toEqual(new Map([['a', 4], ['b', 2]])); // prettier-ignore
  });
});
