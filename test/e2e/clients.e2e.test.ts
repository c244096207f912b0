import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { chatBody } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import { idle, startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, idleEngines, startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';

const run = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const model = 'org/chat';
const messages = [{ role: 'user' as const, content: 'Say something.' }];

let engines: SimEngine[];
let router: RunningRouter;
let url: string;

beforeAll(async () => {
  engines = await startEngines(2, model, { speedUp: 5 });
  const addresses = engines.map((engine) => engine.address);
  router = await startRouter([
    group('chat', addresses, { models: [] }),
    policy('chat', { match: {}, strategy: { type: 'RoundRobin' } }),
  ]);
  url = `http://${router.proxy}/v1`;
});

afterEach(async () => {
  await idle(router);
  await idleEngines(engines);
});

afterAll(async () => {
  await router.stop();
  await closeAll(engines);
});

describe('the OpenAI client for JavaScript', () => {
  let client: OpenAI;
  beforeAll(() => {
    client = new OpenAI({ baseURL: url, apiKey: 'sk-test', maxRetries: 0 });
  });

  it('chats, whole and streaming', async () => {
    const whole = await client.chat.completions.create({ model, messages, max_tokens: 5 });
    expect([whole.model, whole.usage?.completion_tokens]).toEqual([model, 5]);
    expect(whole.choices[0].message.content).not.toBe('');
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 5, ...options });
    let pieces = 0;
    let usage = 0;
    for await (const chunk of stream) {
      pieces += (chunk.choices[0]?.delta.content ?? '') === '' ? 0 : 1;
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect([pieces, usage]).toEqual([5, 5]);
  });

  it('completes, embeds and responds', async () => {
    const text = await client.completions.create({ model, prompt: 'Once upon a time', max_tokens: 3 });
    expect(text.usage?.completion_tokens).toBe(3);
    const embedding = await client.embeddings.create({ model, input: ['a', 'b'], encoding_format: 'float' });
    expect(embedding.data).toHaveLength(2);
    const response = await client.responses.create({ model, input: 'Say something.', max_output_tokens: 4 });
    expect(response.usage?.output_tokens).toBe(4);
    const types: string[] = [];
    const events = await client.responses.create({ model, input: 'Go on.', max_output_tokens: 4, stream: true });
    for await (const event of events) types.push(event.type);
    expect(types[0]).toBe('response.created');
    expect(types.filter((type) => type === 'response.output_text.delta')).toHaveLength(4);
  });

  it('lists models and finds one with a slash in its name', async () => {
    const listed: string[] = [];
    for await (const one of client.models.list()) listed.push(one.id);
    expect(listed).toEqual([model]);
    expect((await client.models.retrieve(model)).id).toBe(model);
  });

  it('throws the error that belongs to the status, with code and request id', async () => {
    const unknown = client.chat.completions.create({ model: 'none', messages });
    await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(unknown).rejects.toMatchObject({
      code: 'model_not_found',
      param: 'model',
      requestID: expect.any(String),
    });
    const wrong = client.chat.completions.create({ model, messages, max_tokens: -1 });
    await expect(wrong).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });

  it('throws in the middle of a stream when the engine dies there', async () => {
    for (const engine of engines) engine.setFault({ type: 'cut', count: 1, afterTokens: 3, factor: 1, seconds: 0 });
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 50, stream: true });
    const read = async (): Promise<void> => {
      for await (const chunk of stream) expect(chunk.choices).toHaveLength(1);
    };
    await expect(read()).rejects.toThrow();
    for (const engine of engines)
      engine.setFault({ type: 'none', count: Infinity, afterTokens: 0, factor: 1, seconds: 0 });
  });

  it('leaves a stream in the middle, and the engine stops', async () => {
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 100_000, stream: true });
    for await (const chunk of stream) {
      expect(chunk.model).toBe(model);
      break;
    }
    await until('the engine works for nobody', () => engines.every((engine) => engine.state().activeStreams === 0));
    expect(engines.reduce((sum, engine) => sum + engine.state().aborted, 0)).toBeGreaterThan(0);
  });
});

it('the OpenAI client for Python: sync, async and streaming', { timeout: 300_000 }, async () => {
  const environment = here('../../.cache/venv-openai');
  await run(here('openai-python/install.sh'), [environment]);
  const { stdout } = await run(`${environment}/bin/python`, [here('openai-python/exercise.py'), url, model]);
  expect(JSON.parse(stdout)).toEqual({
    sync: {
      whole: [model, 5, true],
      stream: [5, 5],
      text: 5,
      response: [true, true],
      events: ['response.created', true],
      embedding: 16,
      models: [model],
      one: model,
      error: ['NotFoundError', 'model_not_found', 'invalid_request_error', 'model', true],
    },
    async: { wholes: 100, pieces: 5 },
  });
});

describe('curl', () => {
  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['-sS', '--max-time', '20', ...args])).stdout;
  const post = ['-H', 'content-type: application/json', `--data-binary`];

  it('gets an answer, a stream, a large body through 100-continue, and an error it can show', async () => {
    const chat = (fields: object): string => JSON.stringify(chatBody(model, fields));
    const whole = JSON.parse(await curl(...post, chat({}), `${url}/chat/completions`)) as { object: string };
    expect(whole.object).toBe('chat.completion');
    const stream = await curl('-N', ...post, chat({ stream: true }), `${url}/chat/completions`);
    expect(stream.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const large = chat({ user: 'x'.repeat(100_000) });
    const expecting = await curl(
      '-H',
      'expect: 100-continue',
      '-w',
      '%{http_code}',
      '-o',
      '-',
      ...post,
      large,
      `${url}/chat/completions`,
    );
    expect(expecting.endsWith('200')).toBe(true);
    const error = await curl('-w', '%{http_code}', ...post, chat({ model: 'none' }), `${url}/chat/completions`);
    expect(error).toMatch(/model_not_found.*404$/s);
  });

  it('in HTTP/1.0 and with compression asked for gets plain text it understands', async () => {
    const body = JSON.stringify(chatBody(model));
    for (const option of ['--http1.0', '--compressed', '--http2']) {
      expect(await curl(option, ...post, body, `${url}/chat/completions`)).toContain('"chat.completion"');
    }
  });
});
