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
    const peek = (_request: InferenceRequest, candidates: Candidates): number => {
      let next = -1;
      let lowest = 0;
      for (let i = 0; i < candidates.length; i++) {
        const slot = candidates.slots[i];
        if (slot < candidates.slots[lowest]) lowest = i;
        if (slot > last && (next < 0 || slot < candidates.slots[next])) next = i;
      }
      return next < 0 ? lowest : next;
    };
    return {
      peek,
      pick(request: InferenceRequest, candidates: Candidates): number {
        const index = peek(request, candidates);
        last = candidates.slots[index];
        return index;
      },
    };
  },
});
