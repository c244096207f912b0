import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';
import { toGains } from '../spread.ts';

/** The reference picker's queue scorer: `(most − waiting) / (most − least)`, 1 where all wait alike. */
export const queueScorer = defineScorer({
  kind: 'scorer',
  type: 'queue-scorer',
  summary: 'Shortest queue: 1 for the least waiting requests, 0 for the most.',
  direction: 'gain',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, { slots, length }: Candidates, out: Float64Array): void {
      for (let i = 0; i < length; i++) out[i] = states.waitingNow(slots[i]);
      toGains(out, length);
    },
  }),
});
