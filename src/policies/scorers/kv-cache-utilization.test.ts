import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { Flag } from '../../router/states.ts';
import { kvCacheUtilizationScorer } from './kv-cache-utilization.ts';

it('kv-cache-utilization-scorer is the free share of the KV cache; unknown and stale count as empty', () => {
  const states = readyStates(3);
  states.usage.set([0.25, 0, 0.9]);
  states.set(2, Flag.stale, true);
  const out = new Float64Array(3);
  kvCacheUtilizationScorer.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(3)), out);
  expect([...out]).toEqual([0.75, 1, 1]);
});
