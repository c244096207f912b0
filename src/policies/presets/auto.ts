import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';
import { pairsByLabel } from '../pairs-by-label.ts';

/** The cost found by simulation: queue, own prefill, stall and crowding; improved from release to release. */
export const autoPreset = definePreset({
  kind: 'preset',
  type: 'Auto',
  member: 'auto',
  summary: 'The cost found by simulation: queue, own prefill, stall and crowding; improved from release to release.',
  parameters: noParameters,
  expand: () => ({ scorers: [{ type: 'scorer-auto', weight: 1 }], picker: { type: 'picker-min-random' } }),
  // The pair scorer that Auto stands for.
  expandPairs: () => pairsByLabel([{ type: 'scorer-pd-least-time', weight: 1 }], 'picker-pd-kv-cache-aware'),
});
