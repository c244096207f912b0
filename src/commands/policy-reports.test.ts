import { describe, expect, it } from 'vitest';
import { backend, endpoints, group, policy, profile, readyStates, request } from '../../test/fixtures/fleet.ts';
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
});
