import type { Decision } from '../router/decision.ts';
import type { RoutingPolicy } from '../router/policy.ts';

/** Endpoints whose scores are shown at most: a header has to fit. */
const shown = 32;

/** Headers that tell a client who asked why its request went where it went. */
export function debugHeaders(decision: Decision, policy: RoutingPolicy): string[] {
  const { endpoint, handover } = decision;
  const headers = ['x-hermes-endpoint', ascii(endpoint.name), 'x-hermes-policy', ascii(policy.key)];
  if (handover !== null) {
    headers.push('x-hermes-prefill-endpoint', ascii(handover.prefill.name));
    if (handover.by === 'Leader') headers.push('x-hermes-decode-endpoint', ascii(handover.decode.name));
  }
  headers.push('x-hermes-prompt-tokens', String(Math.round(decision.promptTokens)));
  headers.push('x-hermes-cached-tokens', String(Math.round(decision.cachedTokens)));
  if (decision.breakdown === null) return headers;
  const scores = decision.breakdown.slice(0, shown).map(({ endpoint, score, parts }) => ({
    endpoint,
    score: round(score),
    parts: parts.map(({ scorer, value, weight }) => ({ scorer, value: round(value), weight })),
  }));
  return [...headers, 'x-hermes-scores', ascii(JSON.stringify(scores))];
}

/** A header holds ASCII: other characters are escaped as in JSON. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
