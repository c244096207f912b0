import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seeded } from '../../../test/fixtures/fleet.ts';
import { TokenKeys, type KeyScope } from './token-keys.ts';

const secret = 0x1234567;
const plain: KeyScope = { blockSize: 16, lora: '', salt: '' };

/** The keys of a prompt as 64-bit numbers. */
function keysOf(tokens: readonly number[], scope = plain, keys = new TokenKeys(secret)): bigint[] {
  const blocks = keys.compute(Uint32Array.from(tokens), tokens.length, scope);
  return Array.from({ length: blocks }, (_, i) => (BigInt(keys.keys[2 * i + 1]) << 32n) | BigInt(keys.keys[2 * i]));
}

const prompt = (blocks: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(200_000), { minLength: blocks * 16, maxLength: (blocks + 2) * 16 });
const equalTokens = Array<number>(64).fill(5);

describe('TokenKeys', () => {
  it.each([
    ['an empty prompt has no block', 0, 16, 0],
    ['a block is not full before its last token', 15, 16, 0],
    ['a full block has a key', 16, 16, 1],
    ['what follows the last full block has none', 47, 16, 2],
    ['a block can be one token', 3, 1, 3],
    ['room is made for long prompts', 100_000, 16, 6250],
  ])('%s', (_sentence, tokens, blockSize, blocks) => {
    expect(keysOf(Array<number>(tokens).fill(7), { ...plain, blockSize })).toHaveLength(blocks);
  });

  it('looks at the first tokens only, as many as it is told', () => {
    const keys = new TokenKeys(secret);
    expect(keys.compute(Uint32Array.from(equalTokens), 40, plain)).toBe(2);
  });

  it('chains: another token anywhere changes its own key and all later ones, and none before', () => {
    fc.assert(
      fc.property(prompt(4), fc.nat(), fc.nat(31), (tokens, where, bit) => {
        const at = where % (Math.floor(tokens.length / 16) * 16);
        const before = keysOf(tokens);
        const after = keysOf(tokens.with(at, (tokens[at] ^ (1 << bit)) >>> 0));
        const changed = Math.floor(at / 16);
        expect(after.slice(0, changed)).toEqual(before.slice(0, changed));
        for (let i = changed; i < before.length; i++) expect(after[i]).not.toBe(before[i]);
      }),
    );
  });

  it('goes on from any stored key as if the chain had never stopped', () => {
    fc.assert(
      fc.property(prompt(3), fc.nat(2), (tokens, from) => {
        const whole = new TokenKeys(secret);
        const blocks = whole.compute(Uint32Array.from(tokens), tokens.length, plain);
        const chain = new TokenKeys(99);
        chain.resume(whole.keys[2 * from], whole.keys[2 * from + 1]);
        for (let block = from + 1; block < blocks; block++) {
          chain.next(Uint32Array.from(tokens), block * 16, 16);
          expect([chain.low >>> 0, chain.high >>> 0]).toEqual([whole.keys[2 * block], whole.keys[2 * block + 1]]);
        }
      }),
    );
  });

  it('shares no key between scopes, also where they read alike in a row', () => {
    const scopes: KeyScope[] = [
      plain,
      { blockSize: 32, lora: '', salt: '' },
      { blockSize: 16, lora: 'a', salt: '' },
      { blockSize: 16, lora: '', salt: 'a' },
      { blockSize: 16, lora: 'a', salt: 'b' },
      { blockSize: 16, lora: 'ab', salt: '' },
      { blockSize: 16, lora: '', salt: 'ab' },
      { blockSize: 16, lora: '\u0000', salt: '' },
    ];
    const keys = scopes.flatMap((scope) => keysOf(equalTokens, scope));
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set([...keysOf(equalTokens), ...keysOf(equalTokens, plain, new TokenKeys(secret + 1))]).size).toBe(8);
  });

  it('never lets a block stand for one of another size, not even of the same tokens', () => {
    const chain = new TokenKeys(secret);
    const keys = [16, 32, 64].map((blockSize) => {
      chain.begin({ ...plain, blockSize });
      chain.next(Uint32Array.from(equalTokens), 0, 16);
      return (BigInt(chain.high >>> 0) << 32n) | BigInt(chain.low >>> 0);
    });
    expect(new Set(keys).size).toBe(3);
  });

  it('keeps ten thousand salts apart', () => {
    const keys = Array.from({ length: 10_000 }, (_, i) => keysOf(equalTokens, { ...plain, salt: `tenant-${i}` })[0]);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('gives a block with an image keys of its own, and its successors too', () => {
    const chainOf = (extra: string): bigint[] => {
      const chain = new TokenKeys(secret);
      chain.begin(plain);
      if (extra !== '') chain.extend(extra);
      return [0, 16].map((from) => {
        chain.next(Uint32Array.from(equalTokens), from, 16);
        return (BigInt(chain.high >>> 0) << 32n) | BigInt(chain.low >>> 0);
      });
    };
    expect(chainOf('')).toEqual(keysOf(equalTokens).slice(0, 2));
    const keys = ['', 'image-1', 'image-2', '\u0005', '\u0000'].flatMap(chainOf);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('token keys as a hash', () => {
  const count = 1_000_000;
  type Fill = (i: number, tokens: Uint32Array, random: () => number) => void;
  const blocks: [string, Fill][] = [
    [
      'random tokens',
      (_i, tokens, random) => {
        for (let at = 0; at < 16; at++) tokens[at] = random() * 150_000;
      },
    ],
    ['a counter in the first token', (i, tokens) => (tokens[0] = i)],
    ['a counter in the last token', (i, tokens) => (tokens[15] = i)],
    ['a counter in the upper bits of the last token', (i, tokens) => (tokens[15] = i << 12)],
    [
      'two tokens that count against each other',
      (i, tokens) => {
        tokens[7] = i % 1000;
        tokens[8] = Math.floor(i / 1000);
      },
    ],
  ];

  it.each(blocks)(
    'a million blocks of %s have a million keys, and either half spreads over the buckets',
    (_name, fill) => {
      const random = seeded(1);
      const tokens = new Uint32Array(16);
      const chain = new TokenKeys(secret);
      const whole = new BigUint64Array(count);
      const halves = [new Uint32Array(count), new Uint32Array(count)];
      for (let i = 0; i < count; i++) {
        fill(i, tokens, random);
        chain.begin(plain);
        chain.next(tokens, 0, 16);
        halves[0][i] = chain.low;
        halves[1][i] = chain.high;
        whole[i] = (BigInt(chain.high >>> 0) << 32n) | BigInt(chain.low >>> 0);
      }
      expect(repeats(whole)).toBe(0);
      // A random 32-bit half repeats 10^12 / 2^33 = 116 times, ± 11; seven deviations are one run in 10^11.
      for (const half of halves) expect(repeats(half)).toBeLessThan(116 + 7 * 11);
    },
    60_000,
  );

  it('one bit of any token turns over every bit of the key in half of the cases', () => {
    const samples = 4000;
    const random = seeded(2);
    const chain = new TokenKeys(secret);
    const keyOf = (tokens: Uint32Array): [number, number] => {
      chain.begin(plain);
      chain.next(tokens, 0, 16);
      return [chain.low, chain.high];
    };
    for (const at of [0, 7, 14, 15]) {
      const turned = new Uint32Array(64);
      for (let sample = 0; sample < samples; sample++) {
        const tokens = Uint32Array.from({ length: 16 }, () => random() * 150_000);
        const [low, high] = keyOf(tokens);
        tokens[at] ^= 1 << Math.floor(random() * 18);
        const [otherLow, otherHigh] = keyOf(tokens);
        for (let bit = 0; bit < 32; bit++) {
          turned[bit] += ((low ^ otherLow) >>> bit) & 1;
          turned[32 + bit] += ((high ^ otherHigh) >>> bit) & 1;
        }
      }
      // Half of 4,000, whose standard deviation is 32; six of them are one bit in 5 * 10^8.
      for (const times of turned) expect(Math.abs(times - samples / 2)).toBeLessThan(6 * 32);
    }
  });

  function repeats(keys: BigUint64Array | Uint32Array): number {
    keys.sort();
    let found = 0;
    for (let i = 1; i < keys.length; i++) if (keys[i] === keys[i - 1]) found += 1;
    return found;
  }
});
