import type { BackendGroup } from '../api/backend-group.ts';
import type { Connection } from '../router/policy.ts';
import type { Secrets } from './secrets.ts';

/** How to talk to a group's engines, and which secrets are missing for it. */
export interface ResolvedConnection {
  readonly connection: Connection;
  readonly missing: readonly string[];
}

/** Anything but visible ASCII in a key would make two headers of one, or none. */
const headerValue = /^[\x21-\x7e]+$/;

/** Puts the secrets that a group's connection names in their places. */
export function resolveConnection(group: BackendGroup, secrets: Secrets): ResolvedConnection {
  const { scheme, serverName, caSecretRef, apiKeySecretRef, forwardAuthorization } = group.spec.connection;
  const namespace = group.metadata.namespace ?? 'default';
  const missing: string[] = [];
  const value = (name: string, key: string): string | undefined => {
    const found = secrets.get(`${namespace}/${name}`)?.[key];
    if (found === undefined) missing.push(`key ${key} of Secret ${name}`);
    return found;
  };
  const ca = caSecretRef === undefined ? undefined : value(caSecretRef.name, 'ca.crt');
  const apiKey = apiKeySecretRef === undefined ? undefined : value(apiKeySecretRef.name, apiKeySecretRef.key);
  const usable = usableKey(apiKey);
  if (apiKey !== undefined && usable === null)
    missing.push(`a value of visible ASCII in Secret ${apiKeySecretRef?.name}`);
  const connection: Connection = {
    scheme,
    forwardAuthorization,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(usable === null ? {} : { apiKey: usable }),
  };
  return { connection, missing };
}

/** A key without the line end that editors leave; null where it does not fit a header. */
function usableKey(text: string | undefined): string | null {
  const key = text?.trim() ?? '';
  return headerValue.test(key) ? key : null;
}
