import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** This router's requests in flight there. */
export const leastLoad = defineScorer({
  kind: 'scorer',
  type: 'scorer-least-load',
  summary: "The router's own requests in flight there.",
  direction: 'cost',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      for (let i = 0; i < candidates.length; i++) out[i] = states.inFlight[candidates.slots[i]];
    },
  }),
});
