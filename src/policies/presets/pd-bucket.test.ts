import { expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { contextOf, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { pdBucketPreset } from './pd-bucket.ts';

const shapes = [
  { name: 'small', from: 0, prefills: 1, decodes: 1, tpSize: 1 },
  { name: 'big', from: 3, prefills: 1, decodes: 1, tpSize: 3 },
];

it.each([
  // TP shares are 1/4 and 3/4 where an even one is 1/2; the prompt has 400 tokens.
  ["by default has v25.12's weights and length", {}, [2 * -0.25 * -1, 2 * 0.25 * -1]],
  ['hands each weight to its part of the formula', { alpha: 3, beta: 4, bucketSeparateLength: 800 }, [-0.5, 3 + 0.5]],
])('PDBucket %s', (_sentence, given, expected) => {
  const parameters: unknown = Value.Default(pdBucketPreset.parameters, { ...given });
  if (!Value.Check(pdBucketPreset.parameters, parameters)) throw new Error('the parameters are right');
  const { parts } = buildProfile(pdBucketPreset.expand(parameters), registry, contextOf(readyStates(8)));
  const [bucket] = parts.pairs?.scorers ?? [];
  const pairs = pairsOf(shapes, 400);
  if ('alpha' in given) bucket.scorer.charges?.charge(3, 4, 1);
  const costs = new PairCosts();
  costs.reset(pairs);
  bucket.scorer.score(request(), pairs, costs);
  [...costs.groups.subarray(0, 2)].forEach((cost, g) => {
    expect(cost).toBeCloseTo(expected[g], 5);
  });
  expect(parts.description).toBe(
    'filter-by-pd-label → scorer-pd-bucket x1 → picker-pd-kv-cache-aware → pd-header-handler',
  );
});

it('PDBucket hands over how fast charges shrink', () => {
  const parameters = { alpha: 1, beta: 0, decayFactor: 0.25, bucketSeparateLength: 200 };
  let now = 1000;
  const context = contextOf(readyStates(8), () => 0, { now: () => now });
  const [bucket] = buildProfile(pdBucketPreset.expand(parameters), registry, context).parts.pairs?.scorers ?? [];
  bucket.scorer.charges?.charge(0, 1, 1000);
  now += 1000;
  const pairs = pairsOf(shapes);
  const costs = new PairCosts();
  costs.reset(pairs);
  bucket.scorer.score(request(), pairs, costs);
  expect(costs.decodes.charges[0]).toBe(250);
});
