import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request, seeded } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts, type Pairs } from '../../router/pairs.ts';
import type { PairPicker } from '../../router/plugin.ts';
import { cheapestPair } from './cheapest.ts';

interface Group {
  readonly cost: number;
  /** Cost and charge of each. */
  readonly prefills: readonly (readonly [number, number])[];
  readonly decodes: readonly (readonly [number, number])[];
}

function scene(groups: readonly Group[]): { pairs: Pairs; costs: PairCosts } {
  const shapes = groups.map(({ prefills, decodes }, g) => ({
    name: `g${g}`,
    from: 10 * g,
    prefills: prefills.length,
    decodes: decodes.length,
  }));
  const pairs = pairsOf(shapes);
  const costs = new PairCosts();
  costs.reset(pairs);
  const fill = (side: 'prefills' | 'decodes', found: PairCosts['prefills']): void => {
    groups
      .flatMap((group) => group[side])
      .forEach(([cost, charge], i) => {
        found.costs[i] = cost;
        found.charges[i] = charge;
      });
  };
  costs.groups.set(groups.map(({ cost }) => cost));
  fill('prefills', costs.prefills);
  fill('decodes', costs.decodes);
  return { pairs, costs };
}

const picker = (random = seeded(1)): PairPicker => cheapestPair.create({}, contextOf(readyStates(1), random));

/** The pick as `group/prefill/decode`, by places. */
function pick(groups: readonly Group[], by = picker()): string {
  const { pairs, costs } = scene(groups);
  by.pick(request(), pairs, costs);
  return `${pairs.group}/${pairs.prefill}/${pairs.decode}`;
}

const free = [0, 0] as const;

describe('picker-pd-kv-cache-aware', () => {
  it.each<[string, Group[], string]>([
    [
      'the cheapest pair, though other groups have a cheaper half',
      [
        { cost: 0, prefills: [[0, 0]], decodes: [[9, 0]] },
        { cost: 0, prefills: [[4, 0]], decodes: [[4, 0]] },
        { cost: 0, prefills: [[9, 0]], decodes: [[0, 0]] },
      ],
      '1/1/1',
    ],
    [
      'the group of the lowest cost where members cost alike',
      [
        { cost: 3, prefills: [free], decodes: [free] },
        { cost: -1, prefills: [free], decodes: [free] },
      ],
      '1/1/1',
    ],
    [
      'the least charged of a group',
      [
        {
          cost: 0,
          prefills: [
            [0, 5],
            [0, 2],
            [0, 4],
          ],
          decodes: [
            [0, 3],
            [0, 1],
          ],
        },
      ],
      '0/1/1',
    ],
    [
      'a cheap member before one that is little charged',
      [
        {
          cost: 0,
          prefills: [
            [1, 0],
            [0, 9],
          ],
          decodes: [free],
        },
      ],
      '0/1/0',
    ],
    [
      'no group for its charges',
      [
        { cost: 0, prefills: [[0, 100]], decodes: [[0, 100]] },
        { cost: 1, prefills: [free], decodes: [free] },
      ],
      '0/0/0',
    ],
  ])('picks %s', (_sentence, groups, expected) => {
    expect(pick(groups)).toBe(expected);
  });

  it('is fair among equal pairs: each within five standard deviations (by chance one run in 1.7 million fails)', () => {
    const groups: Group[] = [
      { cost: 0, prefills: [free, free], decodes: [free, [1, 0], free] },
      { cost: 5, prefills: [free], decodes: [free] },
      { cost: 0, prefills: [free], decodes: [[0, 1], free] },
    ];
    const by = picker();
    const counts = new Map<string, number>();
    const times = 20_000;
    for (let i = 0; i < times; i++) {
      const found = pick(groups, by);
      counts.set(found, (counts.get(found) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['0/0/0', '0/0/2', '0/1/0', '0/1/2', '2/3/5']);
    for (const count of counts.values())
      expect(Math.abs(count - times / 5)).toBeLessThan(5 * Math.sqrt(times * 0.2 * 0.8));
  });

  it('finds what a search of all pairs of all groups finds, and counts the equals', () => {
    const member = fc.tuple(fc.nat(3), fc.nat(2));
    const side = fc.array(member, { minLength: 1, maxLength: 4 });
    const group = fc.record({ cost: fc.nat(2), prefills: side, decodes: side });
    fc.assert(
      fc.property(fc.array(group, { minLength: 1, maxLength: 5 }), fc.integer(), (groups, seed) => {
        const every = groups.flatMap(({ cost, prefills, decodes }, g) =>
          prefills.flatMap(([p, chargeP], i) =>
            decodes.map(([d, chargeD], j) => ({ g, i, j, cost: cost + p + d, p, d, chargeP, chargeD })),
          ),
        );
        const lowest = Math.min(...every.map(({ cost }) => cost));
        const cheapest = every.filter(({ cost }) => cost === lowest);
        const isLeast = (one: (typeof every)[0]): boolean =>
          cheapest.every(
            (other) =>
              other.g !== one.g ||
              ((other.p !== one.p || other.chargeP >= one.chargeP) &&
                (other.d !== one.d || other.chargeD >= one.chargeD)),
          );
        const equals = cheapest.filter(isLeast);
        const { pairs, costs } = scene(groups);
        picker(seeded(seed)).pick(request(), pairs, costs);
        expect(pairs.equals).toBe(equals.length);
        const i = pairs.prefill - pairs.prefillStarts[pairs.group];
        const j = pairs.decode - pairs.decodeStarts[pairs.group];
        expect(equals.map((one) => [one.g, one.i, one.j])).toContainEqual([pairs.group, i, j]);
      }),
    );
  });
});
