import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's KV-cache scorer: `1 − usage`. */
export const kvCacheUtilizationScorer = defineScorer({
  kind: 'scorer',
  type: 'kv-cache-utilization-scorer',
  summary: 'Free KV cache: 1 − usage.',
  direction: 'gain',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      for (let i = 0; i < candidates.length; i++) out[i] = 1 - states.usageNow(candidates.slots[i]);
    },
  }),
});
