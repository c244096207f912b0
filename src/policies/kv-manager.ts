import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { ProfileSpec } from './definition.ts';

const nanosecondsPerMillisecond = 1_000_000;
const label = '[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?';
/** Names and IPv4 addresses, or two colons at least: an IPv6 address. */
export const hostPattern = `^(${label}(\\.${label})*|[0-9A-Fa-f]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*)$`;

/** Where the KV-aware scorers of v25.12 have the hits from, in an EndpointPickerConfig. */
export const kvManagerParameters = {
  kvCacheManagerIP: Type.String({
    minLength: 1,
    maxLength: 253,
    pattern: hostPattern,
    default: 'cache-indexer-service',
    description:
      'Address or name of the KV manager that knows the hits, in an EndpointPickerConfig; elsewhere without effect.',
  }),
  kvCacheManagerPort: Type.Integer({ minimum: 1, maximum: 65535, default: 8080, description: 'Its port.' }),
  kvCacheManagerPath: Type.String({
    minLength: 1,
    maxLength: 1024,
    pattern: '^/[!-~]*$',
    default: '/match_sort',
    description: 'Path of its look-up.',
  }),
  kvCacheManagerTimeout: Type.Integer({
    minimum: nanosecondsPerMillisecond,
    maximum: 60_000_000_000,
    default: 5_000_000_000,
    description: 'How long a decision waits for it, in nanoseconds.',
  }),
};

const schema = Type.Object(kvManagerParameters);

/** An external KV manager as a profile names it. */
export interface KVManagerAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Milliseconds. */
  readonly timeout: number;
}

const askers = ['scorer-aggregate-kv-cache-aware', 'scorer-pd-kv-cache-aware'];

/** The KV manager that the first KV-aware scorer of a profile names; null where none wants one. Its parameters are valid. */
export function kvManagerOf({ scorers = [] }: ProfileSpec): KVManagerAddress | null {
  const asker = scorers.find(({ type }) => askers.includes(type));
  if (asker === undefined) return null;
  const parameters: unknown = Value.Default(schema, structuredClone(asker.parameters ?? {}));
  if (!Value.Check(schema, parameters)) throw new TypeError(`the parameters of ${asker.type} were not checked`);
  const { kvCacheManagerIP, kvCacheManagerPort, kvCacheManagerPath, kvCacheManagerTimeout } = parameters;
  return {
    host: kvCacheManagerIP,
    port: kvCacheManagerPort,
    path: kvCacheManagerPath,
    timeout: kvCacheManagerTimeout / nanosecondsPerMillisecond,
  };
}
