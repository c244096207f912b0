import { expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { sessionAffinityPreset } from './session-affinity.ts';

it.each([
  ['x-session-id by default', {}, 'x-session-id'],
  ['the header that it is given', { header: 'X-User' }, 'X-User'],
])('SessionAffinity hands on %s', (_sentence, given, header) => {
  const parameters: unknown = Value.Default(sessionAffinityPreset.parameters, { ...given });
  if (!Value.Check(sessionAffinityPreset.parameters, parameters)) throw new Error('the parameters are right');
  const spec = sessionAffinityPreset.expand(parameters);
  expect(spec).toEqual({
    scorers: [{ type: 'scorer-session-affinity', weight: 1, parameters: { header } }],
    picker: { type: 'picker-min-random' },
  });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('scorer-session-affinity x1 → picker-min-random');
});
