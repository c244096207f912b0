import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** One endpoint after the other, by slot, so that a change of the candidates does not start the round anew. */
export const roundRobin = definePicker({
  kind: 'picker',
  type: 'picker-round-robin',
  summary: 'One endpoint after the other, whatever their scores.',
  parameters: noParameters,
  create: () => {
    let last = -1;
    return {
      pick(_request: InferenceRequest, candidates: Candidates, _costs: Float64Array): number {
        let next = -1;
        let lowest = 0;
        for (let i = 0; i < candidates.length; i++) {
          const slot = candidates.slots[i];
          if (slot < candidates.slots[lowest]) lowest = i;
          if (slot > last && (next < 0 || slot < candidates.slots[next])) next = i;
        }
        const index = next < 0 ? lowest : next;
        last = candidates.slots[index];
        return index;
      },
    };
  },
});
