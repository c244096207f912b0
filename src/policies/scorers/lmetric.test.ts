import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { lMetric } from './lmetric.ts';

it.each([
  ['an idle engine costs the new tokens', 0, 0, 1000, 0, 1000],
  ['cached tokens are not new', 0, 0, 1000, 400, 600],
  ['queued tokens are added', 0, 300, 1000, 400, 900],
  ['the batch, with this request in it, multiplies', 3, 300, 1000, 400, 3600],
  ['a full hit on an engine without a queue is free at any batch', 9, 0, 1000, 1000, 0],
  ['more cached than asked is no gain', 1, 50, 1000, 1200, 100],
])('scorer-lmetric: %s', (_sentence, inFlight, queued, prompt, cached, expected) => {
  const states = readyStates(1);
  states.inFlight[0] = inFlight;
  states.queuedTokens[0] = queued;
  const out = new Float64Array(1);
  lMetric.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(1), prompt, [cached]), out);
  expect(out[0]).toBe(expected);
});
