import { expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { contextOf, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { pairsOf } from '../../../test/fixtures/pairs.ts';
import { PairCosts } from '../../router/pairs.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { pdKvAwarePreset } from './pd-kv-aware.ts';

it.each([
  ['by default weighs all alike', {}, [0.25 + 0.5 + 1, 0.25 + 1]],
  [
    'hands each weight to its part of the formula',
    {
      hitWeight: 2,
      usageWeight: 4,
      prefillWaitingWeight: 8,
      decodeWaitingWeight: 16,
      prefillWeight: 100,
      decodeWeight: 1000,
    },
    [100 * (2 * 0.25 + 4 * 0.5 + 8), 1000 * (4 * 0.25 + 16)],
  ],
])('PDKVAware %s', (_sentence, given, expected) => {
  const parameters: unknown = Value.Default(pdKvAwarePreset.parameters, { ...given });
  if (!Value.Check(pdKvAwarePreset.parameters, parameters)) throw new Error('the parameters are right');
  const states = readyStates(3);
  states.usage.set([0.5, 0.25]);
  states.waiting.set([4, 2]);
  const { parts } = buildProfile(pdKvAwarePreset.expand(parameters), registry, contextOf(states));
  const pairs = pairsOf([{ name: 'g', from: 0, prefills: 1, decodes: 1 }], 100, [75]);
  const costs = new PairCosts();
  costs.reset(pairs);
  parts.pairs?.scorers[0].scorer.score(request(), pairs, costs);
  expect([costs.prefills.costs[0], costs.decodes.costs[0]]).toEqual(expected);
  expect(parts.readsHits).toBe(true);
  expect(parts.description).toBe(
    'filter-by-pd-label → scorer-pd-kv-cache-aware x1 → picker-pd-kv-cache-aware → pd-header-handler',
  );
});
