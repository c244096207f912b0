import type { Fault } from './check.ts';
import { asPort, valueAt, type Cure } from './cures.ts';
import { parseDuration } from './duration.ts';

const nanoseconds = 1_000_000;

const cures: readonly (readonly [path: RegExp, cure: Cure])[] = [
  [/\.kvCacheManagerTimeout$/, asNanoseconds],
  [/\.kvCacheManagerPort$/, asPort],
  [/\.kvCacheManagerIP$/, asHost],
  [/\.kvCacheManagerPath$/, asPath],
  [/\.plugins\[\d+\]\.weight$/, asWeight],
  [/\.(metricsStalenessThreshold)$/, asDuration],
  [/^plugins\[\d+\]\.parameters\.prefixMatchInfoProducerName$/, () => 'remove it: the router keeps these books itself'],
  [/^plugins\[\d+\]\.parameters\.(prefixLengthWeight|headroom)$/, () => 'remove it: it is not supported'],
  [/^plugins\[\d+\]\.parameters\.(path|scheme)$/, () => 'remove it: engines are asked for http /metrics'],
  [/^plugins\[\d+\]\.parameters\./, asNumber],
  [/^plugins\[\d+\]$/, asEntry],
  [/^plugins\[\d+\]\.(params|args|config)$/, () => 'write `parameters`'],
];

/** The fault with a cure that fits what people write, where there is one. */
export function curesOf(fault: Fault, document: unknown): Fault {
  const found = cures.find(([path]) => path.test(fault.path));
  const value = valueAt(document, fault.path);
  const cure = found?.[1](value) ?? fault.cure;
  // Faults are logged, and passwords are not.
  const secret = fault.path.endsWith('.kvCacheManagerIP') && typeof value === 'string' && value.includes('@');
  return { ...fault, cure, ...(secret ? { message: 'holds a user name or password' } : {}) };
}

/** 5s, "5000000000", or a number that was meant as seconds or milliseconds. */
function asNanoseconds(value: unknown): string | null {
  if (typeof value === 'number')
    return value > 0 && value < nanoseconds ? 'write it in nanoseconds: 5 s is 5000000000, 100 ms is 100000000' : null;
  if (typeof value !== 'string') return null;
  const text = value.replaceAll(/\s/g, '');
  if (/^[1-9][0-9]{6,12}$/.test(text)) return `write ${text} without quotes`;
  try {
    return `write ${parseDuration(text) * nanoseconds}: nanoseconds, a plain integer`;
  } catch {
    // No duration either: what it means is for its writer to say.
    return null;
  }
}

/** A URL, or a host with a port. */
function asHost(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const url = URL.parse(/^[a-z]+:\/\//i.test(value) ? value : `http://${value}`);
  if (url === null || url.hostname === '') return null;
  const host = url.hostname.replaceAll(/[[\]]/g, '');
  const more = [
    ...(url.port === '' ? [] : [`${url.port} as \`kvCacheManagerPort\``]),
    ...(url.pathname === '/' ? [] : [`${url.pathname} as \`kvCacheManagerPath\``]),
  ];
  return more.length === 0 ? `write ${host}` : `write ${host} here, and ${more.join(' and ')}`;
}

function asPath(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9_-][A-Za-z0-9_/.-]*$/.test(value) ? `write /${value}` : null;
}

function asWeight(value: unknown): string | null {
  if (typeof value === 'number' && value < 0)
    return `write ${-value}: whether a scorer's lowest or highest value wins is its own, and no matter of signs`;
  return asNumber(value);
}

function asDuration(value: unknown): string | null {
  return typeof value === 'number' ? `write it with a unit: ${value}ms` : null;
}

function asNumber(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))
    ? `write ${Number(value)} without quotes`
    : null;
}

/** A bare name in the list. */
function asEntry(value: unknown): string | null {
  return typeof value === 'string' ? `write \`- type: ${value}\`` : null;
}
