import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's prefix scorer: cached prefix tokens / prompt tokens. */
export const prefixCacheScorer = defineScorer({
  kind: 'scorer',
  type: 'prefix-cache-scorer',
  summary: 'Share of the prompt that is cached there.',
  direction: 'gain',
  readsHits: true,
  parameters: noParameters,
  create: (_parameters) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      const { cachedTokens, promptTokens } = candidates;
      for (let i = 0; i < candidates.length; i++) out[i] = Math.min(1, cachedTokens[i] / promptTokens);
    },
  }),
});
