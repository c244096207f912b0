import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** The endpoint with the fewest of this router's requests in flight. */
export const leastLoadPreset = definePreset({
  kind: 'preset',
  type: 'LeastLoad',
  member: 'leastLoad',
  summary: "The endpoint with the fewest of this router's requests in flight.",
  parameters: noParameters,
  expand: () => ({ scorers: [{ type: 'scorer-least-load', weight: 1 }], picker: { type: 'picker-min-random' } }),
});
