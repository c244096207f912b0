import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** Among the endpoints of the lowest cost, one at random; without scorers, one of all at random. */
export const minRandom = definePicker({
  kind: 'picker',
  type: 'picker-min-random',
  summary: 'The best endpoint; one at random among equals.',
  parameters: noParameters,
  create: (_parameters, { random }) => ({
    breaksTiesByChance: true,
    pick(_request: InferenceRequest, candidates: Candidates, costs: Float64Array): number {
      let best = 0;
      let equals = 1;
      for (let i = 1; i < candidates.length; i++) {
        if (costs[i] > costs[best]) continue;
        if (costs[i] < costs[best]) {
          best = i;
          equals = 1;
          continue;
        }
        // Reservoir of one: the k-th equal replaces the pick with probability 1/k, so all are equally likely.
        equals += 1;
        if (random() * equals < 1) best = i;
      }
      return best;
    },
  }),
});
