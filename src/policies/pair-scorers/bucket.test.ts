import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request, type PairGroupShape } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import type { PairCharges, PairScorer } from '../../router/plugin.ts';
import { pdBucket } from './bucket.ts';

const defaults = { alpha: 1, beta: 2, decayFactor: 0.99, bucketSeperateLength: 200 };

interface Bench {
  readonly scorer: PairScorer;
  readonly charges: PairCharges;
  /** Seconds. */
  pass(seconds: number): void;
}

function bench(parameters = defaults): Bench {
  let now = 5000;
  const scorer = pdBucket.create(
    parameters,
    contextOf(readyStates(64), () => 0, { now: () => now }),
  );
  if (scorer.charges === undefined) throw new Error('the bucket keeps charges');
  return {
    scorer,
    charges: scorer.charges,
    pass: (seconds) => {
      now += seconds * 1000;
    },
  };
}

/** Groups of prefillers in slots from 0 on, each group one decoder and one leader more. */
function shapes(groups: readonly { readonly prefills: number; readonly tpSize: number }[]): PairGroupShape[] {
  let from = 0;
  return groups.map(({ prefills, tpSize }, i) => {
    const shape = { name: `g${i}`, from, prefills, decodes: 1, tpSize };
    from += prefills + 2;
    return shape;
  });
}

function costsOf({ scorer }: Bench, groups: readonly PairGroupShape[], tokens: number): PairCosts {
  const pairs = pairsOf(groups, tokens);
  const costs = new PairCosts();
  costs.reset(pairs);
  scorer.score(request(), pairs, costs);
  return costs;
}

const equalGroups = shapes([
  { prefills: 1, tpSize: 1 },
  { prefills: 1, tpSize: 1 },
]);
const unequal = shapes([
  { prefills: 1, tpSize: 1 },
  { prefills: 1, tpSize: 4 },
]);

describe('scorer-pd-bucket', () => {
  it('costs nothing where groups are equal and idle, whatever the length', () => {
    for (const tokens of [1, 200, 9000]) {
      expect([...costsOf(bench(), equalGroups, tokens).groups.subarray(0, 2)]).toEqual([0, 0]);
    }
  });

  it.each([
    ['short prompts avoid large engines', 100, [2 * (1 / 5 - 1 / 2) * 0.5, 2 * (4 / 5 - 1 / 2) * 0.5]],
    ['long prompts prefer them', 400, [2 * (1 / 5 - 1 / 2) * -1, 2 * (4 / 5 - 1 / 2) * -1]],
    ['prompts of the separating length do not mind', 200, [0, 0]],
  ])('%s', (_sentence, tokens, expected) => {
    const found = [...costsOf(bench(), unequal, tokens).groups.subarray(0, 2)];
    expected.forEach((cost, g) => {
      expect(found[g]).toBeCloseTo(cost, 12);
    });
  });

  it("charges the prefiller 0.0345 a token and 120.0745 a request, the decoder the prompt's tokens", () => {
    const setup = bench();
    setup.charges.charge(0, 1, 1000);
    const { prefills, decodes, groups } = costsOf(setup, equalGroups, 200);
    expect([...prefills.charges.subarray(0, 2)]).toEqual([0.0345 * 1000 + 120.0745, 0]);
    expect([...decodes.charges.subarray(0, 2)]).toEqual([1000, 0]);
    expect(groups[0]).toBeCloseTo(1, 6);
    expect(groups[1]).toBe(0);
    expect([...prefills.costs.subarray(0, 2), ...decodes.costs.subarray(0, 2)]).toEqual([0, 0, 0, 0]);
  });

  it('gives each side back by itself', () => {
    const setup = bench();
    const at = setup.charges.charge(0, 1, 1000);
    setup.charges.prefilled(0, 1000, at);
    expect(costsOf(setup, equalGroups, 200).prefills.charges[0]).toBe(0);
    expect(costsOf(setup, equalGroups, 200).decodes.charges[0]).toBe(1000);
    setup.charges.ended(1, 1000, at);
    expect(costsOf(setup, equalGroups, 200).decodes.charges[0]).toBe(0);
  });

  it.each([
    ['alpha weighs load', { ...defaults, alpha: 3, beta: 0 }, 3],
    ['beta weighs length', { ...defaults, alpha: 0, beta: 10 }, 10 * (1 / 5 - 1 / 2) * 0.5],
    [
      'bucketSeperateLength is where length changes sides',
      { ...defaults, alpha: 0, bucketSeperateLength: 50 },
      2 * (1 / 5 - 1 / 2) * -1,
    ],
  ])('%s', (_sentence, parameters, cost) => {
    const setup = bench(parameters);
    setup.charges.charge(0, 1, 1000);
    expect(costsOf(setup, unequal, 100).groups[0]).toBeCloseTo(cost, 5);
  });

  it('lets charges shrink by the decay factor a second, between whole seconds too', () => {
    const setup = bench({ ...defaults, decayFactor: 0.5 });
    setup.charges.charge(0, 1, 1000);
    setup.pass(0.5);
    expect(costsOf(setup, equalGroups, 200).decodes.charges[0]).toBeCloseTo(1000 * Math.SQRT1_2, 9);
    setup.pass(1.5);
    expect(costsOf(setup, equalGroups, 200).decodes.charges[0]).toBeCloseTo(250, 9);
  });

  it('agrees with the formula worked out from every request that is in flight, at any time', () => {
    const step = fc.record({
      group: fc.nat(),
      member: fc.nat(),
      tokens: fc.integer({ min: 1, max: 20_000 }),
      seconds: fc.nat(80).map((quarters) => quarters / 4),
      act: fc.constantFrom('charge', 'prefilled', 'ended'),
    });
    const groupsOf = fc.array(
      fc.record({ prefills: fc.integer({ min: 1, max: 3 }), tpSize: fc.constantFrom(1, 2, 4, 8) }),
      { minLength: 1, maxLength: 5 },
    );
    const decay = fc.constantFrom(0, 0.5, 0.99, 1);
    fc.assert(
      fc.property(
        groupsOf,
        fc.array(step, { maxLength: 30 }),
        decay,
        fc.nat(2000),
        (groups, steps, decayFactor, asked) => {
          const parameters = { alpha: 1.5, beta: 2, decayFactor, bucketSeperateLength: 300 };
          const setup = bench(parameters);
          const made = shapes(groups);
          const open: { slot: number; decoder: number; tokens: number; at: number; age: number; side: number }[] = [];
          for (const { group, member, tokens, seconds, act } of steps) {
            setup.pass(seconds);
            for (const each of open) each.age += seconds;
            if (act === 'charge') {
              const { from, prefills } = made[group % made.length];
              const [slot, decoder] = [from + (member % prefills), from + prefills];
              open.push({ slot, decoder, tokens, at: setup.charges.charge(slot, decoder, tokens), age: 0, side: 0 });
              continue;
            }
            const candidates = open.filter(({ side }) => side === (act === 'prefilled' ? 0 : 1));
            if (candidates.length === 0) continue;
            const one = candidates[member % candidates.length];
            one.side += 1;
            if (act === 'prefilled') setup.charges.prefilled(one.slot, one.tokens, one.at);
            else setup.charges.ended(one.decoder, one.tokens, one.at);
          }
          const left = (age: number): number => Math.pow(decayFactor, age);
          const load = (slot: number): number =>
            open.reduce(
              (sum, o) => sum + (o.side === 0 && o.slot === slot ? (0.0345 * o.tokens + 120.0745) * left(o.age) : 0),
              0,
            );
          const slotsOf = ({ from, prefills }: PairGroupShape): number[] =>
            Array.from({ length: prefills }, (_, i) => from + i);
          const loads = made.map((shape) => slotsOf(shape).reduce((sum, slot) => sum + load(slot), 0));
          const sizes = groups.map(({ prefills, tpSize }) => prefills * tpSize);
          const sum = (list: number[]): number => list.reduce((a, b) => a + b, 0);
          const found = costsOf(setup, made, asked + 1);
          made.forEach(({ from, prefills }, g) => {
            const expected =
              (1.5 * loads[g]) / (sum(loads) + 1e-6) +
              2 * (sizes[g] / sum(sizes) - 1 / made.length) * (1 - (asked + 1) / 300);
            // Where next to nothing is left of all charges, the sums' last digits decide the shares.
            if (sum(loads) > 1e-3 || sum(loads) === 0) expect(found.groups[g]).toBeCloseTo(expected, 5);
            const decoder = open.reduce(
              (total, o) => total + (o.side < 2 && o.decoder === from + prefills ? o.tokens * left(o.age) : 0),
              0,
            );
            expect(found.decodes.charges[g]).toBeCloseTo(decoder, 5);
          });
        },
      ),
    );
  });
});
