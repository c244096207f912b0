import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { auto } from './auto.ts';

/** The cost of one endpoint. */
function cost(load: { queued?: number; inFlight?: number }, prompt: number, cached: number): number {
  const states = readyStates(1);
  states.queuedTokens[0] = load.queued ?? 0;
  states.inFlight[0] = load.inFlight ?? 0;
  const out = new Float64Array(1);
  auto.create({}, contextOf(states)).score(request(), candidatesOf(endpoints(1), prompt, [cached]), out);
  return out[0];
}

describe('scorer-auto', () => {
  it.each([
    ['an idle engine costs four times the prefill', cost({}, 1000, 0), 4000],
    ['what is cached costs nothing', cost({}, 1000, 1000), 0],
    ['a part that is cached is taken off', cost({}, 1000, 600), 1600],
    ['more cached than asked is no gain', cost({}, 1000, 1500), 0],
    ['the queue costs its tokens', cost({ queued: 700 }, 1000, 1000), 700],
    [
      'a request in flight costs 400 and half the prefill that stalls it',
      cost({ inFlight: 1 }, 1000, 0),
      4000 + 500 + 400,
    ],
    ['all of it together', cost({ inFlight: 4, queued: 50 }, 1000, 200), 50 + 800 * 6 + 1600],
  ])('%s', (_sentence, found, expected) => {
    expect(found).toBe(expected);
  });

  it('gives a hot prefix its second copy at the 35th request in flight: 6,000 tokens of prefix, 600 of body, an idle neighbour', () => {
    const idle = cost({}, 6600, 0);
    expect(cost({ inFlight: 34 }, 6600, 6000)).toBeLessThan(idle);
    expect(cost({ inFlight: 35 }, 6600, 6000)).toBeGreaterThan(idle);
  });

  it('reads no scraped number', () => {
    const states = readyStates(1);
    const scorer = auto.create({}, contextOf(states));
    const out = new Float64Array(1);
    scorer.score(request(), candidatesOf(endpoints(1), 100), out);
    const before = out[0];
    states.scrapeStarts(0);
    states.scrapeSucceeds(0, { waiting: 100, running: 100, usage: 1 }, 1);
    scorer.score(request(), candidatesOf(endpoints(1), 100), out);
    expect(out[0]).toBe(before);
  });
});
