import { expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { Reservation } from '../../router/reservation.ts';
import { queueScorer } from './queue.ts';

it.each([
  ['1 for the shortest queue, 0 for the longest, in proportion between', [0, 10, 4], [0, 0, 0], [1, 0, 0.6]],
  ['1 for all where all wait alike', [3, 3, 3], [0, 0, 0], [1, 1, 1]],
  ['requests sent since the scrape count', [3, 3, 3], [0, 2, 0], [1, 0, 1]],
])('queue-scorer: %s', (_sentence, waiting, sent, expected) => {
  const states = readyStates(3);
  waiting.forEach((count, slot) => {
    states.scrapeStarts(slot);
    states.scrapeSucceeds(slot, { waiting: count, running: 0, usage: 0 }, 1);
    for (let i = 0; i < sent[slot]; i++) new Reservation(states, slot, 1);
  });
  const out = new Float64Array(3);
  queueScorer.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(3)), out);
  expect([...out]).toEqual(expected);
});
