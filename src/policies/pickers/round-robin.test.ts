import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoint, readyStates, request } from '../../../test/fixtures/fleet.ts';
import type { Picker } from '../../router/plugin.ts';
import { roundRobin } from './round-robin.ts';

const make = (): Picker => roundRobin.create({}, contextOf(readyStates(1)));

/** The slot picked among candidates of these slots. */
function pick(picker: Picker, slots: number[]): number {
  return slots[
    picker.pick(request(), candidatesOf(slots.map((slot) => endpoint(slot))), new Float64Array(slots.length))
  ];
}

describe('picker-round-robin', () => {
  it('takes one after the other and begins again, whatever the scores', () => {
    const picker = make();
    expect([1, 2, 3, 4, 5].map(() => pick(picker, [0, 1, 2]))).toEqual([0, 1, 2, 0, 1]);
  });

  it('tells whose turn it is without going on', () => {
    const picker = make();
    const candidates = candidatesOf([endpoint(0), endpoint(1)]);
    for (const turn of [0, 1, 0]) {
      for (let i = 0; i < 3; i++) expect(picker.peek?.(request(), candidates, new Float64Array(2))).toBe(turn);
      expect(pick(picker, [0, 1])).toBe(turn);
    }
  });

  it('goes by slot, not by place', () => {
    const picker = make();
    expect(
      [
        [5, 1, 9],
        [9, 5, 1],
        [1, 9, 5],
        [5, 1, 9],
      ].map((slots) => pick(picker, slots)),
    ).toEqual([1, 5, 9, 1]);
  });

  it('goes on where it was when a candidate leaves or comes', () => {
    const picker = make();
    expect(
      [
        [0, 1, 2],
        [0, 1, 2],
        [0, 2],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
      ].map((slots) => pick(picker, slots)),
    ).toEqual([0, 1, 2, 3, 0]);
  });

  it('keeps the round of two profiles apart', () => {
    const [one, other] = [make(), make()];
    expect([pick(one, [0, 1]), pick(one, [0, 1]), pick(other, [0, 1])]).toEqual([0, 1, 0]);
  });

  it('serves everybody once in any n picks among n candidates', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(500), { minLength: 1, maxLength: 30 }), fc.nat(40), (slots, warmUp) => {
        const picker = make();
        for (let i = 0; i < warmUp; i++) pick(picker, slots);
        expect(new Set(slots.map(() => pick(picker, slots))).size).toBe(slots.length);
      }),
    );
  });
});
