import { describe, expect, it } from 'vitest';
import { candidatesOf, contextOf, endpoint, endpoints, readyStates, request } from '../../test/fixtures/fleet.ts';
import { pairsOf } from '../../test/fixtures/pairs.ts';
import { PairCosts } from '../router/pairs.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import { buildProfile, ProfileError, type ProfileFault } from './build.ts';
import type { ProfileSpec } from './definition.ts';
import { registry } from './index.ts';

function build(spec: ProfileSpec): SchedulingProfile {
  return buildProfile(spec, registry, contextOf(readyStates(4)));
}

describe('buildProfile', () => {
  it('makes filters, scorers and picker in the order they are written', () => {
    const { parts } = build({
      filters: [{ type: 'filter-by-label', parameters: { label: 'zone', values: ['a'] } }],
      scorers: [{ type: 'scorer-auto', weight: 2 }, { type: 'scorer-least-load' }],
      picker: { type: 'picker-round-robin' },
    });
    expect(parts.filters.map((filter) => filter.keep(request(), endpoint(0, { labels: { zone: 'a' } })))).toEqual([
      true,
    ]);
    expect(parts.scorers.map(({ type, weight, direction }) => ({ type, weight, direction }))).toEqual([
      { type: 'scorer-auto', weight: 2, direction: 'cost' },
      { type: 'scorer-least-load', weight: 1, direction: 'cost' },
    ]);
    expect(parts.description).toBe('filter-by-label → scorer-auto x2 → scorer-least-load x1 → picker-round-robin');
  });

  it('picks the best at random where nothing is said', () => {
    const profile = build({});
    expect(profile.parts.description).toBe('picker-min-random');
    expect(profile.run(request(), candidatesOf(endpoints(3)))).toBeLessThan(3);
  });

  it.each<[string, ProfileSpec, boolean]>([
    ['no scorer reads hits', { scorers: [{ type: 'scorer-least-load' }] }, false],
    ['one of the scorers reads hits', { scorers: [{ type: 'queue-scorer' }, { type: 'prefix-cache-scorer' }] }, true],
    ['there are no scorers', {}, false],
  ])('knows whether hits are read: %s', (_sentence, spec, reads) => {
    expect(build(spec).parts.readsHits).toBe(reads);
  });

  it('fills in defaults, and leaves the parameters that it was given alone', () => {
    const parameters = Object.freeze({ xpuCacheUsageWeight: 0 });
    const { scorers } = build({ scorers: [{ type: 'scorer-aggregate-kv-cache-aware', parameters }] }).parts;
    const out = new Float64Array(1);
    scorers[0].scorer.score(request(), candidatesOf(endpoints(1)), out);
    expect(out[0]).toBe(1);
    expect(parameters).toEqual({ xpuCacheUsageWeight: 0 });
  });

  it('makes a profile of pairs, whose leader is the least busy of its group', () => {
    const { parts } = build({
      filters: [
        { type: 'filter-by-label', parameters: { label: 'zone', values: ['a'] } },
        { type: 'filter-by-pd-label' },
      ],
      scorers: [{ type: 'scorer-pd-bucket', weight: 3 }, { type: 'scorer-pd-kv-cache-aware' }],
      picker: { type: 'picker-pd-kv-cache-aware' },
      handlers: [{ type: 'pd-header-handler' }],
    });
    expect(parts.filterTypes).toEqual(['filter-by-label']);
    expect(parts.scorers.map(({ type }) => type)).toEqual(['scorer-least-load']);
    expect(parts.pickerType).toBe('picker-pd-kv-cache-aware');
    expect(parts.readsHits).toBe(true);
    expect(parts.pairs?.groupingType).toBe('filter-by-pd-label');
    expect(parts.pairs?.scorers.map(({ type, weight }) => [type, weight])).toEqual([
      ['scorer-pd-bucket', 3],
      ['scorer-pd-kv-cache-aware', 1],
    ]);
    expect(parts.pairs?.charges).toHaveLength(1);
    expect(parts.pairs?.headers.map(({ side }) => side)).toEqual(['prefill', 'decode']);
    expect(parts.description).toBe(
      'filter-by-label → filter-by-pd-label → scorer-pd-bucket x3 → scorer-pd-kv-cache-aware x1 → picker-pd-kv-cache-aware → pd-header-handler',
    );
  });

  it('picks the cheapest pair where no picker is named, and lets the leader balance where no handler is', () => {
    const { parts } = build({ filters: [{ type: 'filter-by-pd-label' }], scorers: [{ type: 'scorer-pd-bucket' }] });
    expect(parts.description).toBe('filter-by-pd-label → scorer-pd-bucket x1 → picker-min-random');
    expect([parts.readsHits, parts.pairs?.headers]).toEqual([false, []]);
    const pairs = pairsOf([
      { name: 'a', from: 0, prefills: 1, decodes: 1 },
      { name: 'b', from: 3, prefills: 1, decodes: 1 },
    ]);
    const costs = new PairCosts();
    costs.reset(pairs);
    costs.groups[0] = 1;
    parts.pairs?.picker.pick(request(), pairs, costs);
    expect(pairs.group).toBe(1);
  });

  it('picks any pair where only the labels are named', () => {
    const { parts } = build({ filters: [{ type: 'filter-by-pd-label' }] });
    expect([parts.pairs?.scorers, parts.pairs?.charges]).toEqual([[], []]);
  });

  const faults: [string, ProfileSpec, ProfileFault, string, RegExp][] = [
    [
      'an unknown filter',
      { filters: [{ type: 'nope' }] },
      'Invalid',
      'filters[0].type',
      /no plugin is called nope; known are filter-by-label/,
    ],
    [
      'an unknown scorer',
      { scorers: [{ type: 'scorer-auto' }, { type: 'picker-min-random' }] },
      'Invalid',
      'scorers[1].type',
      /known are .*scorer-auto/,
    ],
    [
      'an unknown picker',
      { picker: { type: 'scorer-auto' } },
      'Invalid',
      'picker.type',
      /known are .*picker-min-random/,
    ],
    [
      'a name that every object has by birth',
      { scorers: [{ type: 'constructor' }] },
      'Invalid',
      'scorers[0].type',
      /constructor/,
    ],
    [
      'costs together with gains',
      { scorers: [{ type: 'queue-scorer' }, { type: 'scorer-auto' }] },
      'MixedScorerDirections',
      'scorers',
      /lowest value of scorer-auto wins and the highest of queue-scorer/,
    ],
    [
      'a lottery among costs',
      { scorers: [{ type: 'scorer-auto' }], picker: { type: 'weighted-random-picker' } },
      'MixedScorerDirections',
      'picker.type',
      /weighted-random-picker works with scorers whose highest value wins, and the lowest of scorer-auto does/,
    ],
    [
      'a scorer of pairs without the filter that tells who is who',
      { scorers: [{ type: 'scorer-pd-bucket' }] },
      'Invalid',
      'filters',
      /one filter that tells who is who \(filter-by-pd-label\), this one has 0/,
    ],
    [
      'a picker of pairs without it',
      { picker: { type: 'picker-random-pd-bucket' } },
      'Invalid',
      'filters',
      /this one has 0/,
    ],
    ['a handler without it', { handlers: [{ type: 'pd-header-handler' }] }, 'Invalid', 'filters', /this one has 0/],
    [
      'it twice',
      { filters: [{ type: 'filter-by-pd-label' }, { type: 'filter-by-pd-label' }] },
      'Invalid',
      'filters',
      /this one has 2/,
    ],
    [
      'costs of single endpoints for pairs',
      { filters: [{ type: 'filter-by-pd-label' }], scorers: [{ type: 'scorer-pd-bucket' }, { type: 'scorer-auto' }] },
      'Invalid',
      'scorers[1].type',
      /scorer-auto is for single endpoints; for pairs of prefiller and decoder there are .*scorer-pd-bucket, scorer-pd-kv-cache-aware/,
    ],
    [
      'gains together with the costs of pairs',
      { filters: [{ type: 'filter-by-pd-label' }], scorers: [{ type: 'queue-scorer' }, { type: 'scorer-pd-bucket' }] },
      'MixedScorerDirections',
      'scorers[0].type',
      /queue-scorer is for single endpoints/,
    ],
    [
      'a picker of single endpoints for pairs',
      { filters: [{ type: 'filter-by-pd-label' }], picker: { type: 'max-score-picker' } },
      'Invalid',
      'picker.type',
      /max-score-picker is for single endpoints; .*picker-min-random, picker-pd-kv-cache-aware, picker-random-pd-bucket/,
    ],
    [
      'an unknown scorer of pairs',
      { filters: [{ type: 'filter-by-pd-label' }], scorers: [{ type: 'nope' }] },
      'Invalid',
      'scorers[0].type',
      /no plugin is called nope; known are .*scorer-pd-bucket/,
    ],
    [
      'an unknown picker of pairs',
      { filters: [{ type: 'filter-by-pd-label' }], picker: { type: 'nope' } },
      'Invalid',
      'picker.type',
      /no plugin is called nope; known are picker-pd-kv-cache-aware/,
    ],
    [
      'an unknown handler',
      { filters: [{ type: 'filter-by-pd-label' }], handlers: [{ type: 'nope' }] },
      'Invalid',
      'handlers[0].type',
      /known are pd-header-handler/,
    ],
    [
      "a wrong parameter of the pairs' filter, by its place",
      {
        filters: [
          { type: 'filter-by-label', parameters: { label: 'a', values: ['b'] } },
          { type: 'filter-by-pd-label', parameters: { leader: 'x' } },
        ],
      },
      'InvalidParameters',
      'filters[1].parameters.leader',
      /known are pdLabelName/,
    ],
    [
      'a parameter of a wrong type',
      { scorers: [{ type: 'scorer-aggregate-kv-cache-aware', parameters: { xpuCacheUsageWeight: '1' } }] },
      'InvalidParameters',
      'scorers[0].parameters.xpuCacheUsageWeight',
      /scorer-aggregate-kv-cache-aware: .*number/,
    ],
    [
      'a parameter out of its bounds',
      { scorers: [{ type: 'scorer-aggregate-kv-cache-aware', parameters: { xpuCacheUsageWeight: -1 } }] },
      'InvalidParameters',
      'scorers[0].parameters.xpuCacheUsageWeight',
      /0/,
    ],
    [
      'a parameter that is missing',
      { filters: [{ type: 'filter-by-label', parameters: { values: ['a'] } }] },
      'InvalidParameters',
      'filters[0].parameters',
      /label/,
    ],
    [
      'an unknown parameter',
      { picker: { type: 'picker-min-random', parameters: { seed: 1 } } },
      'InvalidParameters',
      'picker.parameters.seed',
      /picker-min-random: there is no such parameter; known are none/,
    ],
    [
      'an unknown parameter beside known ones',
      { scorers: [{ type: 'scorer-session-affinity', parameters: { headers: 'a' } }] },
      'InvalidParameters',
      'scorers[0].parameters.headers',
      /known are header$/,
    ],
    [
      'a header name that is none',
      { scorers: [{ type: 'scorer-session-affinity', parameters: { header: 'a b' } }] },
      'InvalidParameters',
      'scorers[0].parameters.header',
      /pattern/,
    ],
  ];
  it.each(faults)('refuses %s', (_sentence, spec, reason, path, message) => {
    let thrown: unknown;
    try {
      build(spec);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProfileError);
    expect(thrown).toMatchObject({ name: 'ProfileError', reason, path });
    expect(String(thrown)).toMatch(message);
  });
});
