import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { lMetricPreset } from './lmetric.ts';

it('LMetric is new prefill tokens times batch size', () => {
  const spec = lMetricPreset.expand({});
  expect(spec).toEqual({ scorers: [{ type: 'scorer-lmetric', weight: 1 }], picker: { type: 'picker-min-random' } });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('scorer-lmetric x1 → picker-min-random');
});
