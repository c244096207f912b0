import { expect, it } from 'vitest';
import { candidatesOf, endpoints, request } from '../../test/fixtures/fleet.ts';
import { noPrefixSource } from './prefix.ts';

it('a group without KV awareness has nothing cached, before and after a request', () => {
  const candidates = candidatesOf(endpoints(2), 100, [5, 6]);
  noPrefixSource.routed(request(), 0);
  noPrefixSource.match(request(), candidates, candidates.cachedTokens);
  noPrefixSource.forget(0);
  expect([...candidates.cachedTokens.subarray(0, 2)]).toEqual([0, 0]);
});
