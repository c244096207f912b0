import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { Deadlines, type Timed } from './deadlines.ts';

let clock: ManualClock;
let deadlines: Deadlines;

beforeEach(() => {
  clock = new ManualClock();
  deadlines = new Deadlines(clock);
});

/** Something due in so many milliseconds, with the times at which it was called. */
function due(milliseconds: number, called: (timed: Timed, now: number) => void = (timed) => deadlines.delete(timed)) {
  const at: number[] = [];
  const timed: Timed = {
    deadline: clock.now() + milliseconds,
    place: -1,
    timeOut(now) {
      at.push(now);
      called(timed, now);
    },
  };
  return { timed, at };
}

describe('Deadlines', () => {
  it('calls what is due, no sooner and at most one look late', () => {
    const { timed, at } = due(120);
    const start = clock.now();
    deadlines.add(timed);
    clock.advance(100);
    expect(at).toEqual([]);
    clock.advance(400);
    expect(at).toHaveLength(1);
    expect(at[0] - start).toBeGreaterThanOrEqual(120);
    expect(at[0] - start).toBeLessThanOrEqual(170);
  });

  it('calls each of many in its time and leaves the others alone', () => {
    const all = [50, 200, 90, Infinity].map((time) => due(time));
    for (const { timed } of all) deadlines.add(timed);
    clock.advance(150);
    expect(all.map(({ at }) => at.length)).toEqual([1, 0, 1, 0]);
    expect(deadlines.size).toBe(2);
  });

  it('follows a deadline that moves', () => {
    const { timed, at } = due(100);
    deadlines.add(timed);
    for (let i = 0; i < 10; i++) {
      clock.advance(60);
      timed.deadline = deadlines.coarseNow + 150;
    }
    expect(at).toEqual([]);
    clock.advance(250);
    expect(at).toHaveLength(1);
  });

  it('does not call what was taken out', () => {
    const { timed, at } = due(50);
    deadlines.add(timed);
    deadlines.delete(timed);
    clock.advance(500);
    expect(at).toEqual([]);
    expect(deadlines.size).toBe(0);
  });

  it('does not call what another takes out in the same look', () => {
    const both = [0, 1].map(() =>
      due(50, () => {
        for (const { timed } of both) deadlines.delete(timed);
      }),
    );
    for (const { timed } of both) deadlines.add(timed);
    clock.advance(200);
    expect(both.map(({ at }) => at.length).sort()).toEqual([0, 1]);
  });

  it('holds what came in and has not been taken out, each once', () => {
    const one = fc.record({ index: fc.nat(9), into: fc.boolean() });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 60 }), (moves) => {
        const book = new Deadlines(clock);
        const members = Array.from({ length: 10 }, () => due(Infinity).timed);
        const held = new Set<Timed>();
        for (const { index, into } of moves) {
          if (into) book.add(members[index]);
          else book.delete(members[index]);
          if (into) held.add(members[index]);
          else held.delete(members[index]);
        }
        expect(book.size).toBe(held.size);
        expect(new Set(book.all())).toEqual(held);
        expect(members.every((member) => member.place >= 0 === held.has(member))).toBe(true);
      }),
    );
  });

  it('sets no timer while there is nothing to look at', () => {
    expect(clock.pending).toBe(0);
    const { timed } = due(1000);
    deadlines.add(timed);
    expect(clock.pending).toBe(1);
    deadlines.delete(timed);
    clock.advance(100);
    expect(clock.pending).toBe(0);
  });

  it('has one timer, also where the last one out comes in again while it is called', () => {
    const { timed } = due(50, (again, now) => {
      deadlines.delete(again);
      again.deadline = now + 50;
      deadlines.add(again);
    });
    deadlines.add(timed);
    clock.advance(1000);
    expect(clock.pending).toBe(1);
  });

  it('knows the time within a look, also after a pause', () => {
    const { timed } = due(Infinity);
    clock.advance(10_000);
    deadlines.add(timed);
    expect(deadlines.coarseNow).toBe(clock.now());
    clock.advance(1000);
    expect(clock.now() - deadlines.coarseNow).toBeLessThanOrEqual(50);
  });
});
