import { describe, expect, it } from 'vitest';
import { backend, endpoints, group, policy, profile, readyStates, request } from '../../test/fixtures/fleet.ts';
import type { EndpointScore } from '../observability/replica-report.ts';
import { ScoreBook } from '../observability/score-book.ts';
import { Traffic } from '../observability/traffic.ts';
import type { Explanation } from '../router/explanation.ts';
import { Router } from '../router/router.ts';
import { RoutingTable } from '../router/table.ts';
import { policyReports } from './policy-reports.ts';

describe('policyReports', () => {
  const now = (): number => 1000;
  const states = readyStates(2);
  const book = new ScoreBook<Explanation>({ now, wallTime: now });
  const traffic = new Traffic(now);
  const backends = [backend({ group: group({ endpoints: endpoints(2) }) })];
  const valid = profile({ scorers: [{ type: 'scorer-least-load', weight: 2 }] }, states, () => 0.999);
  const busy = policy({ name: 'busy', backends, profile: valid });
  const idle = policy({ name: 'idle', backends, profile: valid });
  const table = new RoutingTable(1, [busy, idle], new Map());
  const reports = () => policyReports(table, { traffic, book, generationOf: (key) => (key === 'ns/busy' ? 7 : 0) });

  it('tells of traffic, generation and scores, and of policies without traffic, too', () => {
    const router = new Router({ states, random: () => 0.999, observer: book });
    for (let i = 0; i < 3; i++) router.decide(busy, request());
    traffic.policy('ns/busy').started();
    traffic.policy('ns/gone').started();
    const nothing = {
      windowSeconds: 60,
      requestsPerMinute: 0,
      errorsPerMinute: 0,
      prefixHitPercent: 0,
      ttftP50Milliseconds: 0,
      ttftP90Milliseconds: 0,
    };
    const parts = (value: number) => [{ scorer: 'scorer-least-load', value, weight: 2 }];
    expect(reports()).toEqual([
      {
        policy: 'ns/busy',
        ...nothing,
        inFlight: 1,
        generation: 7,
        scores: [
          { name: 'e0', group: 'group', picks: 2, score: 0, breakdown: parts(0) },
          { name: 'e1', group: 'group', picks: 1, score: 0, breakdown: parts(0) },
        ],
      },
      { policy: 'ns/idle', ...nothing, inFlight: 0, generation: 0, scores: [] },
    ]);
  });

  it('leaves out endpoints that nobody picked lately', () => {
    const later = policyReports(table, {
      traffic,
      book: { scores: () => [scoreOf('e0', 0), scoreOf('e1', 1)] } as unknown as ScoreBook<Explanation>,
      generationOf: () => 1,
    });
    expect(later.map(({ scores }) => scores.map(({ name }) => name))).toEqual([['e1'], ['e1']]);
  });

  const big = (count: number, endpointsEach: number, name = 'e') => {
    const policies = Array.from({ length: count }, (_, i) => policy({ name: `p${i}`, backends, profile: valid }));
    const scores = Array.from({ length: endpointsEach }, (_, i) => scoreOf(`${name}${i}`, endpointsEach - i));
    return policyReports(new RoutingTable(1, policies, new Map()), {
      traffic: new Traffic(now),
      book: { scores: () => scores } as unknown as ScoreBook<Explanation>,
      generationOf: () => 1,
    });
  };

  it.each([
    ['of 1,000 busy policies', 1000, 64, 'e'],
    ['of 1,000 with the longest of names', 1000, 64, 'e'.repeat(250)],
    ['of more than anybody has promised', 5000, 64, 'e'],
  ])('%s tells no more than a peer reads', (_, count, endpointsEach, name) => {
    const reports = big(count, endpointsEach, name);
    expect(JSON.stringify(reports).length).toBeLessThan(4 * 1024 * 1024 - 1000);
    expect(reports.length).toBe(count);
  });

  it('shares the room out, the busiest endpoints first', () => {
    const told = big(1000, 64).map(({ scores }) => scores.length);
    expect(Math.min(...told)).toBeGreaterThan(4);
    expect(Math.max(...told) - Math.min(...told)).toBeLessThanOrEqual(1);
    expect(big(1000, 64)[7].scores[0].name).toBe('e0');
    expect(big(20, 64).every(({ scores }) => scores.length === 64)).toBe(true);
  });
});

function scoreOf(name: string, picks: number): EndpointScore {
  const breakdown = ['scorer-least-load', 'scorer-prefix', 'scorer-auto'].map((scorer) => ({
    scorer,
    value: 1 / 3,
    weight: 2.5,
  }));
  return { name, group: 'group', picks, score: 1 / 3, breakdown };
}
