import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { activeRequestScorer } from './active-request.ts';

it.each([
  [
    '1 for the idle, 0 for the busiest, in proportion between',
    { idleThreshold: 0, maxBusyScore: 1 },
    [0, 10, 4],
    [1, 0, 0.6],
  ],
  ['1 for all that are idle', { idleThreshold: 0, maxBusyScore: 1 }, [0, 0, 0], [1, 1, 1]],
  ['a few requests may count as idle', { idleThreshold: 4, maxBusyScore: 1 }, [0, 10, 4], [1, 0, 1]],
  ['the busy get a part at most', { idleThreshold: 0, maxBusyScore: 0.5 }, [0, 10, 4], [1, 0, 0.3]],
])('active-request-scorer: %s', (_sentence, parameters, inFlight, expected) => {
  const states = readyStates(3);
  states.inFlight.set(inFlight);
  const out = new Float64Array(3);
  activeRequestScorer.create(parameters, contextOf(states)).score(request(), candidatesOf(endpoints(3)), out);
  expect([...out]).toEqual(expected);
});
