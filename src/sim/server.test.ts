import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { noFault, type Fault } from './faults.ts';
import { SimEngineOptionError, startSimEngine, type SimEngine, type SimEngineOptions } from './server.ts';

const started: SimEngine[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((engine) => engine.close()));
});

async function start(options: Partial<SimEngineOptions> = {}): Promise<SimEngine> {
  const engine = await startSimEngine({ models: ['tiny'], speedUp: 1000, ...options });
  started.push(engine);
  return engine;
}

interface Ask {
  readonly prompt?: string;
  readonly max_tokens?: number;
  readonly stream?: boolean;
}

function ask(engine: SimEngine, body: Ask = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`http://${engine.address}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'hello', max_tokens: 2, ...body }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function post(engine: SimEngine, path: string, body = ''): Promise<number> {
  const response = await fetch(`http://${engine.address}${path}`, { method: 'POST', body });
  await response.arrayBuffer();
  return response.status;
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 2, timeout: 5_000 }).toBe(true);
}

describe('a client that leaves', () => {
  test.each([true, false])('frees its blocks and is counted (stream: %s)', async (stream) => {
    const engine = await start({ speedUp: 1 });
    const leave = new AbortController();
    const answer = ask(engine, { prompt: 'x'.repeat(6_400), max_tokens: 20_000, stream }, leave.signal);
    if (stream) await (await answer).body?.getReader().read();
    await until(() => engine.engine.running === 1);
    expect(engine.engine.pool.used).toBeGreaterThan(0);
    leave.abort();
    if (!stream) await expect(answer).rejects.toThrow();
    await until(() => engine.state().aborted === 1);
    expect(engine.engine.pool.used).toBe(0);
    expect(engine.state().activeStreams).toBe(0);
  });
});

describe('a stream', () => {
  test('sends its head before its first token exists', async () => {
    const engine = await start({ speedUp: 1 });
    await post(engine, '/sleep');
    const answer = await ask(engine, { stream: true });
    expect(answer.status).toBe(200);
    expect(engine.engine.totals.generatedTokens).toBe(0);
    await post(engine, '/wake_up');
    expect(await answer.text()).toContain('[DONE]');
  });

  test('that is not read holds no text in memory and comes whole once it is', async () => {
    const engine = await start({ speedUp: 10_000 });
    // More than the system's buffers of both sockets take.
    const tokens = 100_000;
    const response = await openUnread(engine, tokens);
    await until(() => engine.state().finished === 1);
    expect(engine.state().activeStreams).toBe(1);
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(text.split('data: ').length - 1).toBe(tokens + 1);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  });
});

/** The response of a long stream whose body nobody reads yet. */
function openUnread(engine: SimEngine, tokens: number): Promise<IncomingMessage> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const [host, port] = engine.address.split(':');
  const headers = { 'content-type': 'application/json' };
  const call = request({ host, port, method: 'POST', path: '/v1/completions', headers }, resolve);
  call.end(JSON.stringify({ prompt: 'hello', max_tokens: tokens, stream: true }));
  return promise;
}

describe('a fault', () => {
  const fault = (type: Fault['type'], more: Partial<Fault> = {}): Fault => ({ ...noFault, type, ...more });

  test('"error" answers 500 and "unavailable" 503 in the shape of a real error, as often as asked', async () => {
    const engine = await start({ fault: fault('error', { count: 1 }) });
    const first = await ask(engine);
    expect([first.status, await first.json()]).toEqual([
      500,
      { error: { message: 'Internal server error', type: 'InternalServerError', param: null, code: 500 } },
    ]);
    expect((await ask(engine)).status).toBe(200);
    engine.setFault(fault('unavailable'));
    expect((await ask(engine)).status).toBe(503);
    expect(engine.state().requests).toBe(1);
  });

  test('"cut" resets a stream behind so many tokens', async () => {
    const engine = await start({ fault: fault('cut', { afterTokens: 3, count: 1 }) });
    const [host, port] = engine.address.split(':');
    const socket = connect(Number(port), host);
    const body = JSON.stringify({ prompt: 'hello', max_tokens: 10, stream: true });
    let text = '';
    const ended = Promise.withResolvers<unknown>();
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', ended.resolve).on('end', () => {
      ended.resolve('a clean end');
    });
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(await ended.promise).toMatchObject({ code: 'ECONNRESET' });
    expect(text.split('"text":').length - 1).toBe(3);
    await until(() => engine.state().activeStreams === 0);
    expect(await (await ask(engine, { stream: true })).text()).toContain('[DONE]');
  });

  test('"cut" resets an answer that does not stream', async () => {
    const engine = await start({ fault: fault('cut') });
    await expect(ask(engine)).rejects.toThrow();
  });

  test('"hang" takes requests and never answers, but is healthy', async () => {
    const engine = await start({ fault: fault('hang') });
    const leave = new AbortController();
    const answer = ask(engine, {}, leave.signal);
    const health = await fetch(`http://${engine.address}/health`);
    expect(health.status).toBe(200);
    expect(engine.state().requests).toBe(0);
    leave.abort();
    await expect(answer).rejects.toThrow();
  });

  test('"garbage" is no HTTP', async () => {
    const engine = await start({ fault: fault('garbage', { count: 1 }) });
    await expect(ask(engine)).rejects.toMatchObject({ cause: { name: 'HTTPParserError' } });
    expect((await ask(engine)).status).toBe(200);
  });

  test('"slow" stretches every step', async () => {
    const engine = await start({ fault: fault('slow', { factor: 10, count: 1 }) });
    await (await ask(engine, { max_tokens: 11 })).text();
    const slow = engine.state().requestSeconds;
    expect(slow).toBeCloseTo(0.06 + 10 * 0.063_5, 6);
    await (await ask(engine, { max_tokens: 11 })).text();
    expect(engine.state().requestSeconds - slow).toBeCloseTo(0.006 + 0.063_5, 6);
  });

  test('"refuse" turns connections away and comes back on the same port', async () => {
    const engine = await start();
    engine.setFault(fault('refuse', { seconds: 0.05 }));
    await expect(ask(engine)).rejects.toThrow();
    await expect.poll(async () => (await ask(engine).catch(() => null))?.status, { interval: 10 }).toBe(200);
  });

  test('"die" breaks what runs and never comes back', async () => {
    const death = Promise.withResolvers<void>();
    const engine = await start({ speedUp: 1, onDeath: death.resolve });
    const answer = await ask(engine, { stream: true, max_tokens: 1000 });
    expect(await post(engine, '/sim/fault', '{"type":"die"}')).toBe(200);
    await death.promise;
    await expect(answer.text()).rejects.toThrow();
    await expect(ask(engine)).rejects.toThrow();
  });

  test('set over HTTP is in force from then on; nonsense is a 400', async () => {
    const engine = await start();
    expect(await post(engine, '/sim/fault', '{"type":"error","count":2}')).toBe(200);
    await until(() => engine.state().requests === 0);
    expect((await ask(engine)).status).toBe(500);
    for (const body of ['{"type":"explode"}', '{}', '{"type":"cut","afterTokens":"x"}', 'x'])
      expect(await post(engine, '/sim/fault', body)).toBe(400);
  });
});

describe('sleep', () => {
  test('keeps /health at 200 while requests wait; /metrics and /is_sleeping tell', async () => {
    const engine = await start();
    await (await ask(engine, { prompt: 'z'.repeat(400) })).text();
    await post(engine, '/sleep');
    const answer = ask(engine);
    const paths = ['/health', '/is_sleeping', '/metrics'];
    const [health, asleep, metrics] = await Promise.all(paths.map((path) => fetch(`http://${engine.address}${path}`)));
    expect(health.status).toBe(200);
    expect(await asleep.json()).toEqual({ is_sleeping: true });
    expect(await metrics.text()).toContain('sleep_state="awake"} 0');
    expect(engine.state().cachedBlocks).toBe(0);
    await post(engine, '/wake_up');
    expect((await answer).status).toBe(200);
  });
});

test('a key is asked for under /v1 only', async () => {
  const engine = await start({ apiKey: 'secret' });
  const models = `http://${engine.address}/v1/models`;
  const refused = await fetch(models);
  expect([refused.status, await refused.json()]).toEqual([401, { error: 'Unauthorized' }]);
  expect((await fetch(models, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
  expect((await fetch(`http://${engine.address}/health`)).status).toBe(200);
});

test('/kv_event_sources names the real endpoints, and nothing without events', async () => {
  const silent = await start();
  const loud = await start({ kvEvents: { events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' } });
  const sources = async ({ address }: SimEngine): Promise<unknown> =>
    (await fetch(`http://${address}/kv_event_sources`)).json();
  expect(await sources(silent)).toEqual({});
  expect(await sources(loud)).toMatchObject({
    '0': { endpoint: loud.kvEvents?.events, replay_endpoint: loud.kvEvents?.replay, topic: 'kv-events' },
  });
  expect(loud.kvEvents?.events).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
});

describe('options that contradict each other are refused', () => {
  const cases: [string, Partial<SimEngineOptions>][] = [
    ['no model', { models: [] }],
    ['a model longer than the cache', { service: { kvTokens: 1_600 }, maxModelLength: 2_000 }],
    ['a cache that is no whole number of blocks', { service: { kvTokens: 1_601 } }],
  ];
  test.each(cases)('%s', async (_name, options) => {
    await expect(start(options)).rejects.toThrow(SimEngineOptionError);
  });
});
