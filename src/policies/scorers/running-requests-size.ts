import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';
import { toGains } from '../spread.ts';

/** The reference picker's scorer of batch sizes: `(most − running) / (most − least)`, 1 where all run alike. */
export const runningRequestsSizeScorer = defineScorer({
  kind: 'scorer',
  type: 'running-requests-size-scorer',
  summary: 'Smallest batch: 1 for the fewest running requests, 0 for the most.',
  direction: 'gain',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, { slots, length }: Candidates, out: Float64Array): void {
      for (let i = 0; i < length; i++) out[i] = states.runningNow(slots[i]);
      toGains(out, length);
    },
  }),
});
