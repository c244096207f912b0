import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Collector } from './otel/collector.ts';
import { sendObject, type Script } from './testkit/engine.ts';
import { group, policy, secret } from './testkit/manifests.ts';
import { exchange } from './testkit/raw.ts';
import { get, metric, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let collector: Collector;
beforeAll(async () => {
  collector = await Collector.start();
}, 300_000);
afterAll(() => collector.close());

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

/** In all that must not be written down; the digits stand for token ids. */
const canary = `canary${randomUUID().replaceAll('-', '')}`;
const tokens = [918_273_645, 546_372_819];
const chat = '/v1/chat/completions';
const key = (of: string): string => `${canary}-${of}`;

/** Engines that fail in every way while they repeat what they were sent. */
const script: Script = ({ body }, response) => {
  const ways = [
    () => sendObject(response, { error: { message: `cannot do ${body}`, type: canary, code: 400 } }, 400),
    () => sendObject(response, { error: { message: `cannot do ${body}` } }, 500),
    () => response.socket?.end(`HTTP/1.1 ${canary}\r\n${canary}: ${canary}\r\n\r\n${body}`),
    () => response.socket?.resetAndDestroy(),
    () => response.writeHead(200, { 'content-type': 'text/event-stream', 'x-engine': canary }).write(`data: ${body}`),
    () => response.write(`${canary}`, () => response.socket?.resetAndDestroy()),
    () => sendObject(response, { model: 'm', choices: [{ message: { content: body } }], usage: { prompt_tokens: 3 } }),
  ];
  // The KV manager's question has no seed.
  const { seed = 0 } = JSON.parse(body) as { seed?: number };
  ways[seed % ways.length]();
};

it('prompts, token ids and keys turn up nowhere but where they are meant to go', async () => {
  const engines = await world.script(3, 'm', script);
  const addresses = engines.map((engine) => engine.address);
  const reused = { health: { passive: { consecutiveFailures: 1000 } } };
  const timeouts = { streamIdle: '200ms' };
  const documents = [
    secret('keys', { engine: key('engine') }),
    group('m', addresses, {
      ...reused,
      connection: { apiKeySecretRef: { name: 'keys', key: 'engine' } },
      kvCache: { type: 'Manager', manager: { url: `http://${addresses[0]}`, timeout: '1s' } },
    }),
    policy('m', { strategy: { type: 'KVAware' }, debug: { headers: true }, timeouts }),
    group('forwarding', addresses, { ...reused, connection: { forwardAuthorization: true } }),
    policy('forwarding', { timeouts }),
  ];
  const env = { ...collector.env, OTEL_EXPORTER_OTLP_HEADERS: `authorization=${key('collector')}` };
  const router = await world.serve(documents, { flags: ['--access-log'], env });
  await provoke(router);
  // What engines were to get, they got.
  const got = JSON.stringify(engines.flatMap(({ seen }) => seen));
  for (const part of [key('prompt'), key('engine'), key('client'), String(tokens[0])]) expect(got).toContain(part);
  const written = await everythingWritten(router);
  expect((await collector.got()).headers).toContain(key('collector'));
  for (const secretPart of [canary, ...tokens.map(String)]) {
    const at = written.indexOf(secretPart);
    expect(at < 0 ? '' : written.slice(Math.max(0, at - 300), at + 100)).toBe('');
  }
});

async function provoke(router: RunningRouter): Promise<void> {
  const { client } = world;
  const headers = { authorization: `Bearer ${key('client')}`, 'x-hermes-debug': '1', cookie: key('cookie') };
  const messages = [{ role: 'user', content: key('prompt') }];
  for (let seed = 0; seed < 28; seed++) {
    for (const model of ['m', 'forwarding']) {
      const fields = { seed, messages, user: key('user'), stream: seed > 13 };
      // A broken answer is one of the ways to fail.
      await client.chat(model, fields, { headers }).catch(() => undefined);
      await client.post('/v1/completions', { model, seed, prompt: tokens }, { headers }).catch(() => undefined);
    }
  }
  await client.post(chat, `{"model": "m", "messages": "${key('prompt')}"}`, { headers });
  await client.post(chat, `{"model": "m", "prompt": ${key('prompt')}`, { headers });
  await client.post(chat, { model: key('model') }, { headers });
  await client.post(`/${key('path')}`, {}, { headers });
  await client.chat('m', { kv_transfer_params: key('params') }, { headers });
  await exchange(router.proxy, `POST ${chat} HTTP/1.1\r\nauthorization: ${key('wire')}\r\n${key('wire')}\r\n\r\n`);
  await breakManifests(router);
}

/** Parsers like to quote the line that they stumble over. */
async function breakManifests(router: RunningRouter): Promise<void> {
  const head = 'apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n';
  const broken = [
    `${head}stringData: {engine: "${key('manifest')}\n`,
    `${head}stringData:\n  engine: ${key('manifest')}: ${key('manifest')}\n`,
    `${head}stringData:\n  engine: |\n   ${key('manifest')}\n  \t${key('manifest')}\n`,
    `${head}stringData: [${key('manifest')}]\n`,
    `${head}stringData: &${key('manifest')} {engine: x}\nmore: *no\n`,
  ];
  for (const text of broken) {
    const before = await changes(router);
    router.manifests.writeText('broken.yaml', text);
    await until('it is read', async () => (await changes(router)) > before);
  }
}

function changes(router: RunningRouter): Promise<number> {
  return metric(router, 'hermes_config_reloads_total');
}

async function everythingWritten(router: RunningRouter): Promise<string> {
  const api = ['table', 'stats', 'explain'].map((page) => `${router.admin}/api/v1/${page}`);
  const pages = [`${router.metrics}/metrics`, ...api];
  const read = await Promise.all(pages.map(async (page) => (await get(`http://${page}`)).text));
  const { stdout, stderr } = router.process;
  const { bytes: spans } = await collector.got();
  // A page that is empty would prove nothing.
  for (const text of [...read, stdout, spans]) expect(text.length).toBeGreaterThan(100);
  expect(router.process.entries().filter(({ msg }) => msg === 'request').length).toBeGreaterThan(100);
  return [...read, stdout, stderr, spans].join('\n');
}
