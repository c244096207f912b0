import { UsageError } from './command-io.ts';

/** The number above 0 that a flag gives, or the usual one; throws UsageError. */
export function positive(flag: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new UsageError(`${flag} must be a number above 0, not "${text}"`);
  return value;
}

/** The same for a whole number. */
export function whole(flag: string, text: string | undefined, usual: number): number {
  const value = positive(flag, text, usual);
  if (!Number.isSafeInteger(value)) throw new UsageError(`${flag} must be a whole number, not "${text}"`);
  return value;
}
