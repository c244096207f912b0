import { describe, expect, it } from 'vitest';
import { candidatesOf, endpoint, endpoints, readyStates, request } from '../../test/fixtures/fleet.ts';
import type { SchedulingProfile } from '../router/profile.ts';
import { buildProfile, ProfileError, type ProfileFault } from './build.ts';
import type { ProfileSpec } from './definition.ts';
import { registry } from './index.ts';

function build(spec: ProfileSpec): SchedulingProfile {
  return buildProfile(spec, registry, { states: readyStates(4), random: () => 0 });
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
    ['an unknown picker', { picker: { type: 'scorer-auto' } }, 'Invalid', 'picker.type', /known are picker-min-random/],
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
