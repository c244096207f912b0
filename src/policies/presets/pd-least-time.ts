import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';
import { pairsByLabel } from '../pairs-by-label.ts';

/** Pairs by predicted time and engine size; improved from release to release. */
export const pdLeastTimePreset = definePreset({
  kind: 'preset',
  type: 'PDLeastTime',
  member: 'pdLeastTime',
  summary:
    'The pair of least predicted time, by queue, uncached prompt and tensor-parallel size; improved with releases.',
  parameters: noParameters,
  expand: () => pairsByLabel([{ type: 'scorer-pd-least-time', weight: 1 }], 'picker-pd-kv-cache-aware'),
});
