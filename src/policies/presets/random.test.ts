import { expect, it } from 'vitest';
import { readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { randomPreset } from './random.ts';

it('Random is a pick among equals', () => {
  const spec = randomPreset.expand({});
  expect(spec).toEqual({ scorers: [], picker: { type: 'picker-min-random' } });
  const { parts } = buildProfile(spec, registry, { states: readyStates(1), random: () => 0 });
  expect(parts.description).toBe('picker-min-random');
});
