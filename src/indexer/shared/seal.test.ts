import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { PrefixKeyError, promptSecretOf, Sealer, Unsealer } from './seal.ts';

const key = randomBytes(32);
const plain = Buffer.from('what was told');

describe('seals', () => {
  it('open with the same key and scope, and count up for each writer', () => {
    const [a, b, open] = [new Sealer(key, 's'), new Sealer(key, 's'), new Unsealer(key, 's')];
    expect(open.open(a.seal(plain))).toEqual({ writer: a.writer.toString('hex'), counter: 1, plain });
    expect(open.open(a.seal(plain))).toMatchObject({ counter: 2 });
    expect(open.open(b.seal(plain))).toMatchObject({ writer: b.writer.toString('hex'), counter: 1 });
  });

  it('never look alike, whatever is inside', () => {
    const [a, b] = [new Sealer(key, 's'), new Sealer(key, 's')];
    const bodies = [a.seal(plain), a.seal(plain), b.seal(plain)].map((sealed) => sealed.toString('hex', 24));
    expect(new Set(bodies).size).toBe(3);
  });

  it('do not open with another key, for another scope, or changed in any byte', () => {
    const sealed = new Sealer(key, 's').seal(plain);
    expect(new Unsealer(randomBytes(32), 's').open(sealed)).toBeNull();
    expect(new Unsealer(key, 't').open(sealed)).toBeNull();
    const open = new Unsealer(key, 's');
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] ^= 1;
      expect(open.open(changed)).toBeNull();
      expect(open.open(sealed.subarray(0, at))).toBeNull();
    }
  });

  it('hold for more writers than are remembered', () => {
    const open = new Unsealer(key, 's');
    const first = new Sealer(key, 's');
    for (let i = 0; i < 600; i++) expect(open.open(new Sealer(key, 's').seal(plain))).not.toBeNull();
    expect(open.open(first.seal(plain))).not.toBeNull();
  });

  it('need a key of some length', () => {
    expect(() => new Sealer(randomBytes(31), 's')).toThrow(PrefixKeyError);
    expect(() => promptSecretOf(randomBytes(16))).toThrow(/at least 32/);
  });

  it('seed prompts alike in all replicas with the same key', () => {
    expect(promptSecretOf(key)).toBe(promptSecretOf(Buffer.from(key)));
    expect(promptSecretOf(key)).not.toBe(promptSecretOf(randomBytes(32)));
  });
});
