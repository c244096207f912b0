import { expect, it } from 'vitest';
import { contextOf, readyStates } from '../../../test/fixtures/fleet.ts';
import { buildProfile } from '../build.ts';
import { registry } from '../index.ts';
import { randomPdBucketPreset } from './random-pd-bucket.ts';

it('RandomPDBucket is any pair of any group, named to its leader', () => {
  const { parts } = buildProfile(randomPdBucketPreset.expand({}), registry, contextOf(readyStates(1)));
  expect(parts.description).toBe('filter-by-pd-label → picker-random-pd-bucket → pd-header-handler');
  expect(parts.pairs?.headers.map(({ side }) => side)).toEqual(['prefill', 'decode']);
  expect(parts.readsHits).toBe(false);
});
