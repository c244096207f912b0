import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration } from './duration.ts';

describe('durations', () => {
  it.each([
    ['0s', 0],
    ['250ms', 250],
    ['1m30s', 90_000],
    ['1h1m1s1ms', 3_661_001],
    ['99999h', 99_999 * 3_600_000],
    ['1s1s', 2000],
  ])('%s is %d milliseconds', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['', '5', 's', '1.5s', '-1s', '1d', '1 s', '1s ', '100000s', '1s1s1s1s1s', '1µs'])('%j is none', (text) => {
    expect(() => parseDuration(text)).toThrow(RangeError);
  });

  it('are the sum of their parts', () => {
    const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
    const part = fc.tuple(fc.nat(99_999), fc.constantFrom('h' as const, 'm' as const, 's' as const, 'ms' as const));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const text = parts.map(([n, unit]) => `${n}${unit}`).join('');
        expect(parseDuration(text)).toBe(parts.reduce((sum, [n, unit]) => sum + n * units[unit], 0));
      }),
    );
  });
});
