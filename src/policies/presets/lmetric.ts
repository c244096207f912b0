import { definePreset } from '../definition.ts';
import { noParameters } from '../parameters.ts';

/** Least new prefill tokens times batch size (arXiv 2603.15202). */
export const lMetricPreset = definePreset({
  kind: 'preset',
  type: 'LMetric',
  member: 'lMetric',
  summary: 'Least new prefill tokens times batch size (arXiv 2603.15202).',
  parameters: noParameters,
  expand: () => ({ scorers: [{ type: 'scorer-lmetric', weight: 1 }], picker: { type: 'picker-min-random' } }),
});
