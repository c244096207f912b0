import { describe, expect, it } from 'vitest';
import { contextOf, endpoint, readyStates, request } from '../../../test/fixtures/fleet.ts';
import { byLabel } from './by-label.ts';

describe('filter-by-label', () => {
  const filter = byLabel.create({ label: 'zone', values: ['a', 'b'] }, contextOf(readyStates(1)));
  it.each([
    ['one of the values is kept', { zone: 'b' }, true],
    ['another value is not', { zone: 'c' }, false],
    ['no such label is not', {}, false],
    ['the value under another label is not', { region: 'a' }, false],
    ['an empty value is not', { zone: '' }, false],
  ])('%s', (_sentence, labels, kept) => {
    expect(filter.keep(request(), endpoint(0, { labels }))).toBe(kept);
  });

  it.each([
    ['the value that is not wanted', { zone: 'c' }, 'zone is c, not a or b'],
    ['the label that is not there', { region: 'a' }, 'no label zone, not a or b'],
  ])('explains itself by %s', (_sentence, labels, reason) => {
    expect(filter.reason?.(request(), endpoint(0, { labels }))).toBe(reason);
  });

  it('keeps nothing for a label that every object has by birth', () => {
    const born = byLabel.create({ label: 'constructor', values: ['x'] }, contextOf(readyStates(1)));
    expect(born.keep(request(), endpoint(0))).toBe(false);
    expect(born.reason?.(request(), endpoint(0))).toBe('no label constructor, not x');
  });
});
