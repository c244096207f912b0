import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's lottery: a sum of gains is a number of tickets; without any ticket all are equally likely. */
export const weightedRandom = definePicker({
  kind: 'picker',
  type: 'weighted-random-picker',
  summary: 'One at random, each as likely as its sum of gains is high.',
  takes: 'gain',
  parameters: noParameters,
  create: (_parameters, { random }) => ({
    pick(_request: InferenceRequest, { length }: Candidates, costs: Float64Array): number {
      let total = 0;
      for (let i = 0; i < length; i++) total += Math.max(0, -costs[i]);
      if (total === 0) return Math.floor(random() * length);
      let point = random() * total;
      let last = 0;
      for (let i = 0; i < length; i++) {
        if (costs[i] >= 0) continue;
        last = i;
        point += costs[i];
        if (point < 0) break;
      }
      return last;
    },
  }),
});
