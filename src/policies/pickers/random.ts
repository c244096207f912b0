import type { Candidates } from '../../router/candidates.ts';
import type { InferenceRequest } from '../../router/request.ts';
import { definePicker } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The reference picker's random choice. */
export const randomPicker = definePicker({
  kind: 'picker',
  type: 'random-picker',
  summary: 'Any endpoint, all equally likely, whatever their scores.',
  parameters: noParameters,
  create: (_parameters, { random }) => ({
    pick: (_request: InferenceRequest, { length }: Candidates): number => Math.floor(random() * length),
  }),
});
