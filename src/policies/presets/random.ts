import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** Any ready endpoint, all equally likely. */
export const randomPreset = definePreset({
  kind: 'preset',
  type: 'Random',
  member: 'random',
  summary: 'Any ready endpoint, all equally likely.',
  parameters: noParameters,
  expand: () => ({ scorers: [], picker: { type: 'picker-min-random' } }),
});
