import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoint, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { leastLoad } from './least-load.ts';

it("scorer-least-load is the router's own requests in flight, by slot", () => {
  const states = readyStates(4);
  states.inFlight.set([7, 0, 0, 2]);
  const out = new Float64Array(3);
  const candidates = candidatesOf([endpoint(3), endpoint(0), endpoint(1)]);
  leastLoad.create({}, contextOf(states)).score(request(), candidates, out);
  expect([...out]).toEqual([2, 7, 0]);
});
