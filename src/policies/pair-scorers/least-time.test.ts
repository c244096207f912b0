import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, readyStates, request, type PairGroupShape } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import type { EndpointStates } from '../../router/states.ts';
import { pdLeastTime } from './least-time.ts';

/** Slots: 0 prefill, 1 decode, 2 leader of group a; 3, 4, 5 of group b. */
const groups = (a: number | undefined, b: number | undefined): PairGroupShape[] => [
  { name: 'a', from: 0, prefills: 1, decodes: 1, ...(a === undefined ? {} : { tpSize: a }) },
  { name: 'b', from: 3, prefills: 1, decodes: 1, ...(b === undefined ? {} : { tpSize: b }) },
];

interface Loads {
  readonly sizes?: readonly [number | undefined, number | undefined];
  readonly queued?: readonly number[];
  readonly ownWaiting?: readonly number[];
  readonly inFlight?: readonly number[];
  readonly cached?: readonly number[];
}

/** What the prefillers and the decoders of a and b cost a prompt of 100 tokens. */
function costs({ sizes = [1, 1], queued = [], ownWaiting = [], inFlight = [], cached = [] }: Loads): number[][] {
  const states = readyStates(6);
  states.queuedTokens.set(queued);
  states.ownWaiting.set(ownWaiting);
  states.inFlight.set(inFlight);
  // Scraped numbers are not for it.
  states.waiting.fill(50);
  states.running.fill(50);
  states.usage.fill(0.9);
  return written(states, groups(...sizes), cached);
}

function written(
  states: EndpointStates,
  shapes: readonly PairGroupShape[],
  cached: readonly number[] = [],
): number[][] {
  const pairs = pairsOf(shapes, 100, cached);
  const out = new PairCosts();
  out.reset(pairs);
  pdLeastTime.create({}, contextOf(states)).score(request(), pairs, out);
  expect([...out.groups.subarray(0, pairs.length)]).toEqual(Array(pairs.length).fill(0));
  return [
    [...out.prefills.costs.subarray(0, pairs.prefills.length)],
    [...out.decodes.costs.subarray(0, pairs.decodes.length)],
  ];
}

describe('scorer-pd-least-time', () => {
  it.each<[string, Loads, number[][]]>([
    ['nothing but the prompt where all is idle', {}, [[100, 100], [100, 100]]], // prettier-ignore
    ['nothing for what the prefiller has cached, even more than the prompt', { cached: [75, 500] }, [[25, 0], [100, 100]]], // prettier-ignore
    ['the queue of the prefiller', { queued: [3000, 0, 0, 50] }, [[3100, 150], [100, 100]]], // prettier-ignore
    ['its own part again for each that waits there', { ownWaiting: [3, 0, 0, 1] }, [[400, 200], [100, 100]]], // prettier-ignore
    ['a hundred tokens for each in flight at the decoder, with this one', { inFlight: [9, 2, 0, 9, 5] }, [[100, 100], [300, 600]]], // prettier-ignore
    ['prompts that the decoder computes by itself', { queued: [0, 700, 0, 0, 30] }, [[100, 100], [800, 130]]], // prettier-ignore
    [
      'all of it by engine size',
      { sizes: [4, 2], queued: [300, 40, 0, 20], inFlight: [0, 2, 0, 0, 1], ownWaiting: [1, 0, 0, 1] },
      [[125, 110], [85, 100]], // prettier-ignore
    ],
    ['an engine without a label as one of size 1', { sizes: [undefined, 4] }, [[100, 25], [100, 25]]], // prettier-ignore
  ])('counts %s', (_sentence, loads, expected) => {
    expect(costs(loads)).toEqual(expected);
  });

  it('reads the label of a new endpoint at a slot that another had', () => {
    const states = readyStates(6);
    states.inFlight[1] = 8;
    const scorer = pdLeastTime.create({}, contextOf(states));
    const decode = [2, 8].map((tpSize) => {
      const pairs = pairsOf(groups(tpSize, 1));
      const out = new PairCosts();
      out.reset(pairs);
      scorer.score(request(), pairs, out);
      return out.decodes.costs[0];
    });
    expect(decode).toEqual([450, 112.5]);
  });

  it('never costs more where there is less to wait for', () => {
    const load = fc.record({ queued: fc.nat(1e6), waiting: fc.nat(300), inFlight: fc.nat(300), cached: fc.nat(100) });
    const size = fc.constantFrom(1, 2, 4, 8);
    fc.assert(
      fc.property(load, load, size, (a, b, tpSize) => {
        const of = ({ queued, waiting, inFlight, cached }: typeof a): number[] => {
          const states = readyStates(6);
          states.queuedTokens[0] = queued;
          states.ownWaiting[0] = waiting;
          states.inFlight[1] = inFlight;
          const [[prefill], [decode]] = written(states, groups(tpSize, 1), [cached]);
          return [prefill, decode];
        };
        const least = {
          queued: Math.min(a.queued, b.queued),
          waiting: Math.min(a.waiting, b.waiting),
          inFlight: Math.min(a.inFlight, b.inFlight),
          cached: Math.max(a.cached, b.cached),
        };
        const [prefill, decode] = of(least);
        for (const more of [of(a), of(b)]) {
          expect(prefill).toBeLessThanOrEqual(more[0]);
          expect(decode).toBeLessThanOrEqual(more[1]);
        }
      }),
    );
  });
});
