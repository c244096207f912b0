import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSimEngine, type SimEngine } from '../server.ts';

let engine: SimEngine;
beforeAll(async () => {
  engine = await startSimEngine({
    models: ['tiny', 'tiny-alias'],
    adapters: ['lora'],
    maxModelLength: 1024,
    speedUp: 1000,
  });
});
afterAll(() => engine.close());

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly allow: string | null;
  readonly body: string;
}

async function send(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const init = { method: 'POST', body: text, headers: { 'content-type': 'application/json', ...headers } };
  return read(await fetch(`http://${engine.address}${path}`, init));
}

async function get(path: string): Promise<Answer> {
  return read(await fetch(`http://${engine.address}${path}`));
}

async function read(response: Response): Promise<Answer> {
  const { status, headers } = response;
  return { status, type: headers.get('content-type'), allow: headers.get('allow'), body: await response.text() };
}

/** A real vLLM's answer: head and body as they came over the wire, chunks already joined. */
function captured(name: string): Answer {
  const text = readFileSync(new URL(`../testdata/${name}.txt`, import.meta.url), 'utf8').replaceAll('\r\n', '\n');
  const at = text.indexOf('\n\n');
  const head = text.slice(0, at);
  const header = (key: string): string | null => new RegExp(`^${key}: (.*)$`, 'm').exec(head)?.[1] ?? null;
  return {
    status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]),
    type: header('content-type'),
    allow: header('allow'),
    body: text.slice(at + 2),
  };
}

/** The value with every leaf replaced by its type, keys in order: what must agree with the real one. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.entries(value).map(([key, inner]) => [key, shape(inner)]);
}

function shapeOfJson(text: string): unknown {
  return shape(JSON.parse(text));
}

/** Data of each server-sent event. */
function events(body: string): string[] {
  return body
    .trim()
    .split('\n\n')
    .map((event) => event.replace(/^data: /, ''));
}

const hello = [{ role: 'user', content: 'hello license' }];

describe('whole answers have the keys, their order and their types of a real vLLM', () => {
  const cases: [string, string, unknown][] = [
    ['chat', '/v1/chat/completions', { model: 'tiny', messages: hello, max_tokens: 8 }],
    ['completion_ids', '/v1/completions', { model: 'tiny', prompt: [1, 2, 3, 4], max_tokens: 2 }],
    ['responses', '/v1/responses', { model: 'tiny', input: 'hello', max_output_tokens: 4 }],
    ['detokenize', '/detokenize', { model: 'tiny', tokens: [1, 2, 3] }],
  ];
  test.each(cases)('%s', async (name, path, body) => {
    const real = captured(name);
    const ours = await send(path, body);
    expect([ours.status, ours.type]).toEqual([200, real.type]);
    expect(shapeOfJson(ours.body)).toEqual(shapeOfJson(real.body));
  });

  test('tokenize', async () => {
    const ours = await send('/tokenize', { model: 'tiny', prompt: 'hello you' });
    expect(shapeOfJson(ours.body)).toEqual(shapeOfJson(captured('tokenize').body));
    const chat = await send('/tokenize', { messages: hello, return_token_strs: true });
    expect(shapeOfJson(chat.body)).toEqual(shapeOfJson(captured('tokenize_chat').body));
  });

  test('tokenize ends a chat with its last message where no opening of an answer is asked for', async () => {
    const tokensOf = async (body: object): Promise<number[]> =>
      (JSON.parse((await send('/tokenize', { messages: hello, ...body })).body) as { tokens: number[] }).tokens;
    const [opened, closed] = [await tokensOf({}), await tokensOf({ add_generation_prompt: false })];
    expect(await tokensOf({ add_generation_prompt: true })).toEqual(opened);
    expect(closed.length).toBeLessThan(opened.length);
    expect(opened.slice(0, closed.length)).toEqual(closed);
  });

  test('models', async () => {
    const ours = await get('/v1/models');
    expect(shapeOfJson(ours.body)).toEqual(shapeOfJson(captured('models').body));
    const ids = (JSON.parse(ours.body) as { data: { id: string; parent: string | null }[] }).data;
    expect(ids.map(({ id, parent }) => [id, parent])).toEqual([
      ['tiny', null],
      ['tiny-alias', null],
      ['lora', 'tiny'],
    ]);
  });
});

describe('streams have the events of a real vLLM', () => {
  const chat = { model: 'tiny', messages: hello, stream: true };
  const usage = { include_usage: true };
  const cases: [string, string, unknown][] = [
    ['chat_stream', '/v1/chat/completions', { ...chat, max_tokens: 4, stream_options: usage }],
    [
      'chat_stream_cont',
      '/v1/chat/completions',
      { ...chat, max_tokens: 3, stream_options: { ...usage, continuous_usage_stats: true } },
    ],
    ['completion_stream', '/v1/completions', { model: 'tiny', prompt: 'hello', max_tokens: 3, stream: true }],
  ];
  test.each(cases)('%s', async (name, path, body) => {
    const real = captured(name);
    const ours = await send(path, body);
    expect([ours.status, ours.type]).toEqual([200, real.type]);
    const [theirs, mine] = [events(real.body), events(ours.body)];
    expect(mine.at(-1)).toBe('[DONE]');
    expect(mine.slice(0, -1).map(shapeOfJson)).toEqual(theirs.slice(0, -1).map(shapeOfJson));
  });

  test('/v1/responses names its events, numbers them and ends without a mark', async () => {
    const { body } = await send('/v1/responses', { input: 'hello', max_output_tokens: 2, stream: true });
    const parsed = body
      .trim()
      .split('\n\n')
      .map((event) => {
        const [name, data] = event.split('\n');
        const value = JSON.parse(data.replace('data: ', '')) as { type: string; sequence_number: number };
        expect(name).toBe(`event: ${value.type}`);
        return value;
      });
    expect(parsed.map((event) => event.sequence_number)).toEqual(parsed.map((_, i) => i));
    expect(parsed.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'incomplete',
    ]);
  });

  test('every choice of several prompts gets its own tokens', async () => {
    const { body } = await send('/v1/completions', { prompt: ['a', 'b'], n: 2, max_tokens: 3, stream: true });
    const indexes = events(body)
      .slice(0, -1)
      .map((event) => (JSON.parse(event) as { choices: { index: number }[] }).choices[0].index);
    expect(indexes.sort()).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
  });
});

describe('errors are those of a real vLLM, byte for byte', () => {
  const chat = '/v1/chat/completions';
  const cases: [string, () => Promise<Answer>][] = [
    ['err_404', () => get('/nothing')],
    ['err_405', () => get(chat)],
    ['err_ctype', () => send(chat, '{}', { 'content-type': 'text/plain' })],
    ['err_json', () => send(chat, '{"model":"tiny",}')],
    ['err_long', () => send('/v1/completions', { prompt: 'x'.repeat(5_000) })],
    ['err_maxtok', () => send(chat, { messages: hello, max_tokens: 5_000 })],
    ['err_missing', () => send(chat, { model: 'tiny' })],
    ['err_model', () => send(chat, { model: 'nope', messages: hello })],
    ['err_temp', () => send(chat, { messages: hello, temperature: -1 })],
    ['err_type', () => send(chat, { messages: 'hi', max_tokens: 'x' })],
  ];
  test.each(cases)('%s', async (name, call) => {
    const ours = await call();
    const real = captured(name);
    // The captured server had no adapter.
    expect({ ...ours, body: ours.body.replace(', lora.', '.') }).toEqual({ ...real, body: real.body.trimEnd() });
  });

  const own: [string, string, unknown, string][] = [
    ['an empty prompt', '/v1/completions', { prompt: '' }, 'cannot be empty'],
    ['a prompt that is no text', '/v1/completions', { prompt: { a: 1 } }, 'body.prompt'],
    ['a body that is no object', chat, '[]', 'valid dictionary'],
    ['no output at all', chat, { messages: hello, max_tokens: 0 }, 'must be at least 1'],
    [
      'prompt and output too long together',
      '/v1/completions',
      { prompt: 'x'.repeat(4_000), max_tokens: 500 },
      '1500 tokens',
    ],
    ['a fraction of a token', chat, { messages: hello, max_tokens: 1.5 }, 'fractional part'],
  ];
  test.each(own)('%s is a 400', async (_name, path, body, words) => {
    const { status, body: text } = await send(path, body);
    expect(status).toBe(400);
    expect(text).toContain(words);
  });
});

describe('a request', () => {
  test('carries its id into the answer', async () => {
    const { body } = await send('/v1/completions', { prompt: 'a' }, { 'x-request-id': 'a' });
    expect(JSON.parse(body)).toMatchObject({ id: 'cmpl-a' });
  });

  test('without a model, or by an alias, is answered by the base model', async () => {
    for (const model of [undefined, 'tiny-alias']) {
      const { status, body } = await send('/v1/completions', { model, prompt: 'a', max_tokens: 1 });
      expect([status, (JSON.parse(body) as { model: string }).model]).toEqual([200, 'tiny']);
    }
  });

  test('with an adapter, sampling wishes and transfer parameters is answered', async () => {
    const body = {
      model: 'lora',
      prompt: 'a',
      ignore_eos: true,
      temperature: 0.5,
      kv_transfer_params: {},
      max_tokens: 1,
    };
    const answer = await send('/v1/completions', body);
    expect([answer.status, (JSON.parse(answer.body) as { model: string }).model]).toEqual([200, 'lora']);
  });

  test('repeated tells how much of its prompt was cached', async () => {
    const body = { prompt: 'y'.repeat(400), max_tokens: 1 };
    await send('/v1/completions', body);
    const { body: text } = await send('/v1/completions', body);
    expect(JSON.parse(text)).toMatchObject({
      usage: { prompt_tokens: 100, prompt_tokens_details: { cached_tokens: 96 } },
    });
  });

  test('for chat without a limit stops by itself after 128 tokens', async () => {
    const { body } = await send('/v1/chat/completions', { messages: hello });
    expect(JSON.parse(body)).toMatchObject({ choices: [{ finish_reason: 'stop' }], usage: { completion_tokens: 128 } });
  });

  test('for embeddings gets one vector for each input', async () => {
    const { body } = await send('/v1/embeddings', { input: ['a', 'b', 'a'] });
    const { data } = JSON.parse(body) as { data: { embedding: number[] }[] };
    expect(data.length).toBe(3);
    expect(data[2].embedding).toEqual(data[0].embedding);
    expect(data[1].embedding).not.toEqual(data[0].embedding);
    expect(Math.hypot(...data[0].embedding)).toBeCloseTo(1, 9);
  });
});

test('/metrics speaks the names that routers read, each with its type before it', async () => {
  const { body, type } = await get('/metrics');
  expect(type).toContain('text/plain');
  const names = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  for (const line of names) expect(line).toMatch(/^vllm:[a-z_]+\{[^}]+\} [0-9.e+-]+$/);
  const text = readFileSync(new URL('../testdata/metrics-names.txt', import.meta.url), 'utf8');
  for (const declaration of text.trim().split('\n')) expect(body).toContain(declaration);
  expect(body).toMatch(/vllm:num_requests_waiting\{engine="0",model_name="tiny"\} 0\n/);
  expect(body).toMatch(/vllm:cache_config_info\{.*block_size="16".*num_gpu_blocks="32769".*\} 1\n/);
});

describe('/metrics names adapters as vLLM does', () => {
  /** The declaration, and what stands in the sample of an engine with these adapters after `act`. */
  async function loraOf(adapters: readonly string[], act?: (address: string) => Promise<unknown>): Promise<string[]> {
    const own = await startSimEngine({ models: ['tiny'], adapters });
    try {
      await act?.(own.address);
      const text = await (await fetch(`http://${own.address}/metrics`)).text();
      const lines = text.split('\n').filter((line) => line.includes('vllm:lora_requests_info'));
      return lines.map((line) => line.replace(/ \d{10}(\.\d+)?$/, ' NOW'));
    } finally {
      await own.close();
    }
  }

  const declared = [
    '# HELP vllm:lora_requests_info Running stats on lora requests.',
    '# TYPE vllm:lora_requests_info gauge',
  ];
  const sample = (names: string): string =>
    `vllm:lora_requests_info{max_lora="2",running_lora_adapters="${names}",waiting_lora_adapters="${names}"} NOW`;
  const complete = (address: string, model: string, max_tokens: number): Promise<Response> =>
    fetch(`http://${address}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt: 'a', max_tokens, stream: true }),
    });

  test.each<[string, readonly string[], string[]]>([
    ['not at all where it has none', [], []],
    ['without a sample before its first request', ['sql', 'chat'], declared],
  ])('%s', async (_name, adapters, expected) => {
    expect(await loraOf(adapters)).toEqual(expected);
  });

  test('in both lists, with the time as the value, while one has a request', async () => {
    const busy = await loraOf(['sql', 'chat'], async (address) => {
      await complete(address, 'sql', 10_000);
      await complete(address, 'tiny', 10_000);
    });
    expect(busy).toEqual([...declared, sample('sql')]);
    const over = await loraOf(['sql', 'chat'], async (address) => (await complete(address, 'sql', 1)).text());
    expect(over).toEqual([...declared, sample('')]);
  });
});
