import { describe, expect, it } from 'vitest';
import { contenders, ours, random } from '../bench/pd/contenders.ts';
import type { GroupShape } from '../bench/pd/fleet.ts';
import { simulate, type Outcome, type Run } from '../bench/pd/simulation.ts';
import { arrivals, mixed, prefixHeavy } from '../bench/pd/workload.ts';
import { quantile } from '../src/sim/statistics.ts';

// Virtual time and fixed seeds: the figures are the same on every machine.
const seed = 1;
const requests = 240;
const groupsOf = (...sizes: number[]): GroupShape[] => sizes.map((size) => ({ prefill: [size], decode: [size] }));
const unequal = groupsOf(1, 4);

function play(over: Partial<Run>): Outcome {
  const list = over.arrivals ?? arrivals(mixed, requests, seed);
  return simulate({ groups: unequal, contender: ours, arrivals: list, rate: 4, seed, ...over });
}

const p90 = ({ firstTokens }: Outcome): number => quantile(firstTokens, 0.9);

describe('the simulation of bench/pd', () => {
  it('gives the same figures in every run', () => {
    const [once, again] = [play({}), play({})];
    expect(again.firstTokens).toEqual(once.firstTokens);
    expect(again.gaps.quantile(0.9)).toBe(once.gaps.quantile(0.9));
  });

  it.each(contenders.map((contender) => [contender.name, contender] as const))(
    '%s answers every request, and not before its prompt can have been computed',
    (_name, contender) => {
      const list = arrivals(mixed, 60, seed);
      const { firstTokens } = play({ contender, arrivals: list, rate: 0.01 });
      expect(firstTokens).toHaveLength(40);
      // An idle engine of size 4 computes 25,920 tokens a second.
      const alone = list.slice(20).map(({ prompt }) => prompt.length / 25_920);
      firstTokens.forEach((seconds) => {
        expect(seconds).toBeGreaterThan(Math.min(...alone));
      });
    },
  );

  it('stops where more than a tenth wait too long', () => {
    expect(play({ rate: 100, stopAbove: 0.5 }).stopped).toBe(true);
    expect(play({ rate: 100 }).stopped).toBe(false);
  });

  it('sends short prompts to a decoder alone where the threshold says so', () => {
    const list = arrivals(mixed, 60, seed);
    const [always, threshold] = [-1, 1_000].map((disaggregateAbove) =>
      quantile(play({ arrivals: list, rate: 0.1, disaggregateAbove }).firstTokens, 0.5),
    );
    expect(threshold).toBeLessThan(always - 0.004);
  });
});

describe('PDLeastTime', () => {
  it('carries a fifth more requests than random pairs at a lower p90 of TTFT where sizes differ', () => {
    const rate = 3.5;
    expect(p90(play({ rate: 1.2 * rate }))).toBeLessThan(p90(play({ rate, contender: random })));
  });

  it('loses to neither v25.12 formula where sizes are equal', () => {
    const groups = groupsOf(2, 2);
    for (const name of ['PDBucket', 'PDKVAware']) {
      const rival = contenders.find((contender) => contender.name === name);
      expect(p90(play({ groups, rate: 8 }))).toBeLessThan(
        1.05 * p90(play({ groups, rate: 8, contender: rival ?? random })),
      );
    }
  });

  it('follows prefixes to where they are cached, and away from there before it is overrun', () => {
    const run = { groups: groupsOf(1, 1, 1, 1), arrivals: arrivals(prefixHeavy, requests, seed), rate: 8 };
    for (const contender of contenders.filter(({ aggregate, name }) => !aggregate && name !== ours.name))
      expect(p90(play(run)), contender.name).toBeLessThan(0.6 * p90(play({ ...run, contender })));
  });

  it('gains by the sizes in the labels, and needs none to beat random pairs', () => {
    const faults = { label: () => null };
    const without = p90(play({ faults }));
    expect(p90(play({}))).toBeLessThan(0.8 * without);
    expect(without).toBeLessThan(0.8 * p90(play({ contender: random, faults })));
  });
});
