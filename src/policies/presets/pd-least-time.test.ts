import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { pdLeastTimePreset } from './pd-least-time.ts';

it('PDLeastTime chooses the cheapest pair by its scorer alone and names it to the leader', () => {
  const { parts } = buildProfile(pdLeastTimePreset.expand({}), registry, contextOf(readyStates(1)));
  expect(parts.description).toBe(
    'filter-by-pd-label → scorer-pd-least-time x1 → picker-pd-kv-cache-aware → pd-header-handler',
  );
  expect(parts.readsHits).toBe(true);
});
