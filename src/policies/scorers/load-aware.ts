import { Type } from 'typebox';
import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';

/** llm-d's scorer of queues by an absolute measure: ½ without a queue, 0 from `threshold` waiting requests on. */
export const loadAwareScorer = defineScorer({
  kind: 'scorer',
  type: 'load-aware-scorer',
  summary: 'Queue against a fixed bound: 0.5 for an empty queue, falling to 0 at the bound.',
  direction: 'gain',
  readsHits: false,
  parameters: Type.Object(
    {
      threshold: Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        default: 128,
        description: 'Waiting requests from which on the gain is 0.',
      }),
    },
    { additionalProperties: false },
  ),
  create: ({ threshold }, { states }) => ({
    score(_request: InferenceRequest, { slots, length }: Candidates, out: Float64Array): void {
      for (let i = 0; i < length; i++) out[i] = 0.5 * (1 - Math.min(1, states.waitingNow(slots[i]) / threshold));
    },
  }),
});
