import fc from 'fast-check';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { QuestionError } from './errors.ts';
import { parseHitRateQuestion, parseMatchSortQuestion } from './question.ts';
import { hitRateQuestion, matchSortQuestions } from './schema.ts';

const bytes = (body: unknown): Buffer => Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));

function refusal(parse: (bytes: Buffer) => unknown, body: unknown): string {
  try {
    parse(bytes(body));
  } catch (error) {
    if (error instanceof QuestionError) return `${error.code} ${error.param ?? '-'}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}

describe('a question of /match_sort', () => {
  it('may be token ids', () => {
    const question = parseMatchSortQuestion(bytes({ model: 'm', token_ids: [0, 5, 0xffff_ffff] }));
    expect(question).toMatchObject({ model: 'm', salt: '', blockSize: null, candidates: null });
    expect(question.prompt.tokens).toEqual(Uint32Array.of(0, 5, 0xffff_ffff));
  });

  it.each([
    ['text', { prompt: 'é' }],
    ['a chat', { messages: [{ role: 'user', content: 'a' }], tools: [{ type: 'function' }] }],
  ])('may be %s, which goes to a tokenizer whole', (_name, prompt) => {
    const { prompt: asked } = parseMatchSortQuestion(bytes({ model: 'm', ...prompt }));
    expect(asked.tokens).toBeNull();
    expect(asked.body).toMatchObject(prompt);
  });

  it('may name a salt, a block size and candidates; null is left out', () => {
    const more = { cache_salt: 's', block_size: 16, candidates: ['10.0.0.1:8000', 'pod-1', 'pod-1'] };
    const question = parseMatchSortQuestion(bytes({ model: 'm', prompt: 'a', messages: null, ...more }));
    expect(question).toMatchObject({ salt: 's', blockSize: 16, candidates: new Set(['10.0.0.1:8000', 'pod-1']) });
    const nulls = { cache_salt: null, block_size: null, candidates: null };
    expect(parseMatchSortQuestion(bytes({ model: 'm', prompt: 'a', ...nulls }))).toMatchObject({
      salt: '',
      blockSize: null,
      candidates: null,
    });
  });

  const long = 'x'.repeat(1025);
  it.each<[string, unknown, string]>([
    ['no JSON', '{"model": "m", "prompt": "secret', 'invalid_json -: the body is not valid JSON'],
    ['no object', '["m"]', 'invalid_json -: the body must be a JSON object'],
    ['no model', { prompt: 'a' }, 'missing_model model: you must name a model'],
    ['an empty model', { model: '', prompt: 'a' }, 'missing_model model: you must name a model'],
    ['a model of another type', { model: 7, prompt: 'a' }, 'invalid_value model: model must be a string'],
    ['a model that is too long', { model: long, prompt: 'a' }, 'invalid_value model: model must not be longer'],
    ['no prompt', { model: 'm' }, 'invalid_value prompt: prompt must be the only one'],
    ['two prompts', { model: 'm', prompt: 'a', token_ids: [] }, 'invalid_value token_ids: token_ids must be the only'],
    ['a list as text', { model: 'm', prompt: [1, 2] }, 'invalid_value prompt: prompt must be a string; token ids go'],
    [
      'no messages in the list',
      { model: 'm', messages: [] },
      'invalid_value messages: messages must be a list of chat',
    ],
    ['text as messages', { model: 'm', messages: 'secret' }, 'invalid_value messages: messages must be'],
    ['a message that is none', { model: 'm', messages: ['secret'] }, 'invalid_value messages: messages must be'],
    ['text as token ids', { model: 'm', token_ids: 'secret' }, 'invalid_value token_ids: token_ids must be a list'],
    ['a fraction as token', { model: 'm', token_ids: [1, 1.5] }, 'invalid_value token_ids: token_ids must hold whole'],
    ['a negative token', { model: 'm', token_ids: [-1] }, 'invalid_value token_ids: token_ids must hold whole'],
    [
      'a token over 32 bits',
      { model: 'm', token_ids: [2 ** 32] },
      'invalid_value token_ids: token_ids must hold whole',
    ],
    ['a block size of 0', { model: 'm', prompt: 'a', block_size: 0 }, 'invalid_value block_size: block_size must be'],
    ['a salt of another type', { model: 'm', prompt: 'a', cache_salt: 1 }, 'invalid_value cache_salt: cache_salt must'],
    [
      'candidates as text',
      { model: 'm', prompt: 'a', candidates: 'p' },
      'invalid_value candidates: candidates must be',
    ],
    ['a candidate as number', { model: 'm', prompt: 'a', candidates: ['a', 1] }, 'invalid_value candidates[1]: cand'],
    ['too many candidates', { model: 'm', prompt: 'a', candidates: Array(4097).fill('a') }, 'invalid_value candidates'],
  ])('is refused with %s, and nothing of a prompt is told', (_name, body, expected) => {
    const told = refusal(parseMatchSortQuestion, body);
    expect(told.slice(0, expected.length)).toBe(expected);
    expect(told).not.toContain('secret');
  });

  it('is taken where exactly one schema of the API description takes it', () => {
    const part = fc.oneof(
      fc.constantFrom<unknown>(
        '',
        'a',
        0,
        1,
        16,
        -1,
        1.5,
        true,
        {},
        [],
        ['a'],
        [1],
        [1.5],
        [{}],
        [{ role: 'user' }],
        [-1],
      ),
      fc.string(),
    );
    const names = ['model', 'prompt', 'messages', 'token_ids', 'block_size', 'cache_salt', 'candidates'];
    const bodies = fc.dictionary(fc.constantFrom(...names), part, { maxKeys: 3 });
    const given = fc.tuple(bodies, fc.boolean()).map(([body, named]) => (named ? { ...body, model: 'm' } : body));
    let taken = 0;
    fc.assert(
      fc.property(given, (body) => {
        const fits = Object.values(matchSortQuestions).filter((schema) => Value.Check(schema, body)).length;
        // The schemas are open, so that a body with two prompts fits only those whose own field is right.
        const prompts = ['prompt', 'messages', 'token_ids'].filter((name) => Object.hasOwn(body, name)).length;
        const accepted = refusal(parseMatchSortQuestion, body) === 'accepted';
        taken += accepted ? 1 : 0;
        expect(accepted).toBe(fits === 1 && prompts === 1);
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(10);
  });
});

describe('a question of /kv-cache/hit-rate', () => {
  it('is about token ids only', () => {
    expect(refusal(parseHitRateQuestion, { model: 'm', prompt: 'a' })).toContain(
      'invalid_value token_ids: token_ids must',
    );
    const body = { model: 'm', token_ids: [1, 2], block_size: 16, cache_salt: 's', candidates: [] };
    expect(parseHitRateQuestion(bytes(body)).prompt.tokens).toEqual(Uint32Array.of(1, 2));
    expect(Value.Check(hitRateQuestion, body)).toBe(true);
  });
});
