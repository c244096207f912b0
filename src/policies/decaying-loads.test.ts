import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoint } from '../../test/fixtures/fleet.ts';
import { DecayingLoads } from './decaying-loads.ts';

/** The loads of these slots, and their sum. */
function read(loads: DecayingLoads, slots: number[], now: number): number[] {
  const out = new Float64Array(slots.length);
  const sum = loads.read(candidatesOf(slots.map((slot) => endpoint(slot))), out, now);
  return [...out, sum];
}

describe('DecayingLoads', () => {
  it('adds up what is charged at different times as it is left now', () => {
    const loads = new DecayingLoads(3, 0.5);
    loads.add(1, 100, 1000);
    loads.add(1, 100, 2000);
    loads.add(2, 8, 2000);
    expect(read(loads, [0, 1, 2], 3000)).toEqual([0, 75, 4, 79]);
  });

  it('changes nothing by being read', () => {
    const loads = new DecayingLoads(1, 0.5);
    loads.add(0, 100, 0);
    for (const now of [1000, 2000, 1000]) read(loads, [0], now);
    expect(read(loads, [0], 1000)).toEqual([50, 50]);
  });

  it('gives back what is left of a charge, and the rest stays', () => {
    const loads = new DecayingLoads(1, 0.5);
    loads.add(0, 100, 0);
    loads.add(0, 40, 1000);
    loads.giveBack(0, 100, 0, 2000);
    expect(read(loads, [0], 2000)).toEqual([20, 20]);
  });

  it('does not shrink with a factor of 1, and is gone at once with 0', () => {
    const [forever, never] = [new DecayingLoads(1, 1), new DecayingLoads(1, 0)];
    for (const loads of [forever, never]) loads.add(0, 7, 0);
    expect(read(forever, [0], 1e9)).toEqual([7, 7]);
    expect(read(never, [0], 0)).toEqual([7, 7]);
    expect(read(never, [0], 1)).toEqual([0, 0]);
  });

  it('is never negative, and nothing when all has been given back', () => {
    const amount = fc.double({ min: 0, max: 1e6, noNaN: true });
    const step = fc.record({ amount, later: fc.nat(1e6), which: fc.nat(), gives: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.double({ min: 0, max: 1, noNaN: true }), (steps, decay) => {
        const loads = new DecayingLoads(1, decay);
        const open: { amount: number; at: number }[] = [];
        let now = 0;
        const give = (place: number): void => {
          for (const one of open.splice(place, 1)) loads.giveBack(0, one.amount, one.at, now);
        };
        for (const each of steps) {
          now += each.later;
          if (each.gives && open.length > 0) give(each.which % open.length);
          else {
            loads.add(0, each.amount, now);
            open.push({ amount: each.amount, at: now });
          }
          expect(read(loads, [0], now)[0]).toBeGreaterThanOrEqual(0);
        }
        while (open.length > 0) give(0);
        expect(read(loads, [0], now)).toEqual([0, 0]);
      }),
    );
  });
});
