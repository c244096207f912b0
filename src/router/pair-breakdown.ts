import type { Endpoint } from './endpoint.ts';
import { PairCosts, type Pairs } from './pairs.ts';
import type { PairParts, ScorePart } from './profile.ts';
import type { InferenceRequest } from './request.ts';

/** Why a prefiller or a decoder has the cost it has; a pair's cost is the sum of its two. */
export interface MemberScore {
  /** Weighted sum; a prefiller's holds its group's. */
  readonly score: number;
  readonly parts: readonly ScorePart[];
  /** Weighted load that decides among members of one group that cost the same; null where no scorer keeps any. */
  readonly charge: number | null;
  /** Prompt tokens thought to be in its KV cache; null for a decoder that is handed all of it. */
  readonly cachedTokens: number | null;
  readonly picked: boolean;
}

/** The scores that the decision over these pairs saw, by endpoint. */
export function pairBreakdown(parts: PairParts, request: InferenceRequest, pairs: Pairs): Map<Endpoint, MemberScore> {
  const columns = parts.scorers.map(({ type, weight, scorer }) => {
    const values = new PairCosts();
    values.reset(pairs);
    scorer.score(request, pairs, values);
    return { type, weight, values };
  });
  const members = new Map<Endpoint, MemberScore>();
  const add = (
    endpoint: Endpoint,
    valueOf: (values: PairCosts) => [value: number, charge: number],
    rest: Rest,
  ): void => {
    const scored = columns.map(({ type, weight, values }) => ({ type, weight, found: valueOf(values) }));
    members.set(endpoint, {
      score: scored.reduce((sum, { weight, found: [value] }) => sum + weight * value, 0),
      parts: scored.map(({ type, weight, found: [value] }) => ({ scorer: type, value, weight })),
      charge: parts.charges.length === 0 ? null : scored.reduce((sum, { weight, found }) => sum + weight * found[1], 0),
      ...rest,
    });
  };
  const { prefills, decodes, prefillStarts } = pairs;
  for (let g = 0; g < pairs.length; g++) {
    for (let i = prefillStarts[g]; i < prefillStarts[g + 1]; i++) {
      add(prefills.endpoints[i], ({ groups, prefills: { costs, charges } }) => [groups[g] + costs[i], charges[i]], {
        cachedTokens: prefills.cachedTokens[i],
        picked: i === pairs.prefill,
      });
    }
  }
  for (let i = 0; i < decodes.length; i++) {
    add(decodes.endpoints[i], ({ decodes: { costs, charges } }) => [costs[i], charges[i]], {
      cachedTokens: pairs.prefill < 0 ? decodes.cachedTokens[i] : null,
      picked: i === pairs.decode,
    });
  }
  return members;
}

type Rest = Pick<MemberScore, 'cachedTokens' | 'picked'>;
