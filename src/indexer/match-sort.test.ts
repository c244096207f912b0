import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchSortBody, parseMatchSort } from './match-sort.ts';
import { parseMatchSortQuestion } from './serve/question.ts';
import { askedOf } from './tokens/asked.ts';

describe('matchSortBody', () => {
  const chat = '/v1/chat/completions';
  const text = '/v1/completions';
  const messages = [{ role: 'user', content: 'hi' }];
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const cases: { sentence: string; path: string; body: Record<string, unknown>; sent: object | null }[] = [
    { sentence: 'a text prompt goes as it is', path: text, body: { prompt: 'hi', n: 2 }, sent: { prompt: 'hi' } },
    { sentence: 'a list of one prompt is one', path: text, body: { prompt: ['hi'] }, sent: { prompt: 'hi' } },
    {
      sentence: 'whether special tokens are added goes with it',
      path: text,
      body: { prompt: 'hi', add_special_tokens: false },
      sent: { prompt: 'hi', add_special_tokens: false },
    },
    { sentence: 'chat messages go as they are', path: chat, body: { messages, n: 2 }, sent: { messages } },
    { sentence: 'tools go with a chat', path: chat, body: { messages, tools }, sent: { messages, tools } },
    {
      sentence: 'settings of the chat template go with a chat',
      path: chat,
      body: {
        messages,
        add_generation_prompt: false,
        continue_final_message: true,
        add_special_tokens: true,
        chat_template: '{{ x }}',
        chat_template_kwargs: { enable_thinking: false },
      },
      sent: {
        messages,
        add_generation_prompt: false,
        continue_final_message: true,
        add_special_tokens: true,
        chat_template: '{{ x }}',
        chat_template_kwargs: { enable_thinking: false },
      },
    },
    {
      sentence: 'documents are one more argument of the template, as in the engine',
      path: chat,
      body: { messages, documents: [{ text: 'd' }], chat_template_kwargs: { a: 1 } },
      sent: { messages, chat_template_kwargs: { a: 1, documents: [{ text: 'd' }] } },
    },
    {
      sentence: 'what engines read in ways of their own stays behind',
      path: chat,
      body: { messages, tools, reasoning_effort: 'low', tool_choice: 'none' },
      sent: { messages, tools },
    },
    {
      sentence: 'a prompt of token ids goes as token_ids',
      path: text,
      body: { prompt: [1, 2, 3] },
      sent: { token_ids: [1, 2, 3] },
    },
    {
      sentence: 'the text of embeddings is a prompt',
      path: '/v1/embeddings',
      body: { input: 'hi' },
      sent: { prompt: 'hi' },
    },
    {
      sentence: 'the text of responses is a chat, behind its instructions',
      path: '/v1/responses',
      body: { input: 'hi', instructions: 'Be brief.' },
      sent: { messages: [{ role: 'system', content: 'Be brief.' }, ...messages] },
    },
    {
      sentence: 'a cache salt goes with it',
      path: text,
      body: { prompt: 'hi', cache_salt: 's' },
      sent: { prompt: 'hi', cache_salt: 's' },
    },
    {
      sentence: 'a salt of another type stays behind',
      path: text,
      body: { prompt: 'hi', cache_salt: 7 },
      sent: { prompt: 'hi' },
    },
    { sentence: 'several prompts have no one prefix', path: text, body: { prompt: ['a', 'b'] }, sent: null },
    { sentence: 'an empty list of prompts has no prefix', path: text, body: { prompt: [] }, sent: null },
    {
      sentence: 'an image is more than its text',
      path: chat,
      body: { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      sent: null,
    },
    {
      sentence: 'settings that no engine takes are not asked about',
      path: chat,
      body: { messages, tools: 'f' },
      sent: null,
    },
    {
      sentence: 'items of responses that are no texts are not asked about',
      path: '/v1/responses',
      body: { input: [{ type: 'reasoning' }] },
      sent: null,
    },
    { sentence: 'a body without a prompt is not asked about', path: text, body: { user: 'u' }, sent: null },
  ];
  it.each(cases)('$sentence', ({ path, body, sent }) => {
    const written = matchSortBody({ model: 'm', path, body, candidates: ['10.0.0.1:8000'] });
    expect(written === null ? null : JSON.parse(written)).toEqual(
      sent === null ? null : { model: 'm', ...sent, candidates: ['10.0.0.1:8000'] },
    );
  });

  it('leads the indexer to the same prompt', () => {
    const body = { messages, tools, chat_template_kwargs: { a: 1 }, add_generation_prompt: false, n: 2, stop: ['x'] };
    const written = matchSortBody({ model: 'm', path: chat, body, candidates: [] });
    const question = parseMatchSortQuestion(Buffer.from(written ?? ''));
    expect(askedOf({ path: chat, body: question.prompt.body ?? {} })).toEqual(askedOf({ path: chat, body }));
  });

  it('is not asked about messages that are nested too deeply to be written out', () => {
    const depth = 100_000;
    const deep: unknown = JSON.parse(`${'{"1":'.repeat(depth)}1${'}'.repeat(depth)}`);
    const body = { messages: [{ role: 'user', content: 'hi', deep }] };
    expect(matchSortBody({ model: 'm', path: chat, body, candidates: [] })).toBeNull();
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
