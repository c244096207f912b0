import { describe, expect, it } from 'vitest';
import { accountOf } from './account.ts';

const token = (claims: unknown): string =>
  `Bearer ${['{}', JSON.stringify(claims), 'signature'].map((part) => Buffer.from(part).toString('base64url')).join('.')}`;

describe('the account of a token', () => {
  it('is the one that the API server wrote into it', () => {
    const pod = { name: 'hermes-router-1', uid: 'p' };
    const claims = {
      'kubernetes.io': { namespace: 'inference', pod, serviceaccount: { name: 'hermes-router', uid: 'u' } },
    };
    expect(accountOf(token(claims))).toEqual({ namespace: 'inference', name: 'hermes-router', uid: 'u' });
  });

  it.each([
    ['no token', null],
    ['a password', 'Basic dXNlcjpwYXNz'],
    ['a token that is no JWT', 'Bearer opaque'],
    ['three parts that are none', 'Bearer a.b.c'],
    ['somebody’s JWT', token({ sub: 'me' })],
    ['a text for claims', token('kubernetes.io')],
    ['no uid', token({ 'kubernetes.io': { namespace: 'a', serviceaccount: { name: 'b' } } })],
    ['an account without a namespace', token({ 'kubernetes.io': { serviceaccount: { name: 'b', uid: 'u' } } })],
    ['a list', token({ 'kubernetes.io': [] })],
  ])('is none with %s', (_, authorization) => {
    expect(accountOf(authorization)).toBeNull();
  });
});
