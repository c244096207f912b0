import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { prefixCacheScorer } from './prefix-cache.ts';

it('prefix-cache-scorer is the cached share of the prompt, 1 at most', () => {
  const out = new Float64Array(3);
  const candidates = candidatesOf(endpoints(3), 200, [0, 50, 300]);
  prefixCacheScorer.create({}, contextOf(readyStates(3))).score(request(), candidates, out);
  expect([...out]).toEqual([0, 0.25, 1]);
});
