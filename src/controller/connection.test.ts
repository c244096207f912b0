import { describe, expect, it } from 'vitest';
import { decodeResource } from '../api/decode.ts';
import type { Secrets } from './secrets.ts';
import { readSecret } from './secrets.ts';
import { resolveConnection } from './connection.ts';

function resolved(connection: object, secrets: Secrets = new Map(), namespace?: string) {
  const result = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: namespace === undefined ? { name: 'g' } : { name: 'g', namespace },
    spec: { discovery: { type: 'Static', static: { endpoints: [{ name: 'e', address: '10.0.0.1:1' }] } }, connection },
  });
  if (!result.ok || result.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(result));
  return resolveConnection(result.resource, secrets);
}

const secrets: Secrets = new Map([
  ['default/tls', { 'ca.crt': 'PEM' }],
  ['default/key', { token: 'abc', lined: 'abc\n', twoLines: 'abc\ndef' }],
  ['other/key', { token: 'of-other' }],
]);

describe('resolveConnection', () => {
  const cases: [string, object, object, string[]][] = [
    ['plain HTTP by default', {}, { scheme: 'http', forwardAuthorization: false }, []],
    ['TLS with what the system trusts', { scheme: 'https', serverName: 'e' }, { scheme: 'https', serverName: 'e', forwardAuthorization: false }, []],
    ['the authorities of a secret', { scheme: 'https', caSecretRef: { name: 'tls' } }, { scheme: 'https', ca: 'PEM', forwardAuthorization: false }, []],
    ['the API key of a secret', { apiKeySecretRef: { name: 'key', key: 'token' } }, { scheme: 'http', apiKey: 'abc', forwardAuthorization: false }, []],
    ['an API key without the line end of its file', { apiKeySecretRef: { name: 'key', key: 'lined' } }, { scheme: 'http', apiKey: 'abc', forwardAuthorization: false }, []],
    ["the client's Authorization", { forwardAuthorization: true }, { scheme: 'http', forwardAuthorization: true }, []],
    ['an API key of two lines', { apiKeySecretRef: { name: 'key', key: 'twoLines' } }, { scheme: 'http', forwardAuthorization: false }, ['a value of visible ASCII in Secret key']],
    ['a missing secret', { apiKeySecretRef: { name: 'none', key: 'token' } }, { scheme: 'http', forwardAuthorization: false }, ['key token of Secret none']],
    ['a missing key of a secret', { apiKeySecretRef: { name: 'key', key: 'none' } }, { scheme: 'http', forwardAuthorization: false }, ['key none of Secret key']],
    ['missing authorities', { scheme: 'https', caSecretRef: { name: 'key' } }, { scheme: 'https', forwardAuthorization: false }, ['key ca.crt of Secret key']],
  ]; // prettier-ignore
  it.each(cases)('reads %s', (_name, connection, wanted, missing) => {
    expect(resolved(connection, secrets)).toEqual({ connection: wanted, missing });
  });

  it('looks for secrets in the namespace of the group', () => {
    const connection = { apiKeySecretRef: { name: 'key', key: 'token' } };
    expect(resolved(connection, secrets, 'other').connection.apiKey).toBe('of-other');
    expect(resolved(connection, secrets, 'third').missing).toHaveLength(1);
  });
});

describe('readSecret', () => {
  const cases: [string, unknown, object][] = [
    ['base64', { data: { a: 'aGVsbG8=' } }, { a: 'hello' }],
    ['text', { stringData: { a: 'hello' } }, { a: 'hello' }],
    ['text before base64 of the same key, as the API server does', { data: { a: 'eA==' }, stringData: { a: 'y' } }, { a: 'y' }],
    ['nothing of what is no text', { data: { a: 5, b: null } }, {}],
    ['nothing of what is no object', null, {}],
    ['nothing where there is nothing', { data: 'x' }, {}],
  ]; // prettier-ignore
  it.each(cases)('reads %s', (_name, document, wanted) => {
    expect(readSecret(document)).toEqual(wanted);
  });
});
