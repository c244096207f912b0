import { describe, expect, it } from 'vitest';
import { group } from '../../test/fixtures/fleet.ts';
import {
  claimedSince,
  mostDates,
  mostNames,
  notYetDated,
  readClaims,
  recordedClaims,
  type Claiming,
} from './claims.ts';

const created = Date.parse('2026-01-01T00:00:00Z');
const later = created + 60_000;
const original = { recorded: new Map<string, number>(), isOriginal: true };
const changed = { ...original, isOriginal: false };
const declaring = (models: string[], declaredSince?: number) =>
  group({ models, modelsDeclared: true, ...(declaredSince === undefined ? {} : { declaredSince }) });

const cases: [string, Partial<Claiming>, Record<string, number> | undefined][] = [
  ['in files there is no time', { patterns: ['m'] }, undefined],
  ['a new policy claims its names since it was made', { patterns: ['m', 'q*'], history: original }, { m: created, 'q*': created }],
  ['a name of a changed policy has no date until it is recorded', { patterns: ['m'], history: changed }, { m: notYetDated }],
  ['a recorded name has the date that is recorded', { patterns: ['m', 'n'], history: { ...changed, recorded: new Map([['m', later]]) } }, { m: later, n: notYetDated }],
  ['no claim is older than its policy, whatever is recorded', { patterns: ['m'], history: { ...changed, recorded: new Map([['m', 0]]) } }, { m: created }],
  ['without a match it claims what its groups declare, since they do', { groups: [declaring(['m'], later)], history: original }, { m: later }],
  ['a group that is older than the policy lends it no age', { groups: [declaring(['m'], 0)], history: original }, { m: created }],
  ['a group that was changed lends no date', { groups: [declaring(['m'], notYetDated)], history: original }, { m: notYetDated }],
  ['the first of two groups counts', { groups: [declaring(['m'], notYetDated), declaring(['m'], later)], history: original }, { m: later }],
  ['a changed policy claims nothing of old by its groups', { groups: [declaring(['m'], 0)], history: changed }, { m: notYetDated }],
  ['what is only learned has no date of its own', { groups: [group({ models: ['m'], modelsDeclared: false })], history: changed }, {}],
  ['what groups declare is no claim beside a match', { patterns: ['x'], groups: [declaring(['m'])], history: original }, { x: created }],
]; // prettier-ignore

describe('the age of claims', () => {
  it.each(cases)('%s', (_sentence, claiming, wanted) => {
    const since = claimedSince({ created, patterns: [], groups: [], ...claiming });
    expect(since === undefined ? undefined : Object.fromEntries(since)).toEqual(wanted);
  });

  it('is recorded by date, and read as it was recorded', () => {
    const since = new Map([['b', later], ['new', notYetDated], ['a', later], ['old', created]]); // prettier-ignore
    const recorded = recordedClaims(since, later + 5_500);
    expect(recorded).toEqual([
      { since: '2026-01-01T00:00:00Z', models: ['old'] },
      { since: '2026-01-01T00:01:00Z', models: ['a', 'b'] },
      { since: '2026-01-01T00:01:05Z', models: ['new'] },
    ]);
    const read = readClaims(recorded);
    expect(read.get('new')).toBe(later + 5_000);
    expect(recordedClaims(read, later + 99_000)).toEqual(recorded);
  });

  it('takes only so much room: names beyond stay without a date, dates beyond become the youngest', () => {
    const names = new Map(Array.from({ length: mostNames + 9 }, (_, i) => [`m${i}`, created + i * 1000]));
    const recorded = recordedClaims(names, Infinity);
    expect(recorded).toHaveLength(mostDates);
    expect(recorded.flatMap(({ models }) => models)).toHaveLength(mostNames);
    expect(recorded[0].models).toEqual(['m0']);
  });

  it('passes over what is no date', () => {
    expect(readClaims([{ since: 'yesterday', models: ['m'] }])).toEqual(new Map());
    expect(readClaims(undefined)).toEqual(new Map());
  });
});
