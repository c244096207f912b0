import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { Alarm, onBeat, Schedule } from './schedule.ts';

let clock: ManualClock;
let schedule: Schedule;
let rung: string[];
const alarm = (name: string) => new Alarm(() => rung.push(name));

beforeEach(() => {
  clock = new ManualClock(1000);
  schedule = new Schedule(clock);
  rung = [];
});

describe('Schedule', () => {
  it('rings alarms in the order of their times, on one timer', () => {
    for (const [name, due] of [
      ['c', 1300],
      ['a', 1100],
      ['b', 1200],
    ] as const)
      schedule.set(alarm(name), due);
    expect(clock.pending).toBe(1);
    clock.advance(150);
    expect(rung).toEqual(['a']);
    clock.advance(200);
    expect(rung).toEqual(['a', 'b', 'c']);
    expect(clock.pending).toBe(0);
  });

  it('rings an alarm that is set twice once, at the later word', () => {
    const a = alarm('a');
    schedule.set(a, 1100);
    schedule.set(a, 1500);
    clock.advance(300);
    expect(rung).toEqual([]);
    clock.advance(300);
    expect(rung).toEqual(['a']);
  });

  it('does not ring a cleared alarm', () => {
    const a = alarm('a');
    schedule.set(a, 1100);
    schedule.set(alarm('b'), 1200);
    schedule.clear(a);
    clock.advance(1000);
    expect(rung).toEqual(['b']);
  });

  it('lets an alarm set itself again for now without ringing for ever', () => {
    const again: Alarm = new Alarm(() => {
      rung.push('again');
      schedule.set(again, 0);
    });
    schedule.set(again, 0);
    clock.advance(100);
    expect(rung.length).toBeGreaterThan(5);
    expect(rung.length).toBeLessThanOrEqual(20);
  });

  it('goes on with the others when one throws', () => {
    schedule.set(
      new Alarm(() => {
        throw new Error('broken');
      }),
      1100,
    );
    schedule.set(alarm('b'), 1100);
    expect(() => clock.advance(200)).toThrow('broken');
    clock.advance(200);
    expect(rung).toEqual(['b']);
  });

  it('rings nothing and holds no timer after it is closed', () => {
    const a = alarm('a');
    schedule.set(a, 1100);
    schedule.close();
    schedule.set(a, 1200);
    expect(clock.pending).toBe(0);
    clock.advance(1000);
    expect(rung).toEqual([]);
  });

  it('rings every alarm within its resolution, whatever is set and cleared', () => {
    const step = fc.record({
      alarm: fc.nat(39),
      at: fc.nat(500),
      what: fc.constantFrom('set', 'set', 'set', 'clear', 'wait'),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 40, maxLength: 200 }), (steps) => {
        clock = new ManualClock(1000);
        schedule = new Schedule(clock);
        const due = new Map<number, number>();
        const alarms = Array.from(
          { length: 40 },
          (_unused, i) =>
            new Alarm(() => {
              const late = clock.now() - (due.get(i) ?? -1);
              expect(late >= 0 && late <= 6).toBe(true);
              due.delete(i);
            }),
        );
        for (const { alarm: i, at, what } of steps) {
          if (what === 'wait') clock.advance(at);
          if (what === 'clear') due.delete(i);
          if (what === 'clear') schedule.clear(alarms[i]);
          if (what === 'set') due.set(i, clock.now() + Math.max(1, at));
          if (what === 'set') schedule.set(alarms[i], clock.now() + at);
        }
        clock.advance(1000);
        expect([...due]).toEqual([]);
      }),
    );
  });
});

describe('onBeat', () => {
  it.each([
    { says: 'goes to the nearest beat', due: 2_049, interval: 1_000, at: 2_000 },
    { says: 'goes to the nearest beat, the later one', due: 2_051, interval: 1_000, at: 2_100 },
    { says: 'leaves what is on a beat', due: 2_000, interval: 1_000, at: 2_000 },
    { says: 'lets short intervals keep their own time', due: 2_049, interval: 100, at: 2_049 },
  ])('$says', ({ due, interval, at }) => {
    expect(onBeat(due, interval)).toBe(at);
  });

  it('neither stretches an interval nor shortens it, however late each alarm rings', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 49 }), { minLength: 1, maxLength: 50 }), (late) => {
        let startedAt = 5_000;
        for (const delay of late) startedAt = onBeat(startedAt, 1_000) + delay + 1_000;
        expect(Math.round(startedAt / 100) * 100).toBe(5_000 + late.length * 1_000);
      }),
    );
  });
});
