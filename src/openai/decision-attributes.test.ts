import { describe, expect, it } from 'vitest';
import { backend, endpoint, policy, readyStates } from '../../test/fixtures/fleet.ts';
import type { Decision } from '../router/decision.ts';
import type { ScoreBreakdown } from '../router/profile.ts';
import { Reservation } from '../router/reservation.ts';
import { decisionAttributes } from './decision-attributes.ts';

function decision(slot: number, breakdown: ScoreBreakdown[] | null): Decision {
  const reservation = new Reservation(readyStates(20), slot, 0);
  return {
    backend: backend(),
    endpoint: endpoint(slot),
    reservation,
    promptTokens: 97.5,
    cachedTokens: 64,
    breakdown,
    handover: null,
  };
}

const row = (slot: number, score: number): ScoreBreakdown => ({
  endpoint: endpoint(slot).name,
  address: endpoint(slot).address,
  score,
  parts: [{ scorer: 'scorer-auto', value: 2 / 3, weight: 0.5 }],
});

const names = (attributes: ReturnType<typeof decisionAttributes>): string[] => {
  const scores = attributes['hermes.scores'];
  if (typeof scores !== 'object') throw new Error('no scores');
  return scores.map((text) => (JSON.parse(text) as { endpoint: string }).endpoint);
};

describe('a decision', () => {
  it('is told with what it was made for', () => {
    expect(decisionAttributes(policy(), decision(0, null), 2)).toEqual({
      'hermes.policy': 'ns/policy',
      'hermes.attempt': 2,
      'hermes.group': 'group',
      'hermes.endpoint': 'e0',
      'hermes.prompt_tokens': 98,
      'hermes.cached_tokens': 64,
    });
  });

  it('that could not be made has nothing to tell but its policy', () => {
    expect(decisionAttributes(policy(), null, 1)).toEqual({ 'hermes.policy': 'ns/policy', 'hermes.attempt': 1 });
  });

  it('tells the scores of the picked one, then of the others as they come nearest, eight of all', () => {
    const rows = Array.from({ length: 12 }, (_, slot) => row(slot, 12 - slot));
    const attributes = decisionAttributes(policy(), decision(3, rows), 1);
    expect(attributes['hermes.candidates']).toBe(12);
    expect(names(attributes)).toEqual(['e3', 'e11', 'e10', 'e9', 'e8', 'e7', 'e6', 'e5']);
  });

  it('tells scores as the debug header does, rounded', () => {
    const [text] = decisionAttributes(policy(), decision(0, [row(0, 1 / 3)]), 1)['hermes.scores'] as string[];
    expect(JSON.parse(text)).toEqual({
      endpoint: 'e0',
      score: 0.333,
      parts: [{ scorer: 'scorer-auto', value: 0.667, weight: 0.5 }],
    });
  });

  it('of a pair names both, and tells both first', () => {
    const handover = {
      prefill: endpoint(4),
      decode: endpoint(1),
      by: 'Router' as const,
      stages: { prefill: 0, decode: 0 },
    };
    const rows = [0, 1, 2, 3, 4].map((slot) => row(slot, slot));
    const attributes = decisionAttributes(policy(), { ...decision(1, rows), handover }, 1);
    expect(attributes).toMatchObject({ 'hermes.prefill_endpoint': 'e4', 'hermes.decode_endpoint': 'e1' });
    expect(names(attributes)).toEqual(['e1', 'e4', 'e0', 'e2', 'e3']);
  });
});
