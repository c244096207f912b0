import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's queue scorer: `(most − waiting) / (most − least)`, 1 where all wait alike. */
export const queueScorer = defineScorer({
  kind: 'scorer',
  type: 'queue-scorer',
  summary: 'Shortest queue: 1 for the least waiting requests, 0 for the most.',
  direction: 'gain',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      const { slots, length } = candidates;
      let least = Infinity;
      let most = -Infinity;
      for (let i = 0; i < length; i++) {
        out[i] = states.waitingNow(slots[i]);
        least = Math.min(least, out[i]);
        most = Math.max(most, out[i]);
      }
      for (let i = 0; i < length; i++) out[i] = most === least ? 1 : (most - out[i]) / (most - least);
    },
  }),
});
