import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { bestAtRandom } from '../best.ts';
import { definePicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's name for the best endpoint. */
export const maxScore = definePicker({
  kind: 'picker',
  type: 'max-score-picker',
  summary: 'The endpoint of the highest sum of gains; one at random among equals.',
  takes: 'gain',
  parameters: noParameters,
  create: (_parameters, { random }) => ({
    breaksTiesByChance: true,
    pick: (_request: InferenceRequest, { length }: Candidates, costs: Float64Array): number =>
      bestAtRandom(costs, length, random),
  }),
});
