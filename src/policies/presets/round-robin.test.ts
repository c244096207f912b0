import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { roundRobinPreset } from './round-robin.ts';

it('RoundRobin is one after the other', () => {
  const spec = roundRobinPreset.expand({});
  expect(spec).toEqual({ scorers: [], picker: { type: 'picker-round-robin' } });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('picker-round-robin');
});
