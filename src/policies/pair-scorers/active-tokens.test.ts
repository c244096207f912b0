import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairReservation } from '../../router/pair-reservation.ts';
import { PairCosts } from '../../router/pairs.ts';
import type { PairCharges, PairScorer } from '../../router/plugin.ts';
import { pdActiveTokens } from './active-tokens.ts';

/** Prefillers in slots 0 and 1, decoders in 2 and 3. */
const shapes = [{ name: 'g', from: 0, prefills: 2, decodes: 2 }];

interface Bench {
  readonly scorer: PairScorer;
  readonly charges: PairCharges;
}

function bench(kvWeight = 0.3): Bench {
  const scorer = pdActiveTokens.create({ kvWeight }, contextOf(readyStates(8)));
  if (scorer.charges === undefined) throw new Error('active tokens are charges');
  return { scorer, charges: scorer.charges };
}

/** Costs of the two prefillers, then of the two decoders. */
function costsOf({ scorer }: Bench): number[] {
  const pairs = pairsOf(shapes);
  const costs = new PairCosts();
  costs.reset(pairs);
  scorer.score(request(), pairs, costs);
  expect([...costs.groups]).toEqual(Array(costs.groups.length).fill(0));
  expect([...costs.prefills.charges, ...costs.decodes.charges].every((charge) => charge === 0)).toBe(true);
  return [...costs.prefills.costs.subarray(0, 2), ...costs.decodes.costs.subarray(0, 2)];
}

const reserve = ({ charges }: Bench, prefillSlot: number, decodeSlot: number, promptTokens = 100) =>
  new PairReservation(
    readyStates(8),
    decodeSlot,
    { prefillSlot, decodeSlot, promptTokens, uncachedTokens: promptTokens },
    [charges],
  );

describe('scorer-pd-active-tokens', () => {
  const stages: [string, ('prefilled' | 'firstByte' | 'release')[], number[]][] = [
    ['while the prompt is computed it is active and held at the prefiller, and active at the decoder', [], [130, 0, 0, 100]],
    ['once the prefiller has answered it is only held there', ['prefilled'], [30, 0, 0, 100]],
    ['with the first byte it is held no more', ['prefilled', 'firstByte'], [0, 0, 0, 100]],
    ['with the first byte alone it is neither computed nor held any more', ['firstByte'], [0, 0, 0, 100]],
    ['at the end nothing is left', ['release'], [0, 0, 0, 0]],
  ]; // prettier-ignore
  it.each(stages)('%s', (_sentence, acts, expected) => {
    const setup = bench();
    const reservation = reserve(setup, 0, 3);
    for (const act of acts) reservation[act]();
    expect(costsOf(setup)).toEqual(expected);
  });

  it('adds up what is in flight', () => {
    const setup = bench(0.5);
    for (const [prefill, decode] of [[0, 2], [0, 3], [1, 3]]) reserve(setup, prefill, decode, 10); // prettier-ignore
    reserve(setup, 0, 2, 10).prefilled();
    expect(costsOf(setup)).toEqual([35, 15, 20, 20]);
  });

  it('charges the decoder only where no prefiller has a part in the request', () => {
    const setup = bench();
    const reservation = reserve(setup, -1, 2);
    expect(costsOf(setup)).toEqual([0, 0, 100, 0]);
    reservation.prefilled();
    reservation.firstByte();
    expect(costsOf(setup)).toEqual([0, 0, 100, 0]);
    reservation.release();
    expect(costsOf(setup)).toEqual([0, 0, 0, 0]);
  });

  it('ends at exactly nothing, whatever the order of what happens', () => {
    const came = fc.record({
      prefill: fc.constantFrom(-1, 0, 1),
      decode: fc.constantFrom(2, 3),
      tokens: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    const went = fc.record({
      which: fc.nat(),
      act: fc.constantFrom('prefilled' as const, 'firstByte' as const, 'release' as const),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(came, went), { maxLength: 60 }), (events) => {
        const setup = bench();
        const made: PairReservation[] = [];
        for (const event of events) {
          if ('tokens' in event) made.push(reserve(setup, event.prefill, event.decode, event.tokens));
          else if (made.length > 0) made[event.which % made.length][event.act]();
          expect(costsOf(setup).every((cost) => cost >= 0)).toBe(true);
        }
        for (const reservation of made) reservation.release();
        expect(costsOf(setup)).toEqual([0, 0, 0, 0]);
      }),
    );
  });
});
