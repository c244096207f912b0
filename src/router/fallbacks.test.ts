import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoints } from '../../test/fixtures/fleet.ts';
import { Fallbacks } from './fallbacks.ts';

/** Slots of the fallbacks of a pick among endpoints of these costs. */
function slots(costs: readonly number[], pick: number, limit: number, spared = 0): number[] {
  const candidates = candidatesOf(endpoints(costs.length + spared));
  candidates.length = costs.length;
  candidates.spared = spared;
  const found = new Fallbacks().cheapest(candidates, Float64Array.from(costs), pick, limit);
  return found.map(({ slot }) => slot);
}

describe('Fallbacks', () => {
  it.each([
    ['the best but the pick, in their order', [5, 1, 4, 2, 3], 1, 3, [3, 4, 2]],
    ['all others where there are fewer', [5, 1, 4], 1, 7, [2, 0]],
    ['none beside the only one', [1], 0, 2, []],
    ['none where none is wanted', [1, 2], 0, 0, []],
    ['the next after the pick among equals, round the end', [0, 0, 0, 0], 2, 2, [3, 0]],
    ['better ones than a pick that was no best', [1, 9, 2], 1, 1, [0]],
  ])('are %s', (_sentence, costs, pick, limit, expected) => {
    expect(slots(costs, pick, limit)).toEqual(expected);
  });

  it.each([
    ['come last', 3, [1, 2, 3]],
    ['come only as far as they are wanted', 2, [1, 2]],
    ['do not come where there are enough others', 1, [1]],
  ])('that the decision has left out %s', (_sentence, limit, expected) => {
    expect(slots([1, 2], 0, limit, 2)).toEqual(expected);
  });

  it('forget those of the decision before', () => {
    const fallbacks = new Fallbacks();
    const candidates = candidatesOf(endpoints(4));
    expect(fallbacks.cheapest(candidates, Float64Array.of(1, 2, 3, 4), 0, 3)).toHaveLength(3);
    expect(fallbacks.cheapest(candidates, Float64Array.of(4, 3, 2, 1), 3, 1).map(({ slot }) => slot)).toEqual([2]);
  });

  it('are the head of a sorted list, whatever the costs', () => {
    // Costs are compared, and -0 is no less than 0.
    const cost = fc.oneof(
      fc.nat(5),
      fc.double({ noNaN: true }).map((value) => value + 0),
    );
    fc.assert(
      fc.property(fc.array(cost, { minLength: 1, maxLength: 40 }), fc.nat(), fc.nat(6), (costs, any, limit) => {
        const pick = any % costs.length;
        const found = slots(costs, pick, limit);
        const sorted = costs.filter((_, i) => i !== pick).sort((a, b) => a - b);
        expect(found.map((slot) => costs[slot])).toEqual(sorted.slice(0, limit));
        expect(new Set([...found, pick]).size).toBe(found.length + 1);
      }),
    );
  });
});
