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
  const ca = caSecretRef && secrets.get(`${namespace}/${caSecretRef.name}`)?.['ca.crt'];
  if (caSecretRef !== undefined && ca === undefined) missing.push(`key ca.crt of Secret ${caSecretRef.name}`);
  const apiKey = headerSecret(apiKeySecretRef, namespace, secrets);
  if (apiKey.missing !== null) missing.push(apiKey.missing);
  const connection: Connection = {
    scheme,
    forwardAuthorization,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(apiKey.value === null ? {} : { apiKey: apiKey.value }),
  };
  return { connection, missing };
}

/** A value for a header; where there is none that fits, `missing` says what is not there. */
export interface HeaderSecret {
  readonly value: string | null;
  readonly missing: string | null;
}

/** What a Secret's key holds, without the line end that editors leave. Without a reference nothing is missing. */
export function headerSecret(ref: SecretRef | undefined, namespace: string, secrets: Secrets): HeaderSecret {
  if (ref === undefined) return { value: null, missing: null };
  const text = secrets.get(`${namespace}/${ref.name}`)?.[ref.key];
  if (text === undefined) return { value: null, missing: `key ${ref.key} of Secret ${ref.name}` };
  const value = text.trim();
  if (headerValue.test(value)) return { value, missing: null };
  return { value: null, missing: `a value of visible ASCII in Secret ${ref.name}` };
}

interface SecretRef {
  readonly name: string;
  readonly key: string;
}
