import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outputText, outputToken } from './words.ts';
import { detokenize, tokenize, TokenWriter } from './tokens.ts';

test('four bytes are one token', () => {
  expect([0, 1, 4, 5, 8].map((bytes) => tokenize('x'.repeat(bytes)).length)).toEqual([0, 1, 1, 2, 2]);
  expect(tokenize('é'.repeat(4)).length).toBe(2);
});

test('any text without NUL comes back from its tokens', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  fc.assert(
    fc.property(text, (value) => {
      expect(detokenize(tokenize(value))).toBe(value);
    }),
  );
});

test('an answer as the client sends it back tokenises to the ids that the engine made', () => {
  const places = Array.from({ length: 40 }, (_, place) => place);
  const text = places.map((place) => outputText(7, place)).join('');
  expect(Array.from(tokenize(text))).toEqual(places.map((place) => outputToken(7, place)));
});

test('a longer chat keeps the tokens of the shorter one as its prefix', () => {
  const chat = (turns: string[]): number[] => {
    const writer = new TokenWriter();
    for (const turn of turns) writer.message('user', turn);
    return Array.from(writer.finish());
  };
  const short = chat(['hello']);
  expect(chat(['hello', 'and more']).slice(0, short.length)).toEqual(short);
});

test('text cannot spell a special token', () => {
  const writer = new TokenWriter();
  writer.openMessage('assistant');
  const [special] = writer.finish();
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      expect(tokenize(value).includes(special)).toBe(false);
    }),
  );
});
