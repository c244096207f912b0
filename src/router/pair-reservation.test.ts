import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readyStates } from '../../test/fixtures/fleet.ts';
import { PairReservation } from './pair-reservation.ts';
import type { PairCharges } from './plugin.ts';
import type { EndpointStates } from './states.ts';

/** inFlight, ownWaiting and queuedTokens of a slot. */
const book = ({ inFlight, ownWaiting, queuedTokens }: EndpointStates, slot: number): number[] => [
  inFlight[slot],
  ownWaiting[slot],
  queuedTokens[slot],
];

const leader = 0;
const load = { prefillSlot: 1, decodeSlot: 2, promptTokens: 100, uncachedTokens: 60 };

/** Writes down what it is told. */
class Ledger implements PairCharges {
  readonly lines: string[] = [];
  private time = 0;

  charge(prefillSlot: number, decodeSlot: number, promptTokens: number): number {
    this.time += 1;
    this.lines.push(`charge ${prefillSlot} ${decodeSlot} ${promptTokens} at ${this.time}`);
    return this.time;
  }

  prefilled(slot: number, promptTokens: number, chargedAt: number): void {
    this.lines.push(`prefilled ${slot} ${promptTokens} of ${chargedAt}`);
  }

  answered(prefillSlot: number, promptTokens: number, chargedAt: number): void {
    this.lines.push(`answered ${prefillSlot} ${promptTokens} of ${chargedAt}`);
  }

  ended(slot: number, promptTokens: number, chargedAt: number): void {
    this.lines.push(`ended ${slot} ${promptTokens} of ${chargedAt}`);
  }
}

describe('PairReservation', () => {
  it('takes a place with the leader and on both sides', () => {
    const states = readyStates(3);
    const reservation = new PairReservation(states, leader, load, []);
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [1, 1, 0],
      [1, 1, 60],
      [1, 1, 0],
    ]);
    expect(reservation.slot).toBe(0);
  });

  it('frees the prefiller with the first byte; decoder and leader wait no more, but work to the end', () => {
    const states = readyStates(3);
    const reservation = new PairReservation(states, leader, load, []);
    reservation.firstByte();
    reservation.firstByte();
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [1, 0, 0],
      [0, 0, 0],
      [1, 0, 0],
    ]);
    for (let i = 0; i < 2; i++) reservation.release();
    reservation.firstByte();
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it('charges once and gives each side back once, with the time of its charge', () => {
    const [one, other] = [new Ledger(), new Ledger()];
    other.charge(9, 9, 9);
    const reservation = new PairReservation(readyStates(3), leader, load, [one, other]);
    reservation.release();
    reservation.release();
    reservation.firstByte();
    expect(one.lines).toEqual([
      'charge 1 2 100 at 1',
      'prefilled 1 100 of 1',
      'answered 1 100 of 1',
      'ended 2 100 of 1',
    ]);
    expect(other.lines.slice(1)).toEqual([
      'charge 1 2 100 at 2',
      'prefilled 1 100 of 2',
      'answered 1 100 of 2',
      'ended 2 100 of 2',
    ]);
  });

  it('frees the prefiller once it is known to have answered; the decoder still waits for its first byte', () => {
    const states = readyStates(3);
    const ledger = new Ledger();
    const reservation = new PairReservation(states, leader, load, [ledger]);
    for (let i = 0; i < 2; i++) reservation.prefilled();
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [1, 1, 0],
      [0, 0, 0],
      [1, 1, 0],
    ]);
    expect(ledger.lines).toEqual(['charge 1 2 100 at 1', 'prefilled 1 100 of 1']);
    reservation.firstByte();
    reservation.prefilled();
    expect(ledger.lines.slice(2)).toEqual(['answered 1 100 of 1']);
  });

  it('counts a decoder once where it is the endpoint itself', () => {
    const states = readyStates(3);
    const reservation = new PairReservation(states, load.decodeSlot, load, []);
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [0, 0, 0],
      [1, 1, 60],
      [1, 1, 0],
    ]);
    reservation.firstByte();
    expect(book(states, 2)).toEqual([1, 0, 0]);
    reservation.release();
    expect([0, 1, 2].flatMap((slot) => book(states, slot))).toEqual(Array(9).fill(0));
  });

  it('has the decoder compute what no prefiller does', () => {
    const states = readyStates(3);
    const ledger = new Ledger();
    const reservation = new PairReservation(states, 2, { ...load, prefillSlot: -1 }, [ledger]);
    expect([0, 1, 2].map((slot) => book(states, slot))).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [1, 1, 60],
    ]);
    reservation.prefilled();
    expect(book(states, 2)).toEqual([1, 1, 60]);
    reservation.release();
    expect(book(states, 2)).toEqual([0, 0, 0]);
    expect(ledger.lines).toEqual(['charge -1 2 100 at 1', 'ended 2 100 of 1']);
  });

  it('leaves nothing behind, however many pass through whatever slots and in whatever order they end', () => {
    const slot = fc.nat(3);
    const came = fc.record({
      came: fc.record({ leader: slot, prefillSlot: fc.integer({ min: -1, max: 3 }), decodeSlot: slot }),
    });
    const went = fc.record({
      which: fc.nat(),
      act: fc.constantFrom('prefilled' as const, 'firstByte' as const, 'release' as const),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(came, went), { maxLength: 60 }), (acts) => {
        const states = readyStates(4);
        const ledger = new Ledger();
        const made: PairReservation[] = [];
        for (const act of acts) {
          if ('came' in act)
            made.push(new PairReservation(states, act.came.leader, { ...load, ...act.came }, [ledger]));
          else if (made.length > 0) made[act.which % made.length][act.act]();
        }
        for (const reservation of made) reservation.release();
        for (let at = 0; at < 4; at++) expect(book(states, at)).toEqual([0, 0, 0]);
        const { unseenWaiting, newWaiting } = states;
        expect([...unseenWaiting, ...newWaiting]).toEqual(Array(8).fill(0));
        const count = (word: string): number => ledger.lines.filter((line) => line.startsWith(word)).length;
        expect(count('ended')).toBe(made.length);
        for (const word of ['prefilled', 'answered']) expect(count(word)).toBe(made.length - count('charge -1'));
      }),
    );
  });
});
