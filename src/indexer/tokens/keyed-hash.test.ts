import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyedHash } from './keyed-hash.ts';

const secret = Uint32Array.of(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
const keyOf = (texts: readonly string[], hash = new KeyedHash(secret)): string => {
  hash.begin();
  for (const text of texts) hash.add(text);
  return `${hash.low}:${hash.high}`;
};
const someTexts = fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 4 });

describe('KeyedHash', () => {
  it('gives equal texts one key, whatever was hashed before', () => {
    const used = new KeyedHash(secret);
    fc.assert(
      fc.property(someTexts, (texts) => {
        expect(keyOf(texts, used)).toBe(keyOf(texts));
      }),
    );
  });

  it('gives other texts, and texts cut otherwise, other keys', () => {
    const keys = new Map<string, string>();
    const hash = new KeyedHash(secret);
    fc.assert(
      fc.property(someTexts, (texts) => {
        const key = keyOf(texts, hash);
        const name = JSON.stringify(texts);
        expect(keys.get(key) ?? name).toBe(name);
        keys.set(key, name);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    [['a'], ['a\0']],
    [['', ''], ['\0\0\0\0']],
    [[], ['']],
    [['a', ''], ['a']],
  ])('tells %j from %j', (one, other) => {
    expect(keyOf(one)).not.toBe(keyOf(other));
  });

  it('depends on its secret in both halves', () => {
    const other = new KeyedHash(Uint32Array.of(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707346));
    const [low, high] = keyOf(['hello']).split(':');
    const [otherLow, otherHigh] = keyOf(['hello'], other).split(':');
    expect(otherLow).not.toBe(low);
    expect(otherHigh).not.toBe(high);
    expect(keyOf(['hello'], new KeyedHash())).not.toBe(keyOf(['hello'], new KeyedHash()));
  });

  it('hashes long texts as it hashes short ones, to their last byte', () => {
    const long = 'é'.repeat(300_000);
    expect(keyOf([long])).toBe(keyOf([long]));
    expect(keyOf([`${long}a`])).not.toBe(keyOf([`${long}b`]));
    expect(keyOf([long, 'a'])).not.toBe(keyOf([`${long}a`]));
  });

  it('spreads keys of numbered texts over both halves', () => {
    const hash = new KeyedHash(secret);
    const keys = Array.from({ length: 20_000 }, (_, i) => keyOf([`text ${i}`], hash).split(':'));
    for (const half of [0, 1]) expect(new Set(keys.map((key) => key[half])).size).toBeGreaterThan(19_990);
  });
});
