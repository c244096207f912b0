import { describe, expect, it } from 'vitest';
import { backend, group, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import { topologyOf } from '../../test/fixtures/pairs.ts';
import { profileFor, readsAnyHits, readsHits, topologyFor } from './profiles.ts';

const states = readyStates(1);
const filters = [{ type: 'filter-by-pd-label' }];
const single = profile({}, states);
const reading = profile({ scorers: [{ type: 'scorer-auto' }] }, states);
const pairs = profile({ filters }, states);
const readingPairs = profile({ filters, scorers: [{ type: 'scorer-pd-kv-cache-aware' }] }, states);

const plain = group();
const paired = group({ topology: topologyOf() });
const sparing = group({ topology: topologyOf({ disaggregateAbove: 0 }) });
const ledSparing = group({ topology: topologyOf({ disaggregateAbove: 0, handover: 'Leader' }) });

describe('the profile for a group', () => {
  it.each([
    ['is null for a policy that was never valid', policy(), paired, null],
    ['is that of single endpoints for a plain group', policy({ profile: single, pairProfile: pairs }), plain, single],
    ['is that of pairs for a group of pairs', policy({ profile: single, pairProfile: pairs }), paired, pairs],
    ['is the only one where there is one', policy({ profile: pairs }), paired, pairs],
  ])('%s', (_sentence, asked, where, expected) => {
    expect(profileFor(asked, where)).toBe(expected);
  });
});

describe('the topology for a group', () => {
  it.each([
    ['is null for a policy that was never valid', policy(), paired, null],
    ['is null where endpoints answer by themselves', policy({ profile: single, pairProfile: pairs }), plain, null],
    ["is the group's own", policy({ profile: single, pairProfile: pairs }), paired, paired.topology],
    ["is the profile's where the group has none", policy({ profile: pairs }), plain, pairs.parts.pairs?.topology],
  ])('%s', (_sentence, asked, where, expected) => {
    expect(topologyFor(asked, where)).toBe(expected);
  });
});

describe('hits', () => {
  it.each([
    ['are read by no policy that was never valid', policy(), sparing, false],
    ['are read where the profile for the group does', policy({ profile: reading }), plain, true],
    ['are not read for the sake of another group', policy({ profile: reading, pairProfile: pairs }), paired, false],
    [
      'are read of pairs where their profile does',
      policy({ profile: single, pairProfile: readingPairs }),
      paired,
      true,
    ],
    ['are read where prefillers are spared', policy({ profile: pairs }), sparing, true],
    ['are not where the leader spares them', policy({ profile: pairs }), ledSparing, false],
  ])('%s', (_sentence, asked, where, expected) => {
    expect(readsHits(asked, where)).toBe(expected);
    expect(readsAnyHits({ ...asked, backends: [backend({ group: where })] })).toBe(expected);
  });

  it('are read by a policy that reads them of one backend', () => {
    const backends = [backend({ group: paired }), backend({ group: sparing })];
    expect(readsAnyHits(policy({ profile: pairs, backends }))).toBe(true);
  });
});
