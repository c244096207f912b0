import type { Decision } from '../router/decision.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import type { ScoreBreakdown } from '../router/profile.ts';
import { profileFor } from '../router/profiles.ts';

/** Candidates whose scores are told at most, the picked ones first: a span has to stay small. */
const told = 8;

/** What a span tells of a decision: names, lengths and scores. */
export type DecisionAttributes = Record<string, string | number | readonly string[]>;

/** `attempt` is 1 for a request's first decision. */
export function decisionAttributes(
  policy: RoutingPolicy,
  decision: Decision | null,
  attempt: number,
): DecisionAttributes {
  const found: DecisionAttributes = { 'hermes.policy': policy.key, 'hermes.attempt': attempt };
  if (decision === null) return found;
  const { backend, endpoint, handover, promptTokens, cachedTokens, breakdown } = decision;
  found['hermes.group'] = backend.group.name;
  found['hermes.endpoint'] = endpoint.name;
  found['hermes.prompt_tokens'] = Math.round(promptTokens);
  found['hermes.cached_tokens'] = Math.round(cachedTokens);
  if (handover !== null) {
    found['hermes.prefill_endpoint'] = handover.prefill.name;
    found['hermes.decode_endpoint'] = handover.decode.name;
  }
  if (breakdown === null) return found;
  found['hermes.candidates'] = breakdown.length;
  found['hermes.scores'] = ranked(policy, decision, breakdown).slice(0, told).map(textOf);
  return found;
}

/** The picked ones, then the others as they come nearest. */
function ranked(policy: RoutingPolicy, decision: Decision, breakdown: readonly ScoreBreakdown[]): ScoreBreakdown[] {
  const { backend, endpoint, handover } = decision;
  const picked = new Set([endpoint.address, handover?.prefill.address, handover?.decode.address]);
  const scorers = profileFor(policy, backend.group)?.parts.scorers ?? [];
  const sign = scorers[0]?.direction === 'gain' ? -1 : 1;
  const place = ({ address }: ScoreBreakdown): number => (picked.has(address) ? 0 : 1);
  return [...breakdown].sort((a, b) => place(a) - place(b) || sign * (a.score - b.score));
}

/** As the headers tell it to a client who asks: one JSON object for each endpoint. */
function textOf({ endpoint, score, parts }: ScoreBreakdown): string {
  return JSON.stringify({
    endpoint,
    score: round(score),
    parts: parts.map(({ scorer, value, weight }) => ({ scorer, value: round(value), weight })),
  });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
