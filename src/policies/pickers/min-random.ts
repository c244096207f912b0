import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { bestAtRandom } from '../best.ts';
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
    pick: (_request: InferenceRequest, { length }: Candidates, costs: Float64Array): number =>
      bestAtRandom(costs, length, random),
  }),
});
