import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { selfSigned } from './self-signed.ts';

describe('selfSigned', () => {
  it('makes a certificate that is signed by its own key, for ten years and for loopback', () => {
    const { cert, key } = selfSigned(new Date('2026-11-21T12:34:56Z'));
    const certificate = new X509Certificate(cert);
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect([certificate.subject, certificate.issuer]).toEqual(['CN=hermes-router', 'CN=hermes-router']);
    expect(certificate.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1');
    expect(certificate.validFromDate).toEqual(new Date('2026-11-20T12:34:56Z'));
    expect(certificate.validToDate).toEqual(new Date('2036-11-21T12:34:56Z'));
    expect([certificate.ca, certificate.keyUsage]).toEqual([false, ['1.3.6.1.5.5.7.3.1']]);
  });

  it('writes years from 2050 on with four digits', () => {
    const certificate = new X509Certificate(selfSigned(new Date('2045-02-28T00:00:00Z')).cert);
    expect(certificate.validFromDate).toEqual(new Date('2045-02-27T00:00:00Z'));
    expect(certificate.validToDate).toEqual(new Date('2055-02-28T00:00:00Z'));
  });

  it('makes another key and another number each time', () => {
    const numbers = Array.from({ length: 20 }, () => new X509Certificate(selfSigned(new Date()).cert).serialNumber);
    expect(new Set(numbers).size).toBe(20);
    const keys = [selfSigned(new Date()).key, selfSigned(new Date()).key];
    expect(keys[0]).not.toBe(keys[1]);
  });
});
