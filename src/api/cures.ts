import { parseDuration } from './duration.ts';
import { isObject } from './schema-node.ts';

/** What to write instead of a value that is nearly right; null where that cannot be told. */
export type Cure = (value: unknown) => string | null;

/** The value that a path of a fault leads to; undefined where it leads nowhere. */
export function valueAt(document: unknown, path: string): unknown {
  let value = document;
  for (const [part, key] of path.matchAll(/\[([^\]]*)\]|[^.[\]]+/g)) {
    if (Array.isArray(value)) value = value[Number(key ?? part)];
    else if (isObject(value)) value = value[key ?? part];
    else return undefined;
  }
  return value;
}

/** "5", 5s, 1m30s. */
export function asSeconds(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const text = value.replaceAll(/\s/g, '');
  const seconds = /^[0-9.]+$/.test(text) ? Number(text) : secondsOf(text);
  return seconds > 0 ? `write ${seconds}: seconds, a plain number without quotes or unit` : null;
}

function secondsOf(text: string): number {
  try {
    return parseDuration(text) / 1000;
  } catch {
    // No duration either: what it means is for its writer to say.
    return NaN;
  }
}

export function asPort(value: unknown): string | null {
  return typeof value === 'string' && /^[1-9][0-9]{0,4}$/.test(value) ? `write ${value} without quotes` : null;
}
