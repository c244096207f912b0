import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { met, unmet } from '../conditions.ts';
import type { GroupFacts } from './group-status.ts';
import { groupFacts, groupFigures, member, noon, validGroupStatus } from './status.fixture.ts';

describe('conditions of a group', () => {
  const cases: [string, Partial<GroupFacts>, string, string][] = [
    ['is Ready with a ready endpoint', {}, 'Ready', 'True Ready'],
    ['is not Ready without', { figures: groupFigures({ ready: 0 }) }, 'Ready', 'False NoReadyEndpoint'],
    ['is Discovered as decided', { conditions: [unmet('Discovered', 'PortNotFound', 'x')] }, 'Discovered', 'False PortNotFound'],
    ['says that scrapes are slowed', { figures: groupFigures({ scrapeSlowed: true }) }, 'Discovered', 'True ScrapeSlowed'],
    ['says rather that endpoints have no slot', { figures: groupFigures({ total: 3, shutOut: 1, scrapeSlowed: true }) }, 'Discovered', 'False SlotsExhausted'],
    ['says rather that nothing is found', { figures: groupFigures({ scrapeSlowed: true }), conditions: [unmet('Discovered', 'NoMatch', 'x')] }, 'Discovered', 'False NoMatch'],
    ['knows nothing of the rest while it is not accepted', { conditions: [unmet('Accepted', 'Invalid', 'x')] }, 'Discovered', 'Unknown Pending'],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, facts, type, wanted) => {
    const found = validGroupStatus(groupFacts(facts)).conditions?.find((one) => one.type === type);
    expect(`${found?.status} ${found?.reason}`).toBe(wanted);
  });

  it('come in a fixed order', () => {
    expect(validGroupStatus(groupFacts()).conditions?.map(({ type }) => type)).toEqual([
      'Accepted',
      'Discovered',
      'Ready',
    ]);
  });
});

describe('members', () => {
  it('are shown with those first that are not ready, then by name', () => {
    const members = [member('b'), member('c', { ready: false, reason: 'Ejected' }), member('a')];
    expect(validGroupStatus(groupFacts({ members })).members?.map(({ name }) => name)).toEqual(['c', 'a', 'b']);
  });

  it('are 64 at most, and the counts say how many there are', () => {
    const members = Array.from({ length: 200 }, (_, i) => member(`e${i}`, { ready: i !== 199 }));
    const status = validGroupStatus(groupFacts({ members, figures: groupFigures({ total: 200, ready: 199 }) }));
    expect(status.members).toHaveLength(64);
    expect(status.members?.[0]).toMatchObject({ name: 'e199', ready: false });
    expect(status.endpoints).toMatchObject({ total: 200, ready: 199 });
  });

  it('have names of their own, though they are cut', () => {
    const members = ['a', 'b'].map((end) => member('x'.repeat(300) + end));
    expect(validGroupStatus(groupFacts({ members })).members).toHaveLength(1);
  });

  it('are stale since a time that stays, though two clocks differ', () => {
    const stale = (since: number) => [member('e0', { staleSince: since })];
    const previous = validGroupStatus(groupFacts({ members: stale(noon) }));
    expect(previous.members?.[0].staleSince).toBe('2026-11-21T12:00:00Z');
    const again = groupFacts({ members: stale(noon + 2400), previous, now: noon + 60_000 });
    expect(validGroupStatus(again)).toEqual(previous);
    const later = groupFacts({ members: stale(noon + 60_000), previous });
    expect(validGroupStatus(later).members?.[0].staleSince).toBe('2026-11-21T12:01:00Z');
    const fresh = validGroupStatus(groupFacts({ previous }));
    expect(fresh.members?.[0]).not.toHaveProperty('staleSince');
  });
});

describe('models', () => {
  const models = (declared: string[], learned: string[]) => ({
    models: [
      ...learned.map((name) => ({ name, source: 'Learned' as const })),
      ...declared.map((name) => ({ name, source: 'Declared' as const })),
    ],
  });
  const cases: [string, Partial<GroupFacts>, string, string[]][] = [
    ['one', models(['m'], []), 'm', ['m']],
    ['none', models([], []), '-', []],
    ['declared ones as written, learned ones by name', models(['z', 'a'], ['y', 'b']), 'z +3', ['z', 'a', 'b', 'y']],
    ['one that is declared and learned', models(['z'], ['z']), 'z', ['z']],
    ['a name that no status can hold', models([], ['x'.repeat(254), 'm']), 'm', ['m']],
  ];
  it.each(cases)('%s', (_name, facts, summary, names) => {
    const status = validGroupStatus(groupFacts(facts));
    expect(status.summary?.models).toBe(summary);
    expect(status.models?.map(({ name }) => name)).toEqual(names);
  });

  it('are 64 at most, and the summary counts them all', () => {
    const many = models([], Array.from({ length: 100 }, (_, i) => `m${i}`)); // prettier-ignore
    const status = validGroupStatus(groupFacts(many));
    expect(status.models).toHaveLength(64);
    expect(status.summary?.models).toBe('m0 +99');
  });
});

it('leaves out the use of caches while it is not known', () => {
  expect(validGroupStatus(groupFacts()).summary).toMatchObject({ kvCachePercent: 40 });
  const unknown = groupFacts({ figures: groupFigures({ kvCachePercent: null }) });
  expect(validGroupStatus(unknown).summary).not.toHaveProperty('kvCachePercent');
});

it('is one that the API server takes, whatever engines say, and time alone does not change it', () => {
  const text = fc.string({ minLength: 1, maxLength: 400 });
  const number = fc.double({ noNaN: true, min: 0, max: 1e300 });
  const facts = fc.record({
    topology: text,
    figures: fc.record({ total: number, shutOut: number, ready: number, draining: number, ejected: number, kvCachePercent: fc.option(number), scrapeSlowed: fc.boolean() }),
    members: fc.array(fc.record({ name: text, address: text, role: text, ready: fc.boolean(), reason: text, staleSince: fc.option(fc.nat(2_000_000_000_000)) }), { maxLength: 80 }),
    models: fc.array(fc.record({ name: fc.string({ maxLength: 300 }), source: fc.constantFrom('Declared' as const, 'Learned' as const) }), { maxLength: 80 }),
  }); // prettier-ignore
  fc.assert(
    fc.property(facts, (fields) => {
      const all = groupFacts({ ...fields, conditions: [met('Accepted', 'x')] });
      const first = validGroupStatus(all);
      expect(validGroupStatus({ ...all, previous: first, now: noon + 86_400_000 })).toEqual(first);
    }),
    { numRuns: 100 },
  );
});
