import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { loadAwareScorer } from './load-aware.ts';

it.each([
  ['half for an empty queue, nothing at the bound and beyond', [0, 8, 80], [0, 0, 0], [0.5, 0, 0]],
  ['in proportion between', [2, 4, 6], [0, 0, 0], [0.375, 0.25, 0.125]],
  ['requests sent since the scrape count', [0, 0, 0], [0, 4, 0], [0.5, 0.25, 0.5]],
])('load-aware-scorer: %s', (_sentence, waiting, sent, expected) => {
  const states = readyStates(3);
  states.waiting.set(waiting);
  states.unseenWaiting.set(sent);
  const out = new Float64Array(3);
  loadAwareScorer.create({ threshold: 8 }, contextOf(states)).score(request(), candidatesOf(endpoints(3)), out);
  expect([...out]).toEqual(expected);
});
