import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchSortBody, parseMatchSort } from './match-sort.ts';

describe('matchSortBody', () => {
  const cases: { sentence: string; body: Record<string, unknown>; sent: Record<string, unknown> | null }[] = [
    { sentence: 'a text prompt goes as it is', body: { prompt: 'hi', n: 2 }, sent: { prompt: 'hi' } },
    {
      sentence: 'chat messages go as they are',
      body: { messages: [{ role: 'user', content: 'hi' }] },
      sent: { messages: [{ role: 'user', content: 'hi' }] },
    },
    {
      sentence: 'a prompt of token ids goes as token_ids',
      body: { prompt: [1, 2, 3] },
      sent: { token_ids: [1, 2, 3] },
    },
    {
      sentence: 'the text input of responses and embeddings goes as a prompt',
      body: { input: 'hi' },
      sent: { prompt: 'hi' },
    },
    {
      sentence: 'a cache salt goes with it',
      body: { prompt: 'hi', cache_salt: 's' },
      sent: { prompt: 'hi', cache_salt: 's' },
    },
    { sentence: 'a salt of another type stays behind', body: { prompt: 'hi', cache_salt: 7 }, sent: { prompt: 'hi' } },
    { sentence: 'several prompts have no one prefix', body: { prompt: ['a', 'b'] }, sent: null },
    { sentence: 'an empty list of prompts has no prefix', body: { prompt: [] }, sent: null },
    { sentence: 'input of another shape is not asked for', body: { input: [{ role: 'user' }] }, sent: null },
    { sentence: 'a body without a prompt is not asked for', body: { user: 'u' }, sent: null },
  ];
  it.each(cases)('$sentence', ({ body, sent }) => {
    const text = matchSortBody({ model: 'm', body, candidates: ['10.0.0.1:8000'] });
    expect(text === null ? null : JSON.parse(text)).toEqual(
      sent === null ? null : { model: 'm', ...sent, candidates: ['10.0.0.1:8000'] },
    );
  });

  it('is not asked for messages that are nested too deeply to be written out', () => {
    const depth = 100_000;
    const messages: unknown = JSON.parse(`[${'{"1":'.repeat(depth)}1${'}'.repeat(depth)}]`);
    expect(matchSortBody({ model: 'm', body: { messages }, candidates: [] })).toBeNull();
  });
});

describe('parseMatchSort', () => {
  const cases: { sentence: string; answer: unknown; rates: Record<string, number> | null; ignored?: number }[] = [
    {
      sentence: 'reads the hit rate of each address',
      answer: {
        matches: [
          { pod: 'p', address: 'a:1', matched_tokens: 5, hit_rate: 0.5 },
          { address: 'b:1', hit_rate: 0 },
        ],
      },
      rates: { 'a:1': 0.5, 'b:1': 0 },
    },
    {
      sentence: 'takes matched tokens in all tokens where no rate is given',
      answer: { tokens: 8, matches: [{ address: 'a:1', matched_tokens: 2 }] },
      rates: { 'a:1': 0.25 },
    },
    {
      sentence: 'keeps the better of two rows of one address',
      answer: {
        matches: [
          { address: 'a:1', hit_rate: 0.9 },
          { address: 'a:1', hit_rate: 0.1 },
        ],
      },
      rates: { 'a:1': 0.9 },
    },
    {
      sentence: 'bounds rates to 1',
      answer: {
        tokens: 1,
        matches: [
          { address: 'a:1', hit_rate: 7 },
          { address: 'b:1', matched_tokens: 9 },
        ],
      },
      rates: { 'a:1': 1, 'b:1': 1 },
    },
    {
      sentence: 'counts and passes over rows without an address or a number',
      answer: {
        tokens: 0,
        matches: [
          null,
          7,
          {},
          { address: 'a:1' },
          { hit_rate: 1 },
          { address: 'a:1', hit_rate: '1' },
          { address: 'a:1', hit_rate: -1 },
          { address: 'a:1', matched_tokens: 4 },
          { address: 'ok:1', hit_rate: 1 },
        ],
      },
      rates: { 'ok:1': 1 },
      ignored: 8,
    },
    { sentence: 'an empty list is an answer', answer: { matches: [] }, rates: {} },
    { sentence: 'an object without matches is none', answer: { model: 'm' }, rates: null },
    { sentence: 'a list is none', answer: [], rates: null },
    { sentence: 'null is none', answer: null, rates: null },
  ];
  it.each(cases)('$sentence', ({ answer, rates, ignored = 0 }) => {
    const found = parseMatchSort(JSON.stringify(answer));
    expect(found === null ? null : Object.fromEntries(found.hitRates)).toEqual(rates);
    if (found !== null) expect(found.ignored).toBe(ignored);
  });

  it.each(['', 'oops', '{"matches": [', '<html>'])('text that is not JSON is none: %j', (text) => {
    expect(parseMatchSort(text)).toBeNull();
  });

  it('never throws and never yields a rate outside 0..1, whatever JSON it is given', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.jsonValue(),
            fc.record({ address: fc.string(), hit_rate: fc.oneof(fc.double(), fc.jsonValue()) }),
          ),
        ),
        fc.jsonValue(),
        (matches, tokens) => {
          const found = parseMatchSort(JSON.stringify({ matches, tokens }));
          if (found === null) throw new Error('a list of matches is an answer');
          for (const rate of found.hitRates.values()) {
            expect(rate).toBeGreaterThanOrEqual(0);
            expect(rate).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });
});
