import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoints, request } from '../../test/fixtures/fleet.ts';
import type { Direction, Picker, WeightedScorer } from './plugin.ts';
import { SchedulingProfile } from './profile.ts';

function fixed(type: string, values: readonly number[], weight: number, direction: Direction): WeightedScorer {
  const score = (_request: unknown, candidates: { length: number }, out: Float64Array): void => {
    for (let i = 0; i < candidates.length; i++) out[i] = values[i];
  };
  return { type, weight, direction, scorer: { score } };
}

/** Picks the first and keeps what it was shown. */
class Witness implements Picker {
  costs: number[] = [];
  pick(_request: unknown, candidates: { length: number }, costs: Float64Array): number {
    this.costs = Array.from(costs.subarray(0, candidates.length));
    return candidates.length - 1;
  }
}

function profileOf(scorers: WeightedScorer[]): { profile: SchedulingProfile; witness: Witness } {
  const witness = new Witness();
  return {
    profile: new SchedulingProfile({
      filters: [],
      filterTypes: [],
      scorers,
      picker: witness,
      pickerType: 'witness',
      readsHits: false,
      description: '',
    }),
    witness,
  };
}

describe('SchedulingProfile', () => {
  it('adds weight times value of costs', () => {
    const { profile, witness } = profileOf([fixed('a', [1, 2, 3], 2, 'cost'), fixed('b', [10, 0, 5], 1, 'cost')]);
    expect(profile.run(request(), candidatesOf(endpoints(3)))).toBe(2);
    expect(witness.costs).toEqual([12, 4, 11]);
  });

  it('turns gains into costs, so that pickers know one direction', () => {
    const { profile, witness } = profileOf([fixed('a', [1, 0], 3, 'gain'), fixed('b', [0.5, 1], 1, 'gain')]);
    profile.run(request(), candidatesOf(endpoints(2)));
    expect(witness.costs).toEqual([-3.5, -1]);
  });

  it('shows a picker equal costs where there are no scorers, also after a run with some', () => {
    const { profile, witness } = profileOf([]);
    profile.run(request(), candidatesOf(endpoints(3)));
    expect(witness.costs).toEqual([0, 0, 0]);
  });

  it('starts each run from nothing, and fits any number of candidates', () => {
    const values = Array.from({ length: 500 }, (_, i) => i);
    const { profile, witness } = profileOf([fixed('a', values, 1, 'cost')]);
    for (const count of [3, 500, 2]) {
      profile.run(request(), candidatesOf(endpoints(count)));
      expect(witness.costs).toEqual(values.slice(0, count));
    }
  });

  it('explains every candidate: value, weight and weighted sum as the scorers mean it', () => {
    const { profile } = profileOf([fixed('a', [1, 0], 3, 'gain'), fixed('b', [0.5, 1], 1, 'gain')]);
    expect(profile.explain(request(), candidatesOf(endpoints(2)))).toEqual([
      {
        endpoint: 'e0',
        address: '10.0.0.0:8000',
        score: 3.5,
        parts: [
          { scorer: 'a', value: 1, weight: 3 },
          { scorer: 'b', value: 0.5, weight: 1 },
        ],
      },
      {
        endpoint: 'e1',
        address: '10.0.0.1:8000',
        score: 1,
        parts: [
          { scorer: 'a', value: 0, weight: 3 },
          { scorer: 'b', value: 1, weight: 1 },
        ],
      },
    ]);
  });

  it('explains only the candidates of now', () => {
    const { profile } = profileOf([fixed('a', Array<number>(200).fill(1), 1, 'cost')]);
    const candidates = candidatesOf(endpoints(200));
    expect(profile.explain(request(), candidates)).toHaveLength(200);
    candidates.clear();
    candidates.push(endpoints(1)[0]);
    expect(profile.explain(request(), candidates)).toHaveLength(1);
  });
});
