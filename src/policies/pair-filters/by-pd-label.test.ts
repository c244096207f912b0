import { describe, expect, it } from 'vitest';
import { Value } from 'typebox/value';
import { endpoint } from '../../../test/fixtures/fleet.ts';
import { defaultLabels } from '../../../test/fixtures/pairs.ts';
import { byPdLabel } from './by-pd-label.ts';

describe('filter-by-pd-label', () => {
  it("has seed 2's labels and values by default", () => {
    expect(Value.Default(byPdLabel.parameters, {})).toEqual(defaultLabels);
  });

  it('hands each label and value to its place', () => {
    const grouping = byPdLabel.create({
      pdLabelName: 'role',
      pdGroupLabelName: 'group',
      prefillValue: 'P',
      decodeValue: 'D',
      leaderValue: 'L',
    });
    const member = (role: string) => endpoint(0, { labels: { role, group: 'g' } });
    expect(['P', 'D', 'L', 'prefill'].map((role) => grouping.roleOf(member(role)))).toEqual([
      'prefill',
      'decode',
      'leader',
      null,
    ]);
    expect(grouping.groupOf(member('P'))).toBe('g');
  });
});
