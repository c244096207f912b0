import { Type } from 'typebox';
import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { defineScorer } from '../definition.ts';

/** llm-d's scorer of the router's own requests in flight: `maxBusyScore·(most − n) / most`, 1 for the idle. */
export const activeRequestScorer = defineScorer({
  kind: 'scorer',
  type: 'active-request-scorer',
  summary: "Fewest of the router's own requests in flight: 1 for the idle, 0 for the busiest.",
  direction: 'gain',
  readsHits: false,
  parameters: Type.Object(
    {
      idleThreshold: Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        default: 0,
        description: 'Requests in flight up to which an endpoint counts as idle.',
      }),
      maxBusyScore: Type.Number({
        minimum: 0,
        maximum: 1,
        default: 1,
        description: 'What an endpoint that is not idle gets at most.',
      }),
    },
    { additionalProperties: false },
  ),
  create: ({ idleThreshold, maxBusyScore }, { states }) => ({
    score(_request: InferenceRequest, { slots, length }: Candidates, out: Float64Array): void {
      const { inFlight } = states;
      let most = 0;
      for (let i = 0; i < length; i++) most = Math.max(most, inFlight[slots[i]]);
      for (let i = 0; i < length; i++) {
        const own = inFlight[slots[i]];
        out[i] = own <= idleThreshold ? 1 : ((most - own) / most) * maxBusyScore;
      }
    },
  }),
});
