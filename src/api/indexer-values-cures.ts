import type { Fault } from './check.ts';
import { parseDuration } from './duration.ts';
import { isObject } from './schema-node.ts';

/** What to write instead of a value that is nearly right; null where that cannot be told. */
type Cure = (value: unknown) => string | null;

const cures: Readonly<Record<string, Cure>> = {
  'app.serviceDiscovery.refreshInterval': asSeconds,
  'app.serviceDiscovery.inferencePort': asPort,
  'service.port': asPort,
  'app.serviceDiscovery.labelSelector': asSelector,
};

/** The fault with a cure that fits what people write, where there is one. */
export function curesOf(fault: Fault, document: unknown): Fault {
  const cure = Object.hasOwn(cures, fault.path) ? cures[fault.path](valueAt(document, fault.path)) : null;
  return cure === null ? fault : { ...fault, cure };
}

function valueAt(document: unknown, path: string): unknown {
  return path.split('.').reduce((value: unknown, key) => (isObject(value) ? value[key] : undefined), document);
}

/** "10", 10s. */
function asSeconds(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const seconds = /^[0-9.]+$/.test(value) ? Number(value) : secondsOf(value);
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

function asPort(value: unknown): string | null {
  return typeof value === 'string' && /^[1-9][0-9]{0,4}$/.test(value) ? `write ${value} without quotes` : null;
}

/** Labels as a map, as other configurations have them; or a selector that asks for more than equality. */
function asSelector(value: unknown): string | null {
  if (isObject(value)) {
    const pairs = Object.entries(value).map(([key, label]) => (typeof label === 'string' ? `${key}=${label}` : null));
    return pairs.length === 0 || pairs.includes(null) ? null : `write "${pairs.join(',')}", in one text`;
  }
  if (typeof value === 'string' && /!|\b(not)?in\b|^[^=]+$/.test(value))
    return 'write labels and their values, as in `app=vllm,tier=gold`; sets and negations are not understood';
  return null;
}
