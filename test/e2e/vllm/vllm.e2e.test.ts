import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client, errorOf, type Answer } from '../testkit/client.ts';
import { group, policy } from '../testkit/manifests.ts';
import { get, idle, metric, reasonOf, startRouter, type RunningRouter } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { install, RealEngine } from './real-engine.ts';

const model = 'tiny';
/** Some 500 tokens of the small tokenizer. */
const long = Array.from({ length: 120 }, (_, i) => `argument ${i} of the parser`).join(', ');
/** The same answer every time: the model is random, but the same everywhere. */
const fixed = { temperature: 0, max_tokens: 16, messages: [{ role: 'user', content: 'Tell me a story.' }] };

const opened = new AsyncDisposableStack();
let engines: RealEngine[];
let router: RunningRouter;
let client: Client;
let direct: Client;

beforeAll(async () => {
  install();
  engines = await RealEngine.startAll([null, null]);
  for (const engine of engines) opened.defer(() => engine.kill());
  const addresses = engines.map((engine) => engine.address);
  router = await startRouter([
    group('real', addresses, { models: [] }),
    policy('real', { match: {}, debug: { headers: true } }),
  ]);
  opened.defer(() => router.stop());
  [client, direct] = [router.proxy, addresses[0]].map((address) =>
    opened.adopt(new Client(address), (one) => one.close()),
  );
}, 900_000);

afterAll(() => opened.disposeAsync());

const running = async (): Promise<number> => {
  const each = await Promise.all(engines.map((engine) => engine.gauge('vllm:num_requests_running')));
  return each.reduce((sum, count) => sum + count, 0);
};

describe('real engines', () => {
  it('are asked for the models that they serve', async () => {
    const { data } = JSON.parse((await client.get('/v1/models')).text) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(['tiny', 'tiny-alias']);
    expect((await client.chat('tiny-alias')).status).toBe(200);
  });

  it('give the same whole answer through the router as without it', async () => {
    const [through, alone] = [await client.chat(model, fixed), await direct.chat(model, fixed)];
    expect([through.status, alone.status]).toEqual([200, 200]);
    expect(choices(through)).toEqual(choices(alone));
    const prompt = { model, prompt: 'Once upon a time', temperature: 0, max_tokens: 16 };
    const text = await client.post('/v1/completions', prompt);
    expect(choices(text)).toEqual(choices(await direct.post('/v1/completions', prompt)));
  });

  it('give the same stream through the router as without it', async () => {
    const fields = { ...fixed, stream_options: { include_usage: true } };
    const texts = [];
    for (const one of [client, direct]) {
      const stream = await (await one.stream(model, fields)).drain();
      expect([stream.status, stream.broken, stream.events.at(-1)]).toEqual([200, false, '[DONE]']);
      expect(stream.events.at(-2)).toContain('"completion_tokens":16');
      texts.push(stream.events.slice(0, -1).map(deltaOf).join(''));
    }
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).not.toBe('');
  });

  it('talk to the OpenAI client', async () => {
    const openai = new OpenAI({ baseURL: `http://${router.proxy}/v1`, apiKey: 'sk-test', maxRetries: 0 });
    const messages = [{ role: 'user' as const, content: 'Hello.' }];
    const stream = await openai.chat.completions.create({ model, messages, max_tokens: 8, stream: true });
    let finish: string | null = null;
    for await (const chunk of stream) finish = chunk.choices[0]?.finish_reason ?? finish;
    expect(finish).not.toBeNull();
    const response = await openai.responses.create({ model, input: 'Hello.', max_output_tokens: 8 });
    expect(response.usage?.output_tokens).toBeGreaterThan(0);
  });

  it.each([
    ['a temperature below zero', { temperature: -1 }],
    ['too many tokens', { max_tokens: 100_000 }],
    ['a prompt that is too long', { messages: [{ role: 'user', content: long.repeat(10) }] }],
    ['a message without a role', { messages: [{ content: 'x' }] }],
  ])('explain in their own words what they refuse: %s', async (_name, fields) => {
    const answer = await client.chat(model, fields);
    expect(answer.status).toBe(400);
    expect(answer.text).toBe((await direct.chat(model, fields)).text);
    expect(answer.error.code).toBe(400);
  });

  it('are sent a known prompt again, and find it in their cache', async () => {
    const ask = (): Promise<Answer> =>
      client.chat(model, { messages: [{ role: 'user', content: long }] }, { headers: { 'x-hermes-debug': '1' } });
    const first = await ask();
    for (let i = 0; i < 5; i++) {
      const again = await ask();
      expect(again.headers['x-hermes-endpoint']).toBe(first.headers['x-hermes-endpoint']);
      expect(cachedTokens(again)).toBeGreaterThan(300);
    }
    expect(await metric(router, 'hermes_cached_tokens_total')).toBeGreaterThan(1500);
    expect(await metric(router, 'hermes_prefix_hit_ratio_real')).toBeGreaterThan(0);
  });

  it('have their load read while they work, and are let go when the client leaves', async () => {
    const stream = await client.stream(model, { max_tokens: 900, min_tokens: 900, ignore_eos: true });
    await stream.next();
    await until('an engine works', async () => (await running()) === 1);
    await until('the router sees the KV cache fill', async () => ((await usage()) ?? 0) > 0);
    stream.abandon();
    await until('no engine works', async () => (await running()) === 0);
    await idle(router);
    expect(await metric(router, 'hermes_scrape_age_seconds')).toBeLessThan(10);
  });

  // The last one: it leaves one engine.
  it('may die in mid-stream: an error event, and the other engine goes on', async () => {
    const headers = { 'x-hermes-debug': '1' };
    const stream = await client.stream(model, { max_tokens: 900, ignore_eos: true }, { headers });
    await stream.next();
    const name = String(stream.headers['x-hermes-endpoint']);
    await engines[Number(name.slice(1)) - 1].kill();
    await stream.drain();
    expect(stream.broken).toBe(true);
    expect(errorOf(stream.events.at(-1) ?? '')).toMatchObject({ type: 'upstream_error', code: 'upstream_reset' });
    for (let i = 0; i < 4; i++) expect((await client.chat(model)).status).toBe(200);
    await until('the router has noticed', async () => (await reasonOf(router, 'real', name)) === 'Unhealthy');
  });
});

function choices({ text }: Answer): unknown {
  return (JSON.parse(text) as { choices: unknown }).choices;
}

function deltaOf(event: string): string {
  const { choices } = JSON.parse(event) as { choices: { delta: { content?: string } }[] };
  return choices[0]?.delta.content ?? '';
}

function cachedTokens({ text }: Answer): number {
  const { usage } = JSON.parse(text) as { usage: { prompt_tokens_details: { cached_tokens: number } | null } };
  return usage.prompt_tokens_details?.cached_tokens ?? 0;
}

/** How full the KV caches are, in percent, as the router sees it. */
async function usage(): Promise<number | null> {
  const { text } = await get(`http://${router.admin}/api/v1/table`);
  const { groups } = JSON.parse(text) as { groups: { endpoints: { kvCachePercent: number | null } }[] };
  return groups[0].endpoints.kvCachePercent;
}
