import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request, type PairGroupShape } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import { pdKvCacheAware } from './kv-cache-aware.ts';

const manager = { kvCacheManagerIP: 'm', kvCacheManagerPort: 1, kvCacheManagerPath: '/', kvCacheManagerTimeout: 1e6 };
const none = {
  kvCacheHitNotRateWeight: 0,
  xpuCacheUsageWeight: 0,
  prefillWaitingRequestWeight: 0,
  decodeWaitingRequestWeight: 0,
  prefillPodScoreWeight: 1,
  decodePodScoreWeight: 1,
};
const all = Object.fromEntries(Object.keys(none).map((name) => [name, 1])) as typeof none;

/** Slots: 0 prefill, 1 decode, 2 leader of group a; 3, 4, 5 of group b. */
const twoGroups: PairGroupShape[] = [
  { name: 'a', from: 0, prefills: 1, decodes: 1 },
  { name: 'b', from: 3, prefills: 1, decodes: 1 },
];

interface Loads {
  readonly waiting?: readonly number[];
  readonly usage?: readonly number[];
  readonly cached?: readonly number[];
}

/** What the prefillers and the decoders of a and b cost a prompt of 100 tokens. */
function costs(parameters: typeof none, { waiting = [], usage = [], cached = [] }: Loads): number[][] {
  const states = readyStates(6);
  states.waiting.set(waiting);
  states.usage.set(usage);
  const pairs = pairsOf(twoGroups, 100, cached);
  const out = new PairCosts();
  out.reset(pairs);
  pdKvCacheAware.create({ ...manager, ...parameters }, contextOf(states)).score(request(), pairs, out);
  expect([...out.groups.subarray(0, 2), ...out.prefills.charges.subarray(0, 2)]).toEqual([0, 0, 0, 0]);
  return [[...out.prefills.costs.subarray(0, 2)], [...out.decodes.costs.subarray(0, 2)]];
}

describe('scorer-pd-kv-cache-aware', () => {
  it.each<[string, typeof none, Loads, number[][]]>([
    [
      'misses, of prefillers only',
      { ...none, kvCacheHitNotRateWeight: 2 },
      { cached: [25, 500] },
      [
        [1.5, 0],
        [0, 0],
      ],
    ],
    [
      'usage on both sides',
      { ...none, xpuCacheUsageWeight: 3 },
      { usage: [0.5, 0.25, 1, 0, 1, 1] },
      [
        [1.5, 0],
        [0.75, 3],
      ],
    ],
    [
      'waiting at the prefiller, relative to the most at any prefiller of the pool',
      { ...none, prefillWaitingRequestWeight: 4 },
      { waiting: [2, 50, 99, 8] },
      [
        [1, 4],
        [0, 0],
      ],
    ],
    [
      'waiting at the decoder, relative to the most at any decoder of the pool',
      { ...none, decodeWaitingRequestWeight: 4 },
      { waiting: [50, 2, 99, 50, 8] },
      [
        [0, 0],
        [1, 4],
      ],
    ],
    [
      'waiting relative to at least one',
      { ...none, prefillWaitingRequestWeight: 1, decodeWaitingRequestWeight: 1 },
      { waiting: [0.5, 0.25] },
      [
        [0.5, 0],
        [0.25, 0],
      ],
    ],
    [
      'the weights of the two sides',
      { ...all, prefillPodScoreWeight: 10, decodePodScoreWeight: 100 },
      { waiting: [1, 1], usage: [0.5, 0.25], cached: [50] },
      [
        [10 * (0.5 + 0.5 + 1), 10],
        [100 * (0.25 + 1), 0],
      ],
    ],
  ])('%s', (_sentence, parameters, loads, expected) => {
    expect(costs(parameters, loads)).toEqual(expected);
  });

  it('counts what this router has sent there since the scrape', () => {
    const states = readyStates(6);
    states.unseenWaiting[3] = 4;
    const pairs = pairsOf(twoGroups, 100);
    const out = new PairCosts();
    out.reset(pairs);
    pdKvCacheAware
      .create({ ...manager, ...none, prefillWaitingRequestWeight: 1 }, contextOf(states))
      .score(request(), pairs, out);
    expect([...out.prefills.costs.subarray(0, 2)]).toEqual([0, 1]);
  });

  it('agrees with the formula over any fleet, normalised over the whole pool', () => {
    const member = fc.record({
      waiting: fc.nat(20),
      usage: fc.double({ min: 0, max: 1, noNaN: true }),
      cached: fc.nat(150),
    });
    const sides = fc.record({
      prefills: fc.array(member, { minLength: 1, maxLength: 3 }),
      decodes: fc.array(member, { minLength: 1, maxLength: 3 }),
    });
    const weight = fc.double({ min: 0, max: 5, noNaN: true });
    const weights = fc.record(
      Object.fromEntries(Object.keys(none).map((name) => [name, weight])) as Record<keyof typeof none, typeof weight>,
    );
    fc.assert(
      fc.property(fc.array(sides, { minLength: 1, maxLength: 5 }), weights, (groups, parameters) => {
        const states = readyStates(64);
        const shapes = groups.map(({ prefills, decodes }, g): PairGroupShape => {
          [...prefills, ...decodes].forEach(({ waiting, usage }, i) => {
            states.waiting[8 * g + i] = waiting;
            states.usage[8 * g + i] = usage;
          });
          return { name: `g${g}`, from: 8 * g, prefills: prefills.length, decodes: decodes.length };
        });
        const [allP, allD] = [groups.flatMap(({ prefills }) => prefills), groups.flatMap(({ decodes }) => decodes)];
        const pairs = pairsOf(
          shapes,
          100,
          allP.map(({ cached }) => cached),
        );
        const out = new PairCosts();
        out.reset(pairs);
        pdKvCacheAware.create({ ...manager, ...parameters }, contextOf(states)).score(request(), pairs, out);
        const mostOf = (list: typeof allP): number => Math.max(1, ...list.map(({ waiting }) => waiting));
        allP.forEach(({ waiting, usage, cached }, i) => {
          const score =
            parameters.kvCacheHitNotRateWeight * (1 - Math.min(1, cached / 100)) +
            parameters.xpuCacheUsageWeight * usage +
            parameters.prefillWaitingRequestWeight * (waiting / mostOf(allP));
          expect(out.prefills.costs[i]).toBeCloseTo(parameters.prefillPodScoreWeight * score, 9);
        });
        allD.forEach(({ waiting, usage }, i) => {
          const score =
            parameters.xpuCacheUsageWeight * usage + parameters.decodeWaitingRequestWeight * (waiting / mostOf(allD));
          expect(out.decodes.costs[i]).toBeCloseTo(parameters.decodePodScoreWeight * score, 9);
        });
      }),
      { numRuns: 60 },
    );
  });
});
