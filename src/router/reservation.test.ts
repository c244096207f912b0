import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readyStates } from '../../test/fixtures/fleet.ts';
import { Reservation } from './reservation.ts';
import type { EndpointStates } from './states.ts';

function books(states: EndpointStates, slot: number): Record<string, number> {
  const { inFlight, ownWaiting, unseenWaiting, newWaiting, queuedTokens } = states;
  return {
    inFlight: inFlight[slot],
    ownWaiting: ownWaiting[slot],
    unseenWaiting: unseenWaiting[slot],
    newWaiting: newWaiting[slot],
    queuedTokens: queuedTokens[slot],
  };
}

const empty = { inFlight: 0, ownWaiting: 0, unseenWaiting: 0, newWaiting: 0, queuedTokens: 0 };

describe('Reservation', () => {
  it('takes its place at once: picking and reserving are one act', () => {
    const states = readyStates(2);
    new Reservation(states, 1, 40);
    expect(books(states, 1)).toEqual({ inFlight: 1, ownWaiting: 1, unseenWaiting: 1, newWaiting: 1, queuedTokens: 40 });
    expect(books(states, 0)).toEqual(empty);
  });

  it('waits no more after the first byte, but is in flight to the end', () => {
    const states = readyStates(1);
    const reservation = new Reservation(states, 0, 40);
    reservation.firstByte();
    reservation.firstByte();
    expect(books(states, 0)).toEqual({ ...empty, inFlight: 1 });
    reservation.release();
    reservation.release();
    reservation.firstByte();
    expect(books(states, 0)).toEqual(empty);
  });

  it('gives everything back when it ends without a first byte', () => {
    const states = readyStates(1);
    const other = new Reservation(states, 0, 5);
    new Reservation(states, 0, 40).release();
    expect(books(states, 0)).toEqual({ inFlight: 1, ownWaiting: 1, unseenWaiting: 1, newWaiting: 1, queuedTokens: 5 });
    other.release();
    expect(books(states, 0)).toEqual(empty);
  });

  /** What happens to a slot: a request comes, says its first byte, ends, or a scrape starts or comes back. */
  const act = fc.oneof(
    fc.record({ act: fc.constant('reserve' as const), tokens: fc.double({ min: 0, max: 1e5, noNaN: true }) }),
    fc.record({ act: fc.constantFrom('firstByte' as const, 'release' as const), which: fc.nat() }),
    fc.record({ act: fc.constantFrom('scrape starts' as const, 'scrape succeeds' as const) }),
  );

  it('keeps the books right in any order of events, and empty when all have ended', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
        const states = readyStates(1);
        const made: { reservation: Reservation; waiting: boolean; held: boolean; madeIn: number }[] = [];
        let started = 0;
        let seen = 0;
        let underWay = false;
        for (const step of acts) {
          if (step.act === 'reserve')
            made.push({
              reservation: new Reservation(states, 0, step.tokens),
              waiting: true,
              held: true,
              madeIn: started,
            });
          else if (step.act === 'scrape starts') {
            states.scrapeStarts(0);
            started += 1;
            underWay = true;
          } else if (step.act === 'scrape succeeds') {
            if (!underWay) continue;
            states.scrapeSucceeds(0, { waiting: 0, running: 0, usage: 0 }, started);
            seen = started;
            underWay = false;
          } else if ('which' in step && made.length > 0) {
            const entry = made[step.which % made.length];
            entry.reservation[step.act]();
            entry.waiting = false;
            if (step.act === 'release') entry.held = false;
          }
          const waiting = made.filter((entry) => entry.waiting);
          const found = books(states, 0);
          expect(found.inFlight).toBe(made.filter((entry) => entry.held).length);
          expect(found.ownWaiting).toBe(waiting.length);
          expect(found.unseenWaiting).toBe(waiting.filter((entry) => entry.madeIn >= seen).length);
          expect(found.newWaiting).toBe(waiting.filter((entry) => entry.madeIn === started).length);
          const queued = waiting.reduce((sum, { reservation }) => sum + reservation.uncachedTokens, 0);
          expect(Math.abs(found.queuedTokens - queued)).toBeLessThan(1e-6);
        }
        for (const { reservation } of made) reservation.release();
        expect(books(states, 0)).toEqual(empty);
      }),
      { numRuns: 300 },
    );
  });
});
