import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Envoy } from '../envoy/envoy.ts';
import { pickerIdle, startPicker } from '../envoy/picker.ts';
import { Client } from '../testkit/client.ts';
import { publishing } from '../testkit/indexer.ts';
import { policy } from '../testkit/manifests.ts';
import { metric, metricAt, reasonOf, startRouter, type RunningRouter } from '../testkit/router.ts';
import { settled, until } from '../testkit/until.ts';
import { install, RealEngine } from './real-engine.ts';

const model = 'tiny';
/** Tokens in a block: what vLLM's CPU build needs at least. */
const blockSize = 32;

const opened = new AsyncDisposableStack();
let engines: RealEngine[];
let router: RunningRouter;
let client: Client;

beforeAll(async () => {
  install();
  engines = await RealEngine.startAll([null, null]);
  for (const engine of engines) opened.defer(() => engine.kill());
  router = await startRouter(documents());
  opened.defer(() => router.stop());
  client = opened.adopt(new Client(router.proxy), (one) => one.close());
  await until('the events of both arrive', async () => (await metric(router, 'hermes_kv_event_streams', 'phase="live"')) === 2); // prettier-ignore
}, 900_000);

afterAll(() => opened.disposeAsync());

/** Both engines as one group that goes by their events. */
const documents = () => [
  publishing(model, engines, {
    models: [model],
    kvCache: { type: 'Events', tokenizer: { type: 'Engine', timeout: '5s' } },
  }),
  policy(model, { strategy: { type: 'KVAware' }, debug: { headers: true } }),
];

interface Turn {
  readonly endpoint: string;
  /** Cached tokens: what the router predicted, and what the engine counted. */
  readonly predicted: number;
  readonly cached: number;
  readonly answer: string;
}

interface Answered {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } | null };
}

async function chat(messages: readonly object[], fields: object = {}, by = client): Promise<Turn> {
  const body = { model, messages, max_tokens: 8, temperature: 0, ...fields };
  const { status, headers, text } = await by.post('/v1/chat/completions', body, {
    headers: { 'x-hermes-debug': '1' },
  });
  expect([status, text.slice(0, 300)]).toEqual([200, expect.stringContaining('{')]);
  const { choices, usage } = JSON.parse(text) as Answered;
  return {
    endpoint: String(headers['x-hermes-endpoint']),
    predicted: Number(headers['x-hermes-cached-tokens']),
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    answer: choices[0].message.content,
  };
}

const words = (topic: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `${topic} of parser ${i}`).join(', ');
const system = (kind: number) => ({ role: 'system', content: words(`rule ${kind}`, 24) });
const user = (content: string) => ({ role: 'user', content });

type Pause = () => Promise<unknown>;
const none: Pause = () => Promise.resolve();
/** An engine's last event leaves it beside its answer, so that a machine's next question may overtake it. */
const atRest: Pause = () => settled('events rest', () => metric(router, 'hermes_kv_event_messages_total'), 60);

interface Way {
  readonly by?: Client;
  readonly fields?: object;
  /** Taken after each turn. */
  readonly pause?: Pause;
}

/** A conversation of so many turns, each with the engine's own answer before it. */
async function conversation(name: string, turns: number, { by, fields = {}, pause = none }: Way = {}): Promise<Turn[]> {
  const messages: object[] = [user(words(`story ${name}`, 16))];
  const taken: Turn[] = [];
  for (let i = 0; i < turns; i++) {
    const turn = await chat(messages, fields, by);
    taken.push(turn);
    await pause();
    messages.push({ role: 'assistant', content: turn.answer }, user(words(`and ${name} ${i}`, 4)));
  }
  return taken;
}

async function question(kind: number, text: string, pause: Pause): Promise<Turn[]> {
  const turn = await chat([system(kind), user(text)]);
  await pause();
  return [turn];
}

/** One round of mixed work: shared system prompts, a growing chat, and one of a tenant of its own. */
const round = (i: number, pause: Pause = none): (() => Promise<Turn[]>)[] => [
  () => question(i % 3, `question ${i}`, pause),
  () => question((i + 1) % 3, `other question ${i}`, pause),
  () => conversation(`c${i}`, 4, { pause }),
  () => conversation(`s${i % 2}`, 2, { pause, fields: { cache_salt: `tenant ${i % 2}` } }),
];

const right = (turns: readonly Turn[]): number =>
  turns.filter(({ predicted, cached }) => predicted === cached).length / turns.length;

describe('hits that real engines tell of', () => {
  it('are those that they count: 200 mixed requests, one at a time, in caches that hold a part of them', async () => {
    const turns: Turn[] = [];
    for (let i = 0; i < 25; i++) for (const work of round(i, atRest)) turns.push(...(await work()));
    const wrong = turns.filter(({ predicted, cached }) => predicted !== cached);
    expect(turns.length).toBe(200);
    expect(wrong).toEqual([]);
    expect(turns.filter(({ cached }) => cached > 0).length).toBeGreaterThanOrEqual(0.6 * turns.length);
    expect(await metric(router, 'hermes_kv_event_blocks_removed_total')).toBeGreaterThan(0);
    expect(new Set(turns.map(({ endpoint }) => endpoint)).size).toBe(2);
  }, 300_000);

  it('are those that they count with few exceptions where eight clients ask at once', async () => {
    const work = Array.from({ length: 25 }, (_, i) => round(100 + i)).flat();
    const turns: Turn[] = [];
    const one = async (): Promise<void> => {
      for (let next = work.shift(); next !== undefined; next = work.shift()) turns.push(...(await next()));
    };
    await Promise.all(Array.from({ length: 8 }, one));
    const errors = turns.map(({ predicted, cached }) => Math.abs(predicted - cached) / blockSize);
    const mean = errors.reduce((sum, error) => sum + error, 0) / turns.length;
    expect({ right: right(turns), mean }).toEqual({ right: expect.any(Number), mean: expect.any(Number) });
    expect(right(turns)).toBeGreaterThanOrEqual(0.95);
    expect(mean).toBeLessThanOrEqual(1);
  }, 300_000);

  it('send the second turn of a chat to where the first was', async () => {
    const before = await Promise.all(engines.map((engine) => engine.gauge('vllm:prefix_cache_hits_total')));
    const [first, second] = await conversation('second turn', 2);
    expect(second.endpoint).toBe(first.endpoint);
    const after = await Promise.all(engines.map((engine) => engine.gauge('vllm:prefix_cache_hits_total')));
    const gained = after.map((hits, i) => hits - before[i]);
    expect(gained[Number(first.endpoint.slice(1)) - 1]).toBeGreaterThanOrEqual(second.cached);
    expect(second.cached).toBeGreaterThan(0);
  });

  it('are those that they count behind a real Envoy and our picker, too, with streams and clients that leave', async () => {
    const picker = await startPicker(documents(), { pool: model });
    const envoy = await Envoy.start({ picker: picker.grpc, engines: engines.map(({ address }) => address) });
    const by = new Client(envoy.address);
    try {
      const live = () => metricAt(picker.metrics, 'hermes_kv_event_streams', 'phase="live"');
      await until('the events of both arrive', async () => (await live()) === 2);
      const pause = () => settled('events rest', () => metricAt(picker.metrics, 'hermes_kv_event_messages_total'), 60);
      const turns = await conversation('behind a gateway', 6, { by, pause });
      expect(turns.map(({ predicted }) => predicted)).toEqual(turns.map(({ cached }) => cached));
      expect(turns.at(-1)?.cached).toBeGreaterThan(0);
      expect(new Set(turns.map(({ endpoint }) => endpoint)).size).toBe(1);
      const whole = await (await by.stream(model, { max_tokens: 16 })).drain();
      expect(whole.events.at(-1)).toBe('[DONE]');
      const leaving = new AbortController();
      const stream = await by.stream(model, { max_tokens: 1000, ignore_eos: true }, { signal: leaving.signal });
      await stream.next();
      leaving.abort();
      const running = async () => Promise.all(engines.map((engine) => engine.gauge('vllm:num_requests_running')));
      await until('its engine has stopped', async () => (await running()).every((count) => count === 0));
      await pickerIdle(picker);
    } finally {
      await by.close();
      await envoy.stop();
      await picker.stop();
    }
  }, 120_000);

  it('are forgotten with an engine that dies, and told anew by the one that takes its place', async () => {
    const [first] = await conversation('survivor', 1);
    await engines[Number(first.endpoint.slice(1)) - 1].kill();
    await until('its stream is not live', async () => (await metric(router, 'hermes_kv_event_streams', 'phase="live"')) === 1); // prettier-ignore
    await until('it is known to be down', async () => (await reasonOf(router, model, first.endpoint)) === 'Unhealthy');
    const turns = await conversation('survivor', 3);
    expect(new Set(turns.map(({ endpoint }) => endpoint)).size).toBe(1);
    expect(turns[0].endpoint).not.toBe(first.endpoint);
    expect(right(turns)).toBe(1);
  });
});
