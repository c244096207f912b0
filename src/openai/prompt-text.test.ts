import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoutingError } from '../router/errors.ts';
import { Prompt } from '../router/prompt.ts';
import { parsePayload } from './payload.ts';
import { writePrompt } from './prompt-text.ts';

interface Keys {
  readonly tokens: number;
  readonly keys: number[];
}

function keysOf(json: string, prompt = new Prompt()): Keys {
  const payload = parsePayload(Buffer.from(json));
  writePrompt(payload, payload.model, prompt);
  const blocks = prompt.blocks();
  return { tokens: prompt.tokens, keys: [...prompt.keys.subarray(0, 2 * blocks)] };
}

const of = (body: unknown): Keys => keysOf(JSON.stringify(body));

/** The same JSON with every character outside ASCII as an escape. */
function escaped(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Text long enough for several blocks. */
const long = (seed: string): string => `${seed} `.repeat(200);

describe('writePrompt', () => {
  const spellings: [string, unknown][] = [
    ['a prompt', { model: 'm', prompt: long('grüße €') }],
    ['messages', { model: 'm', messages: [{ role: 'user', content: long('日本語') }] }],
    ['tools', { model: 'm', tools: [{ function: { name: 'f', description: long('ö') } }], prompt: long('x') }],
    ['a cache salt', { model: 'm', cache_salt: 'sälz', prompt: long('x') }],
    ['a model name', { model: 'modèle', prompt: long('x') }],
    ['parts of a message', { model: 'm', messages: [{ role: 'user', content: [{ type: 'text', text: long('é') }] }] }],
    ['pictures in a message', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: long('é') }] }] }],
    ['characters of four bytes', { model: 'm', prompt: long('𝄞') }],
  ];
  it.each(spellings)('gives %s the same keys in both spellings of JSON', (_name, body) => {
    const json = JSON.stringify(body);
    const plain = keysOf(json);
    expect(plain.keys.length).toBeGreaterThan(2);
    expect(keysOf(escaped(json).replace('{', '{"\\u0061":0,'))).toEqual(plain);
  });

  it('gives any text the same keys in both spellings of JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const json = JSON.stringify({ model: 'm', prompt: text.repeat(300) });
        expect(keysOf(escaped(json))).toEqual(keysOf(json));
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the keys of a conversation as it grows', () => {
    const system = { role: 'system', content: long('you are kind') };
    const turns = [
      { role: 'user', content: long('question') },
      { role: 'assistant', content: long('answer') },
      { role: 'user', content: [{ type: 'text', text: long('another') }] },
    ];
    let before = of({ model: 'm', messages: [system] }).keys;
    turns.forEach((_turn, i) => {
      const { keys } = of({ model: 'm', messages: [system, ...turns.slice(0, i + 1)] });
      expect(keys.length).toBeGreaterThan(before.length);
      expect(keys.slice(0, before.length)).toEqual(before);
      before = keys;
    });
  });

  const different: [string, unknown, unknown][] = [
    ['models', { model: 'a', prompt: long('x') }, { model: 'b', prompt: long('x') }],
    ['salts', { cache_salt: 'a', prompt: long('x') }, { cache_salt: 'b', prompt: long('x') }],
    ['tools', { tools: [{ name: 'a' }], prompt: long('x') }, { tools: [{ name: 'b' }], prompt: long('x') }],
    ['instructions', { instructions: 'a', input: long('x') }, { instructions: 'b', input: long('x') }],
    ['roles', { messages: [{ role: 'user', content: long('x') }] }, { messages: [{ role: 'system', content: long('x') }] }],
    ['first messages', { messages: [{ content: 'a' }, { content: long('x') }] }, { messages: [{ content: 'b' }, { content: long('x') }] }],
    ['pictures', { messages: [{ content: [{ image_url: 'a' }, { text: long('x') }] }] }, { messages: [{ content: [{ image_url: 'b' }, { text: long('x') }] }] }],
    ['tool calls', { messages: [{ tool_calls: ['a'] }, { content: long('x') }] }, { messages: [{ tool_calls: ['b'] }, { content: long('x') }] }],
    ['token ids', { prompt: Array(99).fill(1) }, { prompt: Array(99).fill(2) }],
    ['lists of token ids as a prompt', { prompt: [Array(99).fill(1)] }, { prompt: [Array(99).fill(2)] }],
    ['lists of token ids as an input', { input: [Array(99).fill(1)] }, { input: [Array(99).fill(2)] }],
    ['lists of texts', { prompt: ['a', long('x')] }, { prompt: ['b', long('x')] }],
    ['outputs of functions', { input: [{ type: 'function_call_output', output: 'a' }, { content: long('x') }] }, { input: [{ type: 'function_call_output', output: 'b' }, { content: long('x') }] }],
    ['inputs', { input: 'a' + long('x') }, { input: 'b' + long('x') }],
    ['input messages', { input: [{ role: 'user', content: 'a' + long('x') }] }, { input: [{ role: 'user', content: 'b' + long('x') }] }],
  ]; // prettier-ignore
  it.each(different)('gives different %s different keys from the first block on', (_name, a, b) => {
    const first = of(a).keys;
    const second = of(b).keys;
    expect(first.length).toBeGreaterThan(2);
    expect(second).toHaveLength(first.length);
    expect(second.slice(0, 2)).not.toEqual(first.slice(0, 2));
  });

  const lengths: [string, unknown, number][] = [
    ['nothing as one', {}, 1],
    ['four bytes of text as one', { prompt: 'x'.repeat(400) }, 100],
    ['token ids exactly', { prompt: [1, 2, 3, 151643] }, 4],
    ['lists of token ids exactly', { prompt: [[1, 2], [3]] }, 3],
    ['lists of token ids in an input exactly', { input: [[1, 2], [3]] }, 3],
    ['a list of texts by their bytes', { input: ['x'.repeat(40), 'y'.repeat(40)] }, 20],
    ['no token for what is neither text nor token', { prompt: [1.5, null, {}] }, 1],
  ];
  it.each(lengths)('counts %s', (_name, body, tokens) => {
    expect(of(body).tokens).toBe(tokens);
  });

  const odd: [string, unknown][] = [
    ['messages that are no objects', { messages: [1, null, 'x', [], { role: 7, content: 7 }] }],
    ['parts that are no objects', { messages: [{ content: [1, null, 'x', { text: 5 }] }] }],
    ['a prompt that is an object', { prompt: { a: 1 } }],
    ['an empty input', { input: [] }],
    ['a salt that is no string', { cache_salt: 5 }],
    ['tools of null', { tools: null }],
  ];
  it.each(odd)('takes %s: engines judge that', (_name, body) => {
    expect(of(body).tokens).toBeGreaterThan(0);
  });

  it('refuses tools that are nested deeper than any engine reads', () => {
    const depth = 200_000;
    const json = `{"tools":${'{"1":'.repeat(depth)}1${'}'.repeat(depth)}}`;
    expect(() => keysOf(json)).toThrow(RoutingError);
  });

  it('leaves nothing of one prompt in the next', () => {
    const prompt = new Prompt();
    keysOf(JSON.stringify({ prompt: long('first') }), prompt);
    const json = JSON.stringify({ prompt: long('second') });
    expect(keysOf(json, prompt)).toEqual(keysOf(json));
  });
});
