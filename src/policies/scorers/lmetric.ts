import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/**
 * LMetric (arXiv 2603.15202): `new prefill tokens × batch size`, where new prefill tokens = prompt − cached + queued
 * prefill tokens and batch size = running + waiting + 1. Both come from the router's own books.
 */
export const lMetric = defineScorer({
  kind: 'scorer',
  type: 'scorer-lmetric',
  summary: 'New prefill tokens times batch size (LMetric).',
  direction: 'cost',
  readsHits: true,
  parameters: noParameters,
  create: (_parameters, { states }) => ({
    score(_request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
      const { slots, cachedTokens, promptTokens } = candidates;
      for (let i = 0; i < candidates.length; i++) {
        const slot = slots[i];
        const newTokens = Math.max(0, promptTokens - cachedTokens[i]) + states.queuedTokens[slot];
        out[i] = newTokens * (states.inFlight[slot] + 1);
      }
    },
  }),
});
