import type { AdapterReport } from '../../router/adapters.ts';
import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { Flag } from '../../router/states.ts';
import { defineScorer } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's scorer of LoRA adapters, with an adapter in both of an engine's lists counted once. */
export const loraAffinityScorer = defineScorer({
  kind: 'scorer',
  type: 'lora-affinity-scorer',
  summary: 'LoRA adapter at work there: 1; room for another adapter: 0.8; the adapter waits there: 0.6; else 0.',
  direction: 'gain',
  readsHits: false,
  parameters: noParameters,
  create: (_parameters, { states, adapters }) => ({
    score(_request: InferenceRequest, { model, slots, length }: Candidates, out: Float64Array): void {
      for (let i = 0; i < length; i++) {
        const report = states.has(slots[i], Flag.stale) ? null : adapters.lora(slots[i]);
        out[i] = report === null ? 0 : gain(report, model);
      }
    },
  }),
});

function gain({ running, waiting, distinct, max }: AdapterReport, model: string): number {
  if (running.includes(model)) return 1;
  if (distinct < max) return 0.8;
  return waiting.includes(model) ? 0.6 : 0;
}
