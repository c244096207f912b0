import { beforeEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../router/feedback.ts';
import { EndpointStates, Flag } from '../router/states.ts';
import { mayEject, PassiveHealth } from './passive-health.ts';

const settings = { consecutiveFailures: 3, ejectFor: 10_000, maxEjectedPercent: 50 };
let states: EndpointStates;
let ejections: number[];
let suspects: number[];
let allowed: boolean;
let passive: PassiveHealth;
const report = (...outcomes: Outcome[]) => outcomes.forEach((outcome) => passive.report(1, outcome));

beforeEach(() => {
  states = new EndpointStates(2);
  ejections = [];
  suspects = [];
  allowed = true;
  passive = new PassiveHealth(states, {
    suspect: (slot) => suspects.push(slot),
    eject: (slot) => {
      if (allowed) ejections.push(slot);
      if (allowed) states.set(slot, Flag.ejected, true);
      return allowed;
    },
  });
  passive.setThreshold(1, 3);
});

describe('PassiveHealth', () => {
  it.each<Outcome>(['connect_failure', 'reset', 'timeout', 'server_error'])(
    'ejects after three times %s',
    (outcome) => {
      report(outcome, outcome);
      expect(ejections).toEqual([]);
      report(outcome);
      expect(ejections).toEqual([1]);
    },
  );

  it('counts different failures together', () => {
    report('timeout', 'reset', 'server_error');
    expect(ejections).toEqual([1]);
  });

  it('starts again after a success', () => {
    report('timeout', 'timeout', 'ok', 'timeout', 'timeout');
    expect(ejections).toEqual([]);
  });

  it('counts nothing for a slot that nobody watches', () => {
    passive.setThreshold(1, 0);
    report('reset', 'reset', 'reset', 'reset');
    expect([ejections, suspects]).toEqual([[], []]);
  });

  it('asks again with every failure while an ejection is not allowed', () => {
    allowed = false;
    report('timeout', 'timeout', 'timeout');
    allowed = true;
    report('timeout');
    expect(ejections).toEqual([1]);
  });

  it('takes no notice of failures during an ejection', () => {
    report('timeout', 'timeout', 'timeout', 'timeout', 'timeout', 'timeout', 'timeout');
    expect(ejections).toEqual([1]);
  });

  it('puts an endpoint on probation after its ejection: one failure ejects it, one success clears it', () => {
    report('timeout', 'timeout', 'timeout');
    states.set(1, Flag.ejected, false);
    report('timeout');
    expect(ejections).toEqual([1, 1]);
    states.set(1, Flag.ejected, false);
    report('ok', 'timeout', 'timeout');
    expect(ejections).toEqual([1, 1]);
  });

  it('suspects an endpoint at its first broken connection only, and never for being slow', () => {
    report('connect_failure', 'connect_failure', 'ok', 'timeout', 'ok', 'reset');
    expect(suspects).toEqual([1, 1]);
  });

  it('ejects for longer each time, up to six times, and anew after a long calm', () => {
    const lengths: number[] = [];
    let now = 1_000;
    for (let i = 0; i < 8; i++) {
      const until = passive.begin(1, settings, now);
      lengths.push((until - now) / 1_000);
      now = until + 1;
    }
    expect(lengths).toEqual([10, 20, 30, 40, 50, 60, 60, 60]);
    expect(passive.begin(1, settings, now + 60_001) - (now + 60_001)).toBe(10_000);
  });

  it('forgets everything of a slot with a new owner', () => {
    report('timeout', 'timeout');
    passive.begin(1, settings, 1_000);
    passive.clear(1);
    report('timeout', 'timeout');
    expect(ejections).toEqual([]);
    expect(passive.begin(1, settings, 1_000)).toBe(11_000);
  });
});

describe('mayEject', () => {
  it.each([
    { says: 'a lone endpoint stays', total: 1, ejected: 0, otherReady: 0, percent: 100, may: false },
    { says: 'one of two may go', total: 2, ejected: 0, otherReady: 1, percent: 10, may: true },
    { says: 'the second of two stays', total: 2, ejected: 1, otherReady: 0, percent: 100, may: false },
    { says: 'half of five is two', total: 5, ejected: 1, otherReady: 3, percent: 50, may: true },
    { says: 'and not three', total: 5, ejected: 2, otherReady: 2, percent: 50, may: false },
    { says: 'the last one ready stays', total: 5, ejected: 1, otherReady: 0, percent: 50, may: false },
    { says: 'nobody goes at 0 percent', total: 5, ejected: 0, otherReady: 4, percent: 0, may: false },
  ])('$says', ({ total, ejected, otherReady, percent, may }) => {
    expect(mayEject({ total, ejected, otherReady }, percent)).toBe(may);
  });
});
