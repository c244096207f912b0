import { Type } from 'typebox';
import { hostPattern, type KVManagerAddress } from '../policies/kv-manager.ts';
import type { KVCache } from './kv-cache.ts';
import { port } from './names.ts';

const longest = 60_000_000_000;
const millisecond = 1_000_000;

/** Who is asked which share of a prompt each engine has cached; parameters of the scorers of v25.12 that ask. */
export const managerParameters = {
  kvCacheManagerIP: Type.String({
    minLength: 1,
    maxLength: 253,
    pattern: hostPattern,
    default: 'cache-indexer-service',
    description: 'Address or name of the KV manager; a name without dots is a Service in the namespace of the pool.',
    'x-words': 'an IP address or a name, without scheme, port and path',
  }),
  kvCacheManagerPort: port('Its port.', { default: 8080 }),
  kvCacheManagerPath: Type.String({
    minLength: 1,
    maxLength: 1024,
    // Printable ASCII without `#` and `?`.
    pattern: '^/[!-"$->@-~]*$',
    default: '/match_sort',
    description: 'Path of the query.',
    'x-words': 'a path that starts with `/`, of ASCII characters without blanks, `?` and `#`',
  }),
  kvCacheManagerTimeout: Type.Integer({
    minimum: millisecond,
    maximum: longest,
    default: 5_000_000_000,
    description: 'How long a request waits for its answer, in nanoseconds; then it is routed without.',
    'x-words': 'nanoseconds, a plain integer from 1000000 (1 ms) to 60000000000 (60 s); 5 s is 5000000000',
  }),
};

/** An address as it stands in a URL. */
export const literal = (host: string): string => (host.includes(':') ? `[${host}]` : host);

/** A KV manager as a BackendGroup says it. */
export function managerCache({ host, port, path, timeout }: KVManagerAddress): KVCache {
  const common = { path, timeout: durationOf(timeout) };
  if (/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(host) && host !== 'localhost')
    return { type: 'Manager', manager: { service: { name: host, port }, ...common } };
  return { type: 'Manager', manager: { url: `http://${literal(host)}:${port}`, ...common } };
}

/** Milliseconds as `4s500ms`, rounded up. */
function durationOf(milliseconds: number): string {
  const total = Math.ceil(milliseconds);
  const seconds = Math.floor(total / 1000);
  const rest = total % 1000;
  return `${seconds > 0 ? `${seconds}s` : ''}${rest > 0 ? `${rest}ms` : ''}`;
}
