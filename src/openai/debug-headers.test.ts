import { describe, expect, it } from 'vitest';
import { backend, endpoint, policy, readyStates } from '../../test/fixtures/fleet.ts';
import type { Decision } from '../router/decision.ts';
import type { HandoverBy } from '../router/pair-topology.ts';
import type { ScoreBreakdown } from '../router/profile.ts';
import { Reservation } from '../router/reservation.ts';
import { debugHeaders } from './debug-headers.ts';

function decision(breakdown: ScoreBreakdown[] | null): Decision {
  const reservation = new Reservation(readyStates(1), 0, 0);
  return {
    backend: backend(),
    endpoint: endpoint(0),
    reservation,
    promptTokens: 1,
    cachedTokens: 0,
    breakdown,
    handover: null,
  };
}

const row = (name: string): ScoreBreakdown => ({
  endpoint: name,
  address: 'a:1',
  score: 1 / 3,
  parts: [{ scorer: 'scorer-auto', value: 2 / 3, weight: 0.5 }],
});

describe('debugHeaders', () => {
  it('name the endpoint and the policy', () => {
    const headers = debugHeaders(decision(null), policy());
    expect(headers.slice(0, 4)).toEqual(['x-hermes-endpoint', 'e0', 'x-hermes-policy', 'ns/policy']);
  });

  const handovers: [HandoverBy, readonly string[]][] = [
    ['Router', ['x-hermes-prefill-endpoint', 'e1']],
    ['Leader', ['x-hermes-prefill-endpoint', 'e1', 'x-hermes-decode-endpoint', 'e2']],
  ];
  it.each(handovers)('name the pair that a %s hands over between', (by, wanted) => {
    const handover = { prefill: endpoint(1), decode: endpoint(2), by, stages: { prefill: 0, decode: 0 } };
    const headers = debugHeaders({ ...decision(null), handover }, policy());
    expect(headers.slice(4, -4)).toEqual(wanted);
  });

  it('tell how long the prompt is and how much of it should be cached', () => {
    const headers = debugHeaders({ ...decision(null), promptTokens: 97.5, cachedTokens: 64 }, policy());
    expect(headers.slice(4)).toEqual(['x-hermes-prompt-tokens', '98', 'x-hermes-cached-tokens', '64']);
  });

  it('tell the scores as JSON, rounded', () => {
    const headers = debugHeaders(decision([row('e0')]), policy());
    expect(headers.slice(8, 9)).toEqual(['x-hermes-scores']);
    expect(JSON.parse(headers[9])).toEqual([
      { endpoint: 'e0', score: 0.333, parts: [{ scorer: 'scorer-auto', value: 0.667, weight: 0.5 }] },
    ]);
  });

  it('escape what a header cannot hold', () => {
    const headers = debugHeaders(decision([row('łódź\r\n')]), policy({ name: 'ł' }));
    expect(headers[3]).toBe('ns/\\u0142');
    expect(headers[9]).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(headers[9])).toMatchObject([{ endpoint: 'łódź\r\n' }]);
  });

  it('show 32 endpoints at most, so that they fit a header', () => {
    const many = Array.from({ length: 500 }, (_, i) => row(`engine-${i}`));
    const text = debugHeaders(decision(many), policy())[9];
    expect(JSON.parse(text)).toHaveLength(32);
    expect(text.length).toBeLessThan(8192);
  });
});
