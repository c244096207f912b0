import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { autoPreset } from './auto.ts';

it('Auto is its own cost and the best endpoint', () => {
  const spec = autoPreset.expand({});
  expect(spec).toEqual({ scorers: [{ type: 'scorer-auto', weight: 1 }], picker: { type: 'picker-min-random' } });
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('scorer-auto x1 → picker-min-random');
});

it('Auto is the cheapest pair where engines share the work', () => {
  const spec = autoPreset.expandPairs?.({}) ?? {};
  const { parts } = buildProfile(spec, registry, contextOf(readyStates(1)));
  expect(parts.pairs?.scorers).toHaveLength(1);
  expect(parts.description).toMatch(
    /^filter-by-pd-label → scorer-pd-[a-z-]+ x1 → picker-pd-kv-cache-aware → pd-header-handler$/,
  );
});
