import { Type } from 'typebox';
import { withRules } from './schema-node.ts';

const pattern = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';
const milliseconds: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const day = 24 * 3_600_000;

/** Milliseconds of a duration such as `1m30s`. Throws a RangeError when the text is none. */
export function parseDuration(text: string): number {
  if (!new RegExp(pattern).test(text))
    throw new RangeError(`${JSON.stringify(text)} is no duration; write one like 1m30s or 250ms`);
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) total += Number(digits) * milliseconds[unit];
  return total;
}

const durationString = (description: string, value: string, words: string) =>
  Type.String({ maxLength: 32, pattern, default: value, description, 'x-words': words });

/** A duration above zero, at most 24 hours: longer ones are mistakes, and timers of 25 days fire at once. */
export const duration = (description: string, value: string) =>
  withRules(durationString(description, value, 'a duration from 1ms to 24h, like 1m30s or 250ms'), [
    {
      cel: "duration(self) > duration('0s') && duration(self) <= duration('24h')",
      message: 'is not between 1ms and 24h',
      cure: 'write a duration from 1ms to 24h, like 1m30s or 250ms',
      check: (text) => parseDuration(text) > 0 && parseDuration(text) <= day,
    },
  ]);

/** A limit that `0s` turns off, at most 24 hours. */
export const limit = (description: string, value: string) =>
  withRules(
    durationString(`${description} 0s turns it off.`, value, 'a duration up to 24h, like 1m30s, or 0s for no limit'),
    [
      {
        cel: "duration(self) <= duration('24h')",
        message: 'is above 24h',
        cure: 'write a duration up to 24h, like 1m30s, or 0s for no limit',
        check: (text) => parseDuration(text) <= day,
      },
    ],
  );
