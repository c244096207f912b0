import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { TlsMaterial } from './carrier.ts';

/*
 * Node makes keys and signatures, but no certificates. The libraries that do bring a whole toolbox of cryptography
 * along (node-forge its own ciphers, selfsigned and @peculiar/x509 a dozen packages of ASN.1); the one certificate that
 * we need is the few fields below, in DER (ITU-T X.690, RFC 5280).
 */

const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const commonName = '2.5.4.3';
const keyUsage = '2.5.29.15';
const subjectAlternativeName = '2.5.29.17';
const basicConstraints = '2.5.29.19';
const extendedKeyUsage = '2.5.29.37';
const serverAuthentication = '1.3.6.1.5.5.7.3.1';

const years = 10;

/**
 * A new key and a certificate that it signs itself, good for ten years from a day before `now` (clocks differ). Whoever
 * trusts it must have been told so: a gateway that does not verify its picker, which is the rule.
 */
export function selfSigned(now: Date): TlsMaterial {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(objectId(ecdsaWithSha256));
  const name = sequence(
    der(Tag.set, sequence(objectId(commonName), der(Tag.utf8String, Buffer.from('hermes-router')))),
  );
  const from = new Date(now);
  from.setUTCDate(from.getUTCDate() - 1);
  const until = new Date(now);
  until.setUTCFullYear(until.getUTCFullYear() + years);
  const content = sequence(
    der(context(0), integer(Buffer.of(2))),
    integer(randomBytes(16)),
    algorithm,
    name,
    sequence(time(from), time(until)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(context(3), sequence(...extensions())),
  );
  const certificate = sequence(content, algorithm, bitString(sign('sha256', content, privateKey)));
  return {
    cert: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function extensions(): Buffer[] {
  const localhost = der(0x82, Buffer.from('localhost'));
  const loopback = der(0x87, Buffer.of(127, 0, 0, 1));
  const digitalSignature = bitString(Buffer.of(0x80), 7);
  return [
    extension(basicConstraints, true, sequence()),
    extension(keyUsage, true, digitalSignature),
    extension(extendedKeyUsage, false, sequence(objectId(serverAuthentication))),
    extension(subjectAlternativeName, false, sequence(localhost, loopback)),
  ];
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(Tag.boolean, Buffer.of(0xff))] : [];
  return sequence(objectId(id), ...flag, der(Tag.octetString, value));
}

/** Tag, length and content. */
function der(tag: number, ...content: Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Buffer.of(tag), lengthOf(bytes), bytes]);
}

function lengthOf(bytes: Buffer): Buffer {
  if (bytes.length < 0x80) return Buffer.of(bytes.length);
  if (bytes.length < 0x100) return Buffer.of(0x81, bytes.length);
  return Buffer.of(0x82, bytes.length >> 8, bytes.length & 0xff);
}

/** The tag of a constructed, context-specific field. */
function context(number: number): number {
  return 0xa0 | number;
}

function sequence(...content: Buffer[]): Buffer {
  return der(Tag.sequence, ...content);
}

/** A number of 0 or more, without more zeros in front than keep it from being negative. */
function integer(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = bytes.subarray(start);
  return der(Tag.integer, (digits[0] ?? 0) < 0x80 ? digits : Buffer.concat([Buffer.of(0), digits]));
}

function bitString(bytes: Buffer, unusedBits = 0): Buffer {
  return der(Tag.bitString, Buffer.of(unusedBits), bytes);
}

function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return der(Tag.objectId, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(number: number): number[] {
  const digits = [number & 0x7f];
  for (let left = number >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}

/** RFC 5280 wants UTCTime, with two digits for the year, up to 2049. */
function time(date: Date): Buffer {
  const text = `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? der(Tag.utcTime, Buffer.from(text.slice(2)))
    : der(Tag.generalizedTime, Buffer.from(text));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
