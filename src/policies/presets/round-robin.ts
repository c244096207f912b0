import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** One ready endpoint after the other. */
export const roundRobinPreset = definePreset({
  kind: 'preset',
  type: 'RoundRobin',
  member: 'roundRobin',
  summary: 'One ready endpoint after the other.',
  parameters: noParameters,
  expand: () => ({ scorers: [], picker: { type: 'picker-round-robin' } }),
});
