import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The cost found by simulation: queue, own prefill, stall and crowding; improved from release to release. */
export const autoPreset = definePreset({
  kind: 'preset',
  type: 'Auto',
  member: 'auto',
  summary: 'The cost found by simulation: queue, own prefill, stall and crowding; improved from release to release.',
  parameters: noParameters,
  expand: () => ({ scorers: [{ type: 'scorer-auto', weight: 1 }], picker: { type: 'picker-min-random' } }),
});
