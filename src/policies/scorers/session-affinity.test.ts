import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoint, endpoints, readyStates, request } from '../../../test/fixtures/fleet.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { sessionAffinity } from './session-affinity.ts';

const context = contextOf(readyStates(1));
const scorer = sessionAffinity.create({ header: 'X-Session-Id' }, context);
const session = (id: string): InferenceRequest => request({ headers: new Map([['x-session-id', id]]) });

function scores(asked: InferenceRequest, among: Endpoint[]): number[] {
  const out = new Float64Array(among.length);
  scorer.score(asked, candidatesOf(among), out);
  return [...out];
}

/** The address where a session lives. */
function home(asked: InferenceRequest, among: Endpoint[]): string {
  const found = scores(asked, among);
  return among[found.indexOf(Math.max(...found))].address;
}

describe('scorer-session-affinity', () => {
  it('keeps a session on one endpoint, in whatever order and slots the endpoints come', () => {
    const fleet = endpoints(20);
    const shuffled = [...fleet].reverse().map((item, i) => ({ ...item, slot: i, id: `other/${i}` }));
    for (let i = 0; i < 200; i++) expect(home(session(`s${i}`), shuffled)).toBe(home(session(`s${i}`), fleet));
  });

  it('moves only the sessions of an endpoint that leaves', () => {
    const fleet = endpoints(10);
    const rest = fleet.filter(({ slot }) => slot !== 4);
    let moved = 0;
    for (let i = 0; i < 2000; i++) {
      const before = home(session(`s${i}`), fleet);
      if (before === fleet[4].address) moved += 1;
      else expect(home(session(`s${i}`), rest)).toBe(before);
    }
    expect(moved).toBeGreaterThan(0);
  });

  it('moves to an endpoint that comes only its own share', () => {
    const fleet = endpoints(10);
    const more = [...fleet, endpoint(10)];
    for (let i = 0; i < 2000; i++) {
      const after = home(session(`s${i}`), more);
      if (after !== more[10].address) expect(after).toBe(home(session(`s${i}`), fleet));
    }
  });

  it('spreads sessions evenly: chi-square over 10 endpoints below 49 (by chance one set of sessions in 10 million exceeds it)', () => {
    const fleet = endpoints(10);
    const counts = new Map<string, number>();
    for (let i = 0; i < 10_000; i++) {
      const address = home(session(`user-${i}`), fleet);
      counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    const chiSquare = fleet.reduce((sum, { address }) => sum + ((counts.get(address) ?? 0) - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(49);
  });

  it.each([
    ['the header', request({ headers: new Map([['x-session-id', 'a']]), user: 'b' }), session('a')],
    ["the body's user where there is no header", request({ user: 'a' }), session('a')],
    [
      "the body's user where the header is empty",
      request({ headers: new Map([['x-session-id', '']]), user: 'a' }),
      session('a'),
    ],
  ])('takes the session from %s', (_sentence, asked, same) => {
    expect(scores(asked, endpoints(5))).toEqual(scores(same, endpoints(5)));
  });

  it('prefers no endpoint for a request without a session', () => {
    expect(scores(request(), endpoints(3))).toEqual([0, 0, 0]);
  });

  it('is a gain within 0..1 for any session', () => {
    for (let i = 0; i < 1000; i++) {
      for (const score of scores(session(`漢${i}`), endpoints(3))) {
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThan(1);
      }
    }
  });
});
