import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.ts';

describe('the nearest known word', () => {
  it.each([
    ['a swap of letters', 'wieght', 'weight'],
    ['another case', 'kvaware', 'KVAware'],
    ['a letter too many', 'namee', 'name'],
    ['a letter too few', 'nam', 'name'],
    ['nothing alike', 'zebra', null],
    ['an empty word', '', null],
  ])('of %s: %s', (_, word, expected) => {
    expect(nearest(word, ['name', 'weight', 'rewriteModel', 'KVAware'])).toBe(expected);
  });

  it('is the nearer of two', () => {
    expect(nearest('ports', ['port', 'ports'])).toBe('ports');
    expect(nearest('ports', ['ports', 'port'])).toBe('ports');
  });
});
