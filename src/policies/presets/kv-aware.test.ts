import { expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { kvAwarePreset } from './kv-aware.ts';

it.each([
  ['by default weighs all alike', {}, [0.5 + 0.25 + 1, 1 + 0 + 0.5]],
  [
    'hands each weight to its part of the formula',
    { hitWeight: 10, usageWeight: 100, waitingWeight: 1000 },
    [5 + 25 + 1000, 10 + 0 + 500],
  ],
])('KVAware %s', (_sentence, given, expected) => {
  const parameters: unknown = Value.Default(kvAwarePreset.parameters, { ...given });
  if (!Value.Check(kvAwarePreset.parameters, parameters)) throw new Error('the parameters are right');
  const states = readyStates(2);
  states.waiting.set([4, 2]);
  states.usage.set([0.25, 0]);
  const { parts } = buildProfile(kvAwarePreset.expand(parameters), registry, contextOf(states));
  const out = new Float64Array(2);
  parts.scorers[0].scorer.score(request(), candidatesOf(endpoints(2), 100, [50, 0]), out);
  expect([...out]).toEqual(expected);
  expect(parts.description).toBe('scorer-aggregate-kv-cache-aware x1 → picker-min-random');
});
