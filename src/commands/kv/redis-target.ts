import type { RedisStore } from '../../api/prefix-store.ts';
import type { Secrets } from '../../controller/secrets.ts';
import type { RedisTarget } from '../../indexer/shared/connection.ts';

/** A store that cannot be reached for want of a secret; the message names it. */
export class MissingSecretError extends Error {
  override readonly name = 'MissingSecretError';
}

/** Where the server of a group's store is and what it wants to be told. Throws MissingSecretError. */
export function redisTarget({ service, address, secretRef, tls }: RedisStore, around: SecretsOf): RedisTarget {
  const place =
    address === undefined ? { host: `${service?.name}.${around.namespace}`, port: service?.port ?? 0 } : split(address);
  return {
    ...place,
    ...(secretRef === undefined ? {} : login(secretRef.name, around)),
    ...(tls === undefined ? {} : { tls: tlsOf(tls, around) }),
  };
}

/** Secrets as a group sees them. */
export interface SecretsOf {
  readonly namespace: string;
  readonly secrets: Secrets;
}

function login(name: string, around: SecretsOf): Pick<RedisTarget, 'username' | 'password'> {
  const password = value(name, 'password', around).trimEnd();
  const username = around.secrets.get(`${around.namespace}/${name}`)?.username;
  return username === undefined ? { password } : { password, username: username.trimEnd() };
}

function tlsOf(
  { caSecretRef, serverName }: NonNullable<RedisStore['tls']>,
  around: SecretsOf,
): NonNullable<RedisTarget['tls']> {
  return {
    ...(caSecretRef === undefined ? {} : { ca: value(caSecretRef.name, 'ca.crt', around) }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

function value(name: string, key: string, { namespace, secrets }: SecretsOf): string {
  const found = secrets.get(`${namespace}/${name}`)?.[key];
  if (found === undefined) throw new MissingSecretError(`key ${key} of Secret ${name} is missing`);
  return found;
}

/** Of `host:port` or `[v6]:port`, without brackets. */
function split(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) };
}
