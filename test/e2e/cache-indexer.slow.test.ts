import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimEngine, SimEngineOptions } from '../../src/sim/server.ts';
import { Client } from './testkit/client.ts';
import { publishing, RunningIndexer, type Published } from './testkit/indexer.ts';
import { group, type Document } from './testkit/manifests.ts';
import { HermesProcess } from './testkit/process.ts';
import { get } from './testkit/router.ts';
import { closeAll, EngineProcess, startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';
import { quietPort } from './testkit/ports.ts';

let engines: SimEngine[];
let processes: EngineProcess[];
let clients: Client[];
let indexer: RunningIndexer | null;
let folder: string;
beforeEach(() => {
  engines = [];
  processes = [];
  clients = [];
  indexer = null;
  folder = mkdtempSync(join(tmpdir(), 'hermes-e2e-indexer-'));
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await indexer?.close();
  await closeAll([...engines, ...processes]);
  rmSync(folder, { recursive: true });
});

const anywhere = 'tcp://127.0.0.1:0';

async function publishers(count: number, model: string, options: Partial<SimEngineOptions> = {}): Promise<SimEngine[]> {
  const kvEvents = { events: anywhere, replay: anywhere };
  const started = await startEngines(count, model, { speedUp: 100, kvEvents, ...options });
  engines.push(...started);
  return started;
}

async function serve(documents: readonly Document[], flags: readonly string[] = []): Promise<RunningIndexer> {
  indexer = await RunningIndexer.start(documents, flags);
  return indexer;
}

interface Sent {
  readonly prompt: number;
  readonly cached: number;
}

/** Sends a request straight to an engine; what it says of its prompt. */
async function send(engine: { readonly address: string }, path: string, body: object): Promise<Sent> {
  const client = new Client(engine.address);
  clients.push(client);
  const { status, text } = await client.post(path, { max_tokens: 1, ...body });
  expect(status, text).toBe(200);
  const { usage } = JSON.parse(text) as {
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
  };
  return { prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details.cached_tokens };
}

const chat = (engine: { readonly address: string }, body: object): Promise<Sent> =>
  send(engine, '/v1/chat/completions', body);

const tokens = (length: number, from = 1): number[] => Array.from({ length }, (_, i) => from + i);
const words = (count: number, from = 0): string => Array.from({ length: count }, (_, i) => `word${from + i}`).join(' ');
const said = (text: string): object[] => [{ role: 'user', content: text }];

describe('/match_sort', () => {
  it('tells what engines have: as many tokens as they then find themselves', async () => {
    const [a, b] = await publishers(2, 'm');
    const { matched, matches } = bound(await serve([publishing('m', [a, b])]));
    const messages = [{ role: 'system', content: words(100) }, ...said('one')];
    expect(await matches({ model: 'm', messages })).toMatchObject({ matches: [{ hit_rate: 0 }, { hit_rate: 0 }] });
    await chat(a, { model: 'm', messages });
    const grown = [...messages, { role: 'assistant', content: words(20, 500) }, ...said('two')];
    const question = { model: 'm', messages: grown };
    await until('the hit is seen', async () => (await matched(question)).e1 > 0);
    const answer = await matches(question);
    expect(answer.matches.map(({ pod, address }) => [pod, address])).toEqual([
      ['e1', a.address],
      ['e2', b.address],
    ]);
    const { prompt, cached } = await chat(a, { model: 'm', messages: grown });
    const [best, other] = answer.matches;
    expect(answer).toMatchObject({ model: 'm', block_size: 16, tokens: prompt });
    expect(best).toMatchObject({ matched_tokens: cached, hit_rate: cached / prompt, tiers: { gpu: cached } });
    expect(other).toMatchObject({ matched_tokens: 0, hit_rate: 0, tiers: { gpu: 0, cpu: 0, disk: 0 } });
  });

  it('takes token ids, text, salts and LoRA adapters as the engines do', async () => {
    const [a] = await publishers(1, 'm', { adapters: ['tuned'] });
    const { matched } = bound(await serve([publishing('m', [a])]));
    const completions = '/v1/completions';
    await send(a, completions, { model: 'm', prompt: tokens(64) });
    await send(a, completions, { model: 'm', prompt: words(40) });
    await send(a, completions, { model: 'm', prompt: tokens(64, 1000), cache_salt: 'salt' });
    await send(a, completions, { model: 'tuned', prompt: tokens(64, 2000) });
    const asked = (question: object) => matched({ model: 'm', ...question });
    await until('the last is seen', async () => (await asked({ model: 'tuned', token_ids: tokens(64, 2000) })).e1 > 0);
    // The last block of a prompt that is cached whole is computed all the same, for its last token.
    expect(await asked({ token_ids: tokens(64) })).toEqual({ e1: 48 });
    expect(await asked({ token_ids: tokens(65) })).toEqual({ e1: 64 });
    const { cached } = await send(a, completions, { model: 'm', prompt: words(40) });
    expect(cached).toBeGreaterThan(0);
    expect(await asked({ prompt: words(40) })).toEqual({ e1: cached });
    expect(await asked({ token_ids: tokens(65, 1000) })).toEqual({ e1: 0 });
    expect(await asked({ token_ids: tokens(65, 1000), cache_salt: 'salt' })).toEqual({ e1: 64 });
    expect(await asked({ token_ids: tokens(65, 2000) })).toEqual({ e1: 0 });
    expect(await asked({ model: 'tuned', token_ids: tokens(65, 2000) })).toEqual({ e1: 64 });
  });

  it('forgets what engines evict', async () => {
    const [a] = await publishers(1, 'm', { service: { kvTokens: 256 } });
    const { matched } = bound(await serve([publishing('m', [a])]));
    const asked = () => matched({ model: 'm', token_ids: tokens(65) });
    await send(a, '/v1/completions', { model: 'm', prompt: tokens(64) });
    await until('it is seen', async () => (await asked()).e1 === 64);
    for (const from of [1000, 2000]) await send(a, '/v1/completions', { model: 'm', prompt: tokens(200, from) });
    await until('it is gone', async () => (await asked()).e1 === 0);
  });

  it('lists the candidates that serve the model, and knows no model that nobody serves', async () => {
    const [a, b] = await publishers(2, 'm');
    const [other] = await publishers(1, 'other');
    const running = await serve([publishing('m', [a, b]), publishing('other', [other])]);
    const { matched } = bound(running);
    const question = { model: 'm', token_ids: tokens(20) };
    expect(await matched(question)).toEqual({ e1: 0, e2: 0 });
    expect(await matched({ ...question, candidates: [b.address, other.address, 'nobody'] })).toEqual({ e2: 0 });
    expect(await matched({ ...question, candidates: ['e1'] })).toEqual({ e1: 0 });
    expect(await matched({ ...question, candidates: [] })).toEqual({});
    const { status, error } = await running.ask({ ...question, model: 'none', candidates: [] });
    expect([status, error]).toMatchObject([
      404,
      { type: 'invalid_request_error', code: 'model_not_found', param: 'model' },
    ]);
  });

  it('refuses a block size that no engine uses', async () => {
    const [a] = await publishers(1, 'm');
    const running = await serve([publishing('m', [a])]);
    await send(a, '/v1/completions', { model: 'm', prompt: tokens(64) });
    const question = { model: 'm', token_ids: tokens(65) };
    await until('its block size is known', async () => (await running.matches(question)).block_size === 16);
    const { status, error } = await running.ask({ ...question, block_size: 32 });
    expect([status, error]).toMatchObject([400, { code: 'invalid_value', param: 'block_size' }]);
    expect((await running.ask({ ...question, block_size: 16 })).status).toBe(200);
  });

  it('answers 503 for text that no engine can tokenise, and still takes token ids', async () => {
    const engine = await EngineProcess.start('m', ['--kv-events', anywhere]);
    processes.push(engine);
    const running = await serve([group('m', [engine.address], { kvCache: { type: 'Events' } })]);
    expect((await running.ask({ model: 'm', prompt: 'a b c' })).status).toBe(200);
    await engine.kill();
    const { status, error, headers } = await running.ask({ model: 'm', prompt: 'something else' });
    expect([status, error]).toMatchObject([503, { type: 'service_unavailable', code: 'tokenizer_unavailable' }]);
    expect(headers['retry-after']).toBe('1');
    expect((await running.ask({ model: 'm', token_ids: tokens(20) })).status).toBe(200);
  });

  const long = JSON.stringify({ model: 'm', prompt: 'x'.repeat(4 * 1024 * 1024) });
  it('has limits and answers to nonsense', async () => {
    const [a] = await publishers(1, 'm');
    const running = await serve([publishing('m', [a])]);
    const { client } = running;
    const cases: [string, Promise<{ status: number; error: { code?: string | number } }>, number, string][] = [
      ['too long', running.ask(long), 413, 'request_too_large'],
      ['no JSON', running.ask('{"model":'), 400, 'invalid_json'],
      ['no model', running.ask({ prompt: 'a' }), 400, 'missing_model'],
      ['no prompt', running.ask({ model: 'm' }), 400, 'invalid_value'],
      ['another path', client.post('/match', {}), 404, 'unknown_url'],
      ['another method', client.get('/match_sort'), 405, 'method_not_allowed'],
      ['a page posted', client.post('/readyz', {}), 405, 'method_not_allowed'],
      [
        'a form',
        running.ask('a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
        415,
        'unsupported_media_type',
      ],
    ];
    for (const [name, asked, status, code] of cases) {
      const answer = await asked;
      expect([name, answer.status, answer.error.code]).toEqual([name, status, code]);
    }
  });
});

describe('/kv-cache/hit-rate', () => {
  it('tells shares by level', async () => {
    const [a, b] = await publishers(2, 'm');
    const running = await serve([publishing('m', [a, b])]);
    await send(a, '/v1/completions', { model: 'm', prompt: tokens(64) });
    const body = { model: 'm', token_ids: tokens(80), block_size: 16, cache_salt: null, candidates: [a.address, 'e2'] };
    const rates = async () => JSON.parse((await running.client.post('/kv-cache/hit-rate', body)).text) as unknown;
    await until('it is seen', async () => JSON.stringify(await rates()).includes('0.8'));
    expect(await rates()).toEqual({
      hit_rates: [
        { pod: 'e1', address: a.address, l1: 0.8, l3: 0.8 },
        { pod: 'e2', address: b.address, l1: 0, l3: 0 },
      ],
    });
  });
});

describe('cache-indexer', () => {
  it("knows all again after it was killed, by the engines' replays", async () => {
    const [a, b] = await publishers(2, 'm');
    const running = await serve([publishing('m', [a, b])]);
    await send(a, '/v1/completions', { model: 'm', prompt: tokens(64) });
    await send(b, '/v1/completions', { model: 'm', prompt: tokens(32) });
    const question = { model: 'm', token_ids: tokens(65) };
    const known = async () =>
      JSON.stringify((await running.matches(question)).matches.map((row) => row.matched_tokens));
    await until('both are seen', async () => (await known()) === '[64,32]');
    await running.restart();
    // Ready means that replays are over: nothing more is to come.
    expect(await known()).toBe('[64,32]');
  });

  it('forgets an engine that has started anew', async () => {
    const ports = ['--kv-events', await freeEndpoint(), '--kv-replay', await freeEndpoint()];
    const engine = await EngineProcess.start('m', ports);
    processes.push(engine);
    const published: Published = { address: engine.address, kvEvents: { events: ports[1], replay: ports[3] } };
    const running = await serve([publishing('m', [published])]);
    await send(engine, '/v1/completions', { model: 'm', prompt: tokens(64) });
    const question = { model: 'm', token_ids: tokens(65) };
    await until('it is seen', async () => (await running.matched(question)).e1 === 64);
    await engine.kill();
    await engine.restart();
    await send(engine, '/v1/completions', { model: 'm', prompt: tokens(32, 5000) });
    const other = { model: 'm', token_ids: tokens(33, 5000) };
    await until('the new one is seen', async () => (await running.matched(other)).e1 === 32);
    expect(await running.matched(question)).toEqual({ e1: 0 });
  });

  it('follows engines as they come and go', async () => {
    const [a, b] = await publishers(2, 'm');
    const running = await serve([publishing('m', [a])]);
    const question = { model: 'm', token_ids: tokens(65) };
    await send(b, '/v1/completions', { model: 'm', prompt: tokens(64) });
    expect(await running.matched(question)).toEqual({ e1: 0 });
    running.manifests.write('all.yaml', [publishing('m', [a, b])]);
    // What it has stored before it was followed is replayed.
    await until('the new one is followed', async () => (await running.matched(question)).e2 === 64);
    running.manifests.write('all.yaml', [publishing('m', [b])]);
    await until('the old one is gone', async () => (await running.matches(question)).matches.length === 1);
    running.manifests.writeText('all.yaml', 'kind: [');
    const faulty = async () => (await running.page('metrics')).text.includes('result="faulty"} 1');
    await until('the file is at fault', faulty);
    expect(await running.matched(question)).toEqual({ e1: 64 });
  });

  it('is ready although engines publish nothing, and says why', async () => {
    const [a] = await publishers(1, 'm');
    const [silent] = await publishers(1, 'm', { kvEvents: null });
    const running = await serve([publishing('m', [a, silent])]);
    const { status, text } = await running.page('readyz');
    const reason = `e2 (${silent.address}): given up: none of its ports is called zmq-pub`;
    expect([status, text]).toEqual([200, `ok\n${reason}\n`]);
    expect((await running.page('healthz')).text).toBe('ok\n');
    const metrics = (await running.page('metrics')).text;
    expect(metrics).toContain('hermes_kv_event_streams{phase="live"} 1');
    expect(metrics).toContain('hermes_kv_event_streams{phase="given_up"} 1');
  });

  it('waits for an engine that cannot be reached, then gives it up', async () => {
    const [a] = await publishers(1, 'm');
    const dead = { address: '127.0.0.1:9', kvEvents: { events: await freeEndpoint(), replay: null } };
    const running = RunningIndexer.start([publishing('m', [a, dead])]);
    indexer = await running;
    const { text } = await indexer.page('readyz');
    expect(text).toMatch(
      /^ok\ne2 \(127\.0\.0\.1:9\): given up: no connection to tcp:\/\/127\.0\.0\.1:[0-9]+ for 10 s\n$/,
    );
  });

  it('wants its token, and takes up a renewed one', async () => {
    const [a] = await publishers(1, 'm');
    const file = join(folder, 'token');
    writeFileSync(file, 'first\n');
    const running = await serve([publishing('m', [a])], ['--token-file', file]);
    const status = async (token?: string): Promise<number> =>
      (
        await running.ask(
          { model: 'm', token_ids: [1] },
          token === undefined ? {} : { authorization: `Bearer ${token}` },
        )
      ).status;
    expect(await Promise.all([status(), status('firs'), status('second'), status('first')])).toEqual([
      401, 401, 401, 200,
    ]);
    const { error, headers } = await running.ask({ model: 'm', token_ids: [1] });
    expect([error.code, headers['www-authenticate']]).toEqual(['invalid_api_key', 'Bearer']);
    for (const page of ['healthz', 'readyz', 'metrics']) expect((await running.page(page)).status).toBe(200);
    writeFileSync(file, 'second\n');
    await until('the new one counts', async () => (await status('second')) === 200);
    expect(await status('first')).toBe(401);
    writeFileSync(file, '');
    await until('the fault is told', () => running.process.stdout.includes('the last token stays'));
    expect(await status('second')).toBe(200);
  });

  it('writes down nothing of prompts, salts and keys', async () => {
    const canary = `canary${randomUUID().replaceAll('-', '')}`;
    const [a] = await publishers(1, 'm');
    const running = await serve([publishing('m', [a])]);
    const ids = [918_273_645, 546_372_819, ...tokens(62)];
    await send(a, '/v1/completions', { model: 'm', prompt: ids, cache_salt: `${canary}-salt` });
    await chat(a, { model: 'm', messages: said(`${canary} ${words(40)}`) });
    const secret = { authorization: `Bearer ${canary}` };
    const questions: (object | string)[] = [
      { model: 'm', token_ids: ids, cache_salt: `${canary}-salt` },
      { model: 'm', messages: said(`${canary} ${words(40)}`) },
      { model: 'm', messages: `${canary}` },
      { model: `${canary}-model`, prompt: canary },
      { model: 'm', prompt: canary, candidates: [canary] },
      `{"model": "m", "prompt": ${canary}`,
    ];
    for (const question of questions) await running.ask(question, secret);
    await running.client.post(`/${canary}`, {}, { headers: secret });
    const pages = await Promise.all(['metrics', 'readyz'].map(async (name) => (await running.page(name)).text));
    const { stdout, stderr } = running.process;
    for (const text of [pages[0], stdout]) expect(text.length).toBeGreaterThan(100);
    const written = [...pages, stdout, stderr].join('\n');
    for (const part of [canary, ...ids.slice(0, 2).map(String)]) expect(written).not.toContain(part);
  });

  it('drains on SIGTERM and ends well', async () => {
    const [a] = await publishers(1, 'm');
    const running = await serve([publishing('m', [a])], ['--drain-delay', '300ms']);
    running.process.signal('SIGTERM');
    await until('it is not ready', async () => (await running.page('readyz')).status === 503);
    expect((await running.ask({ model: 'm', token_ids: [1] })).headers.connection).toBe('close');
    expect(await running.process.exit).toBe(0);
  });
});

describe('the command line', () => {
  const away = (): Record<string, string> => ({
    HOME: folder,
    KUBECONFIG: '',
    HERMES_KUBECONFIG: '',
    KUBERNETES_SERVICE_HOST: '',
  });
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it('tells how it is used on one screen', async () => {
    const process = new HermesProcess(['cache-indexer', '--help']);
    expect(await process.exit).toBe(0);
    expect(process.stdout.split('\n').length).toBeLessThan(25);
    expect(Math.max(...process.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  it('exits with 2 for wrong usage, 1 for a wrong file, 3 for the world outside', async () => {
    const wrong = write('wrong.yaml', 'app:\n  serviceDiscovery:\n    labelSelector: {a: b}\n');
    const empty = write('empty', '');
    const cases: [readonly string[], number, string][] = [
      [['--listen', 'here'], 2, '--listen here'],
      [['--manifests', folder, '--config', wrong], 2, 'not both'],
      [['--manifests', folder, '--token-file', empty], 2, 'is empty'],
      [['--config', wrong], 1, `${wrong}:3: app.serviceDiscovery.labelSelector: is a map; write "a=b", in one text`],
      [['--config', join(folder, 'none')], 3, 'cannot be read'],
      [['--manifests', join(folder, 'none')], 3, 'cannot be read'],
      [['--manifests', folder, '--token-file', join(folder, 'none')], 3, '--token-file'],
      [[], 3, 'hermes-router: '],
    ];
    for (const [flags, code, message] of cases) {
      const process = new HermesProcess(['cache-indexer', ...flags], away());
      const exit = await process.exit;
      expect([flags, exit]).toEqual([flags, code]);
      expect(process.stdout + process.stderr).toContain(message);
    }
  });

  it('takes the configuration of the original: listens on its port, tells what has no effect', async () => {
    const port = await quietPort();
    const discovery = '{labelSelector: "openfuyao.com/model=qwen-qwen3-8b", portName: zmq-pub, refreshInterval: 10}';
    const values = (name: string): string =>
      `app:\n  serviceDiscovery: ${discovery}\nservice:\n  name: ${name}\n  port: ${port}\nimage: x\n`;
    const file = write('values.yaml', values('cache-indexer-service'));
    const process = new HermesProcess(['cache-indexer', '--config', file, '--drain-delay', '0s'], away());
    try {
      expect(await process.address('cache-indexer')).toBe(`0.0.0.0:${port}`);
      for (const path of ['app.serviceDiscovery.refreshInterval', 'service.name', 'image'])
        expect(process.entries().filter((entry) => entry.path === path)).toHaveLength(1);
      const { text } = await get(`http://127.0.0.1:${port}/readyz`);
      expect(text).toContain('discovery Pods needs a cluster');
      write('values.yaml', values('-'));
      await until('the fault is told', () => process.stdout.includes('the last good configuration stays in force'));
    } finally {
      await process.kill();
    }
  });
});

/** Methods that are handed around. */
function bound(running: RunningIndexer) {
  return {
    matched: (question: object) => running.matched(question),
    matches: (question: object) => running.matches(question),
  };
}

/** An endpoint that nobody has now. */
const freeEndpoint = async (): Promise<string> => `tcp://127.0.0.1:${await quietPort()}`;
