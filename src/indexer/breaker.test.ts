import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { Breaker } from './breaker.ts';

function tickets(breaker: Breaker, count: number): number[] {
  return Array.from({ length: count }, () => {
    const ticket = breaker.admit();
    if (ticket === null) throw new Error('the breaker is open');
    return ticket;
  });
}

function broken(random = 0): { breaker: Breaker; clock: ManualClock } {
  const clock = new ManualClock();
  const breaker = new Breaker(clock, () => random);
  for (const ticket of tickets(breaker, 5)) breaker.failed(ticket);
  return { breaker, clock };
}

/** Whether a call is admitted just before and at the end of a pause. */
function opensAfter(breaker: Breaker, clock: ManualClock, pause: number): number {
  clock.advance(pause - 1);
  expect(breaker.admit()).toBeNull();
  clock.advance(1);
  return tickets(breaker, 1)[0];
}

describe('Breaker', () => {
  it('bears four failures in a row, and any number with a success between', () => {
    const breaker = new Breaker(new ManualClock(), () => 0);
    for (let round = 0; round < 3; round++) {
      for (const ticket of tickets(breaker, 4)) breaker.failed(ticket);
      breaker.succeeded(tickets(breaker, 1)[0]);
    }
    expect(breaker.admit()).not.toBeNull();
  });

  it('opens at the fifth for five seconds, then lets one trial through', () => {
    const { breaker, clock } = broken();
    expect(breaker.admit()).toBeNull();
    opensAfter(breaker, clock, 5000);
    expect(breaker.admit()).toBeNull();
  });

  it('closes when the trial succeeds, and starts counting and pausing anew', () => {
    const { breaker, clock } = broken();
    breaker.failed(opensAfter(breaker, clock, 5000));
    breaker.succeeded(opensAfter(breaker, clock, 10_000));
    for (const ticket of tickets(breaker, 4)) breaker.failed(ticket);
    breaker.succeeded(tickets(breaker, 1)[0]);
    for (const ticket of tickets(breaker, 5)) breaker.failed(ticket);
    opensAfter(breaker, clock, 5000);
  });

  it('doubles the pause with every failed trial, up to a minute', () => {
    const { breaker, clock } = broken();
    for (const pause of [5000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
      breaker.failed(opensAfter(breaker, clock, pause));
    }
  });

  it('adds up to a fifth of a pause by chance', () => {
    const { breaker, clock } = broken(0.5);
    opensAfter(breaker, clock, 5500);
  });

  it('does not count calls that began before it opened', () => {
    const clock = new ManualClock();
    const breaker = new Breaker(clock, () => 0);
    const early = tickets(breaker, 64);
    for (const ticket of early) breaker.failed(ticket);
    const trial = opensAfter(breaker, clock, 5000);
    breaker.failed(early[0]);
    breaker.succeeded(early[1]);
    expect(breaker.admit()).toBeNull();
    breaker.succeeded(trial);
    expect(breaker.admit()).not.toBeNull();
  });
});
