import { expect, it } from 'vitest';
import { readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { roundRobinPreset } from './round-robin.ts';

it('RoundRobin is one after the other', () => {
  const spec = roundRobinPreset.expand({});
  expect(spec).toEqual({ scorers: [], picker: { type: 'picker-round-robin' } });
  const { parts } = buildProfile(spec, registry, { states: readyStates(1), random: () => 0 });
  expect(parts.description).toBe('picker-round-robin');
});
