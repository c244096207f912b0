import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';
import { pairsByLabel } from '../pairs-by-label.ts';

/** Any pair of any group (v25.12). */
export const randomPdBucketPreset = definePreset({
  kind: 'preset',
  type: 'RandomPDBucket',
  member: 'randomPDBucket',
  summary: 'A random group, then a random prefiller and a random decoder of it (v25.12).',
  parameters: noParameters,
  expand: () => pairsByLabel([], 'picker-random-pd-bucket'),
});
