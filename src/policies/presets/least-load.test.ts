import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { leastLoadPreset } from './least-load.ts';

it('LeastLoad is the fewest requests in flight', () => {
  const spec = leastLoadPreset.expand({});
  expect(spec).toEqual({ scorers: [{ type: 'scorer-least-load', weight: 1 }], picker: { type: 'picker-min-random' } });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('scorer-least-load x1 → picker-min-random');
});
