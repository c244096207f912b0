import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { Flag } from '../../router/states.ts';
import { runningRequestsSizeScorer } from './running-requests-size.ts';

it.each([
  ['1 for the smallest batch, 0 for the largest, in proportion between', [0, 10, 4], [0, 0, 0], [1, 0, 0.6]],
  ['1 for all where all run alike', [3, 3, 3], [0, 0, 0], [1, 1, 1]],
  ['requests sent since the scrape will run soon', [3, 3, 3], [0, 2, 1], [1, 0, 0.5]],
])('running-requests-size-scorer: %s', (_sentence, running, sent, expected) => {
  const states = readyStates(3);
  states.running.set(running);
  states.unseenWaiting.set(sent);
  const out = new Float64Array(3);
  runningRequestsSizeScorer.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(3)), out);
  expect([...out]).toEqual(expected);
});

it('running-requests-size-scorer goes by what this router has in flight where the scrape is stale', () => {
  const states = readyStates(2);
  states.running.set([50, 2]);
  states.inFlight.set([1, 9]);
  states.set(0, Flag.stale, true);
  const out = new Float64Array(2);
  runningRequestsSizeScorer.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(2)), out);
  expect([...out]).toEqual([1, 0]);
});
