import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { randomPreset } from './random.ts';

it('Random is a pick among equals', () => {
  const spec = randomPreset.expand({});
  expect(spec).toEqual({ scorers: [], picker: { type: 'picker-min-random' } });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('picker-min-random');
});
