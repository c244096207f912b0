import type { Fault } from './check.ts';
import { asPort, asSeconds, valueAt, type Cure } from './cures.ts';

const noMatchLabels = 'write the labels themselves, one level higher';

const cures: readonly (readonly [path: RegExp, cure: Cure])[] = [
  [/^app\.(timeout|(discovery|collector)\.(interval|timeout)|kvmanager\.timeout)$/, asSeconds],
  [/^app\.(discovery\.inferencePort|kvmanager\.port)$/, asPort],
  [/^app\.discovery\.labelSelector\.match(Labels|Expressions)$/, () => noMatchLabels],
  [/^app\.discovery\.labelSelector/, asLabels],
  [/^app\.collector\.metrics$/, asList],
  [/^app\.kvmanager\.url$/, asOrigin],
  [/^app\.kvmanager\.matchPath$/, asPath],
];

/** The fault with a cure that fits what people write, where there is one. */
export function curesOf(fault: Fault, document: unknown): Fault {
  const found = cures.find(([path]) => path.test(fault.path));
  const value = valueAt(document, fault.path);
  const cure = found?.[1](value) ?? fault.cure;
  // Faults are logged, and passwords are not.
  const secret = fault.path === 'app.kvmanager.url' && typeof value === 'string' && value.includes('@');
  return { ...fault, cure, ...(secret ? { message: 'holds a user name or password' } : {}) };
}

/** Labels as kubectl takes them, or with a value that YAML reads as no text. */
function asLabels(value: unknown): string | null {
  if (typeof value === 'string') {
    const pairs = value.split(',').map((pair) => /^\s*([^=!\s]+)\s*==?\s*([^=\s]*)\s*$/.exec(pair));
    const labels = pairs.flatMap((pair) => (pair === null ? [] : [`${pair[1]}: ${pair[2]}`]));
    return labels.length === pairs.length ? `write {${labels.join(', ')}}` : null;
  }
  return typeof value === 'number' || typeof value === 'boolean' ? `write "${value}", in quotes` : null;
}

function asList(value: unknown): string | null {
  return typeof value === 'string' ? `write a list: ["${value}"]` : null;
}

/** A host without scheme, or a URL with a path. */
function asOrigin(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return null;
  const url = URL.parse(/^[a-z]+:\/\//i.test(value) ? value : `http://${value}`);
  if (url === null || !/^https?:$/.test(url.protocol)) return null;
  const { origin, pathname, username } = url;
  if (username !== '') return `write ${origin}: neither is sent`;
  return pathname === '/' ? `write ${origin}` : `write ${origin} here, and ${pathname} as \`matchPath\``;
}

function asPath(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9_-][A-Za-z0-9_/.-]*$/.test(value) ? `write /${value}` : null;
}
