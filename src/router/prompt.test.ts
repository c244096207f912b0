import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { promptOf, seeded, write } from '../../test/fixtures/fleet.ts';
import { blockBytes, Prompt } from './prompt.ts';

/** The keys of a prompt as 64-bit numbers. */
function keysOf(prompt: Prompt): bigint[] {
  return Array.from(
    { length: prompt.blocks() },
    (_, i) => (BigInt(prompt.keys[2 * i + 1]) << 32n) | BigInt(prompt.keys[2 * i]),
  );
}

const textOf = (blocks: number): fc.Arbitrary<string> =>
  fc.string({ unit: 'grapheme-ascii', minLength: blocks * blockBytes, maxLength: (blocks + 2) * blockBytes });

describe('Prompt', () => {
  it.each([
    ['an empty prompt counts as a token, since every engine computes something', '', 1, 0],
    ['four bytes are a token', 'abcd', 1, 0],
    ['a begun token is a token', 'abcde', 2, 0],
    ['a block is not full before its last byte', 'x'.repeat(blockBytes - 1), 32, 0],
    ['a full block has a key', 'x'.repeat(blockBytes), 32, 1],
    ['bytes count, not characters', '漢'.repeat(4), 3, 0],
  ])('%s', (_sentence, text, tokens, blocks) => {
    const prompt = promptOf(text);
    expect(prompt.tokens).toBe(tokens);
    expect(prompt.blocks()).toBe(blocks);
  });

  it('counts token ids one by one, and text beside them by bytes', () => {
    const prompt = promptOf('abcde');
    prompt.appendTokens([1, 2, 3]);
    expect(prompt.tokens).toBe(5);
    prompt.begin('m');
    prompt.appendTokens(Array.from({ length: 64 }, (_, i) => i * 1000));
    expect(prompt.tokens).toBe(64);
    expect(prompt.blocks()).toBe(2);
  });

  it('tells token ids apart in each of their four bytes', () => {
    const ids = [0, 1, 1 << 8, 1 << 16, 1 << 24].map((id) => {
      const prompt = new Prompt();
      prompt.begin('m');
      prompt.appendTokens(Array<number>(32).fill(id));
      return keysOf(prompt)[0];
    });
    expect(new Set(ids).size).toBe(5);
  });

  it('has the same keys however the text came in pieces', () => {
    fc.assert(
      fc.property(textOf(3), fc.array(fc.nat(500), { maxLength: 6 }), (text, cuts) => {
        const prompt = new Prompt();
        prompt.begin('m');
        const points = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
        for (let i = 1; i < points.length; i++) {
          const piece = Buffer.from(text.slice(points[i - 1], points[i]));
          prompt.reserve(piece.length).set(piece, prompt.end);
          prompt.wrote(piece.length);
          // Asking in between must not freeze the keys.
          prompt.blocks();
        }
        expect(keysOf(prompt)).toEqual(keysOf(promptOf(text)));
      }),
    );
  });

  it('chains: another bit anywhere changes its own key and all later ones, and none before', () => {
    fc.assert(
      fc.property(textOf(4), fc.nat(), fc.nat(6), (text, where, bit) => {
        const bytes = Buffer.from(text);
        const at = where % (Math.floor(bytes.length / blockBytes) * blockBytes);
        const before = keysOf(promptOf(text));
        bytes[at] ^= 1 << bit;
        const after = keysOf(promptOf(bytes.toString('latin1')));
        const changed = Math.floor(at / blockBytes);
        expect(after.length).toBe(before.length);
        expect(after.slice(0, changed)).toEqual(before.slice(0, changed));
        for (let i = changed; i < before.length; i++) expect(after[i]).not.toBe(before[i]);
      }),
    );
  });

  it('repeats no key within a prompt of equal blocks', () => {
    const keys = keysOf(promptOf('a'.repeat(1000 * blockBytes)));
    expect(new Set(keys).size).toBe(1000);
  });

  it('gives every model and salt keys of its own, also where the two read alike in a row', () => {
    const text = 'a'.repeat(4 * blockBytes);
    const scopes = [
      ['m', ''],
      ['n', ''],
      ['m', 's'],
      ['ms', ''],
      ['', 'ms'],
      ['', ''],
    ];
    const keys = scopes.flatMap(([model, salt]) => keysOf(promptOf(text, model, salt)));
    expect(new Set(keys).size).toBe(4 * scopes.length);
  });

  it('begins anew without a trace of the prompt before', () => {
    const prompt = promptOf('x'.repeat(50_000), 'other', 'salt');
    prompt.appendTokens([1, 2, 3]);
    prompt.blocks();
    write(prompt, '');
    expect(prompt.tokens).toBe(1);
    expect(prompt.blocks()).toBe(0);
    write(prompt, 'y'.repeat(3 * blockBytes));
    expect(prompt.tokens).toBe(96);
    expect(keysOf(prompt)).toEqual(keysOf(promptOf('y'.repeat(3 * blockBytes))));
  });

  it('grows past its first memory without losing the text', () => {
    const text = Array.from({ length: 20_000 }, (_, i) => String(i)).join(' ');
    const pieces = new Prompt();
    pieces.begin('m');
    for (let at = 0; at < text.length; at += 1000) {
      const piece = Buffer.from(text.slice(at, at + 1000));
      pieces.reserve(piece.length).set(piece, pieces.end);
      pieces.wrote(piece.length);
    }
    expect(pieces.blocks()).toBe(Math.floor(text.length / blockBytes));
    expect(keysOf(pieces)).toEqual(keysOf(promptOf(text)));
  });
});

describe('block keys as a hash', () => {
  const count = 1_000_000;
  type Fill = (i: number, view: DataView, random: () => number) => void;

  const texts: [string, Fill][] = [
    [
      'random bytes',
      (_i, view, random) => {
        for (let at = 0; at < blockBytes; at += 4) view.setUint32(at, random() * 2 ** 32);
      },
    ],
    ['a counter in the first word', (i, view) => view.setUint32(0, i, true)],
    ['a counter in the last word', (i, view) => view.setUint32(blockBytes - 4, i, true)],
    ['a counter in the upper bits of the last word', (i, view) => view.setUint32(blockBytes - 4, i << 12, true)],
    [
      'a counter spread over two neighbouring words',
      (i, view) => {
        view.setUint32(60, (i % 1000) << 20, true);
        view.setUint32(64, Math.floor(i / 1000), true);
      },
    ],
  ];

  it.each(texts)(
    'a million blocks of %s have a million keys, and either half spreads over the buckets',
    (_name, fill) => {
      const random = seeded(1);
      const bytes = new Uint8Array(blockBytes);
      const view = new DataView(bytes.buffer);
      const prompt = new Prompt();
      const whole = new BigUint64Array(count);
      const halves = [new Uint32Array(count), new Uint32Array(count)];
      for (let i = 0; i < count; i++) {
        fill(i, view, random);
        prompt.begin('m');
        prompt.reserve(blockBytes).set(bytes);
        prompt.wrote(blockBytes);
        prompt.blocks();
        halves[0][i] = prompt.keys[0];
        halves[1][i] = prompt.keys[1];
        whole[i] = (BigInt(prompt.keys[1]) << 32n) | BigInt(prompt.keys[0]);
      }
      expect(repeats(whole)).toBe(0);
      // A random 32-bit half repeats 10^12 / 2^33 = 116 times, ± 11; seven deviations are one run in 10^11.
      for (const half of halves) expect(repeats(half)).toBeLessThan(116 + 7 * 11);
    },
    60_000,
  );

  function repeats(keys: BigUint64Array | Uint32Array): number {
    keys.sort();
    let found = 0;
    for (let i = 1; i < keys.length; i++) if (keys[i] === keys[i - 1]) found += 1;
    return found;
  }
});
