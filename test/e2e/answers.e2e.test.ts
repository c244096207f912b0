import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { chatBody, Client } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import { exchange } from './testkit/raw.ts';
import { startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, startEngines } from './testkit/sim.ts';

const chat = '/v1/chat/completions';
const nobodyThere = '127.0.0.1:1';

let engines: SimEngine[];
let router: RunningRouter;
let client: Client;

beforeAll(async () => {
  engines = await startEngines(1, 'org/chat', { speedUp: 20 });
  const addresses = engines.map((engine) => engine.address);
  router = await startRouter(
    [
      group('chat', addresses, { models: ['org/chat'] }),
      policy('chat', { match: { models: ['org/chat'] }, debug: { headers: true } }),
      group('quiet', addresses, { models: ['org/chat'] }),
      policy('quiet', { backendRefs: [{ name: 'quiet', rewriteModel: 'org/chat' }] }),
      group('away', [nobodyThere]),
      policy('away'),
      group('paired', [nobodyThere], { models: ['org/paired'], topology: { type: 'PrefillDecode' } }),
      policy('paired', { match: {}, strategy: { type: 'KVAware' } }),
      group('never', [nobodyThere], { models: ['org/never'], engine: 'NoSuchEngine' }),
      policy('never', { match: {} }),
      policy('faulty', { backendRefs: [{ name: 'chat' }], strategy: { type: 'NoSuchStrategy' } }),
    ],
    { flags: ['--max-body', '64Ki'], away: ['away', 'paired'] },
  );
  client = new Client(router.proxy);
});

afterAll(async () => {
  await client.close();
  await router.stop();
  await closeAll(engines);
});

describe('what a client is told', () => {
  it.each([
    ['a body that is no JSON', '{"model": ', { code: 'invalid_json', param: null }],
    ['a body that is no object', '["org/chat"]', { code: 'invalid_json', param: null }],
    ['an empty body', '', { code: 'invalid_json', param: null }],
    ['a model that is a number', { model: 7 }, { code: 'invalid_value', param: 'model' }],
    ['a stream flag that is text', { model: 'org/chat', stream: 'yes' }, { code: 'invalid_value', param: 'stream' }],
    ['messages that are text', { model: 'org/chat', messages: 'hello' }, { code: 'invalid_value', param: 'messages' }],
    ['the model named twice', '{"model":"org/chat","model":"quiet"}', { code: 'invalid_value', param: 'model' }],
    [
      'the model named twice in two spellings',
      String.raw`{"model":"org/chat","mod\u0065l":"quiet"}`,
      { code: 'invalid_value', param: 'model' },
    ],
    [
      'transfer parameters of KV blocks',
      { model: 'org/chat', kv_transfer_params: { do_remote_prefill: true } },
      { code: 'invalid_value', param: 'kv_transfer_params' },
    ],
    ['no model where there are several', { messages: [] }, { code: 'missing_model', param: 'model' }],
  ])('%s is a 400', async (_name, body, expected) => {
    const answer = await client.post(chat, body);
    expect(answer.status).toBe(400);
    expect(answer.error).toEqual({ ...expected, type: 'invalid_request_error', message: expect.any(String) });
  });

  it('a path that is not listed is a 404, engine paths too', async () => {
    for (const path of ['/', '/metrics', '/sleep', '/v1/chat', '/v1/chat/completions/', '/sim/fault', '/v1//models']) {
      const answer = await client.post(path, chatBody('org/chat'));
      expect([path, answer.status, answer.error.code]).toEqual([path, 404, 'unknown_url']);
      expect(answer.error.type).toBe('invalid_request_error');
    }
  });

  it.each([
    ['GET', chat, 'POST'],
    ['PUT', chat, 'POST'],
    ['OPTIONS', '/v1/embeddings', 'POST'],
    ['DELETE', '/v1/models', 'GET'],
    ['POST', '/v1/models/org/chat', 'GET'],
  ] as const)('%s on %s is a 405 that names %s', async (method, path, allowed) => {
    const answer = await client.post(path, chatBody('org/chat'), { method });
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allowed);
    expect(answer.error).toMatchObject({ type: 'invalid_request_error', code: 'method_not_allowed' });
  });

  it.each(['text/plain', 'multipart/form-data; boundary=x', 'application/jsonl'])('%s is a 415', async (type) => {
    const answer = await client.chat('org/chat', {}, { headers: { 'content-type': type } });
    expect(answer.status).toBe(415);
    expect(answer.error).toMatchObject({ type: 'invalid_request_error', code: 'unsupported_media_type' });
  });

  it('JSON with a charset, in capitals, or without a content type is JSON', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON']) {
      expect((await client.chat('org/chat', {}, { headers: { 'content-type': type } })).status).toBe(200);
    }
    const body = JSON.stringify(chatBody('org/chat'));
    const bare = `POST ${chat} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    expect(await exchange(router.proxy, bare)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('a model that no policy takes is a 404', async () => {
    const answer = await client.chat('org/none');
    expect(answer.status).toBe(404);
    expect(answer.error).toMatchObject({ type: 'invalid_request_error', code: 'model_not_found', param: 'model' });
    expect(answer.error.message).toContain('org/none');
  });

  it('a body over the limit is a 413, announced or in chunks, and the connection is closed', async () => {
    const body = JSON.stringify(chatBody('org/chat', { user: 'x'.repeat(70_000) }));
    const answer = await client.post(chat, body);
    expect([answer.status, answer.headers.connection]).toEqual([413, 'close']);
    expect(answer.error).toMatchObject({ type: 'invalid_request_error', code: 'request_too_large' });
    const head = `POST ${chat} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n`;
    const chunked = await exchange(router.proxy, `${head}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
    expect(chunked).toMatch(/^HTTP\/1\.1 413 /);
    expect(chunked).toContain('request_too_large');
  });

  it('a body far over the limit is a 413 all the same, which no reset overtakes', async () => {
    const body = Buffer.alloc(20_000_000, ' ');
    for (let i = 0; i < 20; i++) expect((await client.post(chat, body)).status).toBe(413);
  });

  it('headers over 16 KiB are a 431', async () => {
    const answer = await exchange(
      router.proxy,
      `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${'y'.repeat(17_000)}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"type":"invalid_request_error"');
  });

  it('no ready endpoint is a 503 that says when to come back', async () => {
    const answer = await client.chat('away');
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.error).toMatchObject({ type: 'service_unavailable', code: 'no_ready_endpoint' });
  });

  it.each([
    ['its policy cannot use', 'org/paired'],
    ['are of a group that was never valid', 'org/never'],
  ])('a model whose only engines %s is a 503 and no unknown model', async (_why, model) => {
    const answer = await client.chat(model);
    expect(answer.status).toBe(503);
    expect(answer.error).toMatchObject({ type: 'service_unavailable', code: 'no_ready_endpoint' });
  });

  it('a policy that was never valid is a 503 and its traffic goes nowhere else', async () => {
    const answer = await client.chat('faulty');
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.error).toMatchObject({ type: 'service_unavailable', code: 'policy_invalid' });
  });

  it.each([
    ['a value that it refuses', { temperature: -1 }, 400, 'BadRequestError'],
    ['a prompt that is too long', { max_tokens: 10_000_000 }, 400, 'BadRequestError'],
  ])("the engine's own answer to %s comes unchanged", async (_name, fields, status, type) => {
    const answer = await client.chat('org/chat', fields);
    const direct = await fetch(`http://${engines[0].address}${chat}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody('org/chat', fields)),
    });
    expect([answer.status, answer.error.type]).toEqual([status, type]);
    expect(answer.text).toBe(await direct.text());
  });

  it.each([
    ['error', 500],
    ['unavailable', 503],
  ] as const)("the engine's own %s comes unchanged", async (type, status) => {
    engines[0].setFault({ type, count: 1, afterTokens: 0, factor: 1, seconds: 0 });
    const answer = await client.chat('org/chat');
    expect(answer.status).toBe(status);
    expect(answer.error.code).toBe(status);
  });
});

describe('request ids', () => {
  it('a fit one goes to the engine and comes back, on errors too', async () => {
    const id = `A.b_c:1-${'x'.repeat(120)}`;
    const headers = { 'x-request-id': id };
    const answer = await client.chat('org/chat', {}, { headers });
    expect(answer.headers['x-request-id']).toBe(id);
    // The engine makes its own id of it.
    expect(answer.text).toContain(`chatcmpl-${id}`);
    expect((await client.chat('org/none', {}, { headers })).headers['x-request-id']).toBe(id);
    expect((await client.get('/v1/models', headers)).headers['x-request-id']).toBe(id);
  });

  it.each([
    ['too long', 'x'.repeat(129)],
    ['with a blank', 'a b'],
    ['with a quote', 'a"b'],
    ['empty', ''],
  ])('one that is %s is replaced', async (_name, id) => {
    const answer = await client.chat('org/chat', {}, { headers: { 'x-request-id': id } });
    expect(answer.headers['x-request-id']).toMatch(/^[A-Za-z0-9._:-]{8,128}$/);
    expect(answer.headers['x-request-id']).not.toBe(id);
  });

  it('every request without one gets its own', async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => client.chat('org/chat')));
    expect(new Set(ids.map(({ headers }) => headers['x-request-id'])).size).toBe(20);
  });
});

describe('debug headers', () => {
  const asked = { headers: { 'x-hermes-debug': '1' } };

  it('tell endpoint, policy and scores when asked and allowed', async () => {
    const { headers } = await client.chat('org/chat', {}, asked);
    expect([headers['x-hermes-endpoint'], headers['x-hermes-policy']]).toEqual(['e1', 'default/chat']);
    const scores = JSON.parse(String(headers['x-hermes-scores'])) as { endpoint: string; parts: unknown[] }[];
    expect(scores.map(({ endpoint }) => endpoint)).toEqual(['e1']);
    expect(scores[0].parts.length).toBeGreaterThan(0);
  });

  it.each([
    ['nobody asks', 'org/chat', {}],
    ['the policy does not allow it', 'quiet', asked],
  ])('are left out when %s', async (_name, model, options) => {
    const { status, headers } = await client.chat(model, {}, options);
    expect(status).toBe(200);
    expect(Object.keys(headers).filter((name) => name.startsWith('x-hermes-'))).toEqual([]);
  });
});

describe('models', () => {
  it('the list names what policies can route to, with or without a ready endpoint', async () => {
    const answer = await client.get('/v1/models');
    const list = JSON.parse(answer.text) as { object: string; data: { id: string; object: string }[] };
    expect(list.object).toBe('list');
    expect(list.data.map(({ id }) => id).sort()).toEqual(['away', 'org/chat', 'quiet']);
    expect(new Set(list.data.map(({ object }) => object))).toEqual(new Set(['model']));
  });

  it.each(['/v1/models/org/chat', '/v1/models/org%2Fchat', '/rest/hermes-router/v1beta1/v1/models/org/chat'])(
    '%s is one model',
    async (path) => {
      expect(JSON.parse((await client.get(path)).text)).toMatchObject({ id: 'org/chat', object: 'model' });
    },
  );

  it('one that is not there is a 404', async () => {
    const answer = await client.get('/v1/models/org/none');
    expect([answer.status, answer.error.code]).toEqual([404, 'model_not_found']);
  });
});

describe('paths', () => {
  const prefix = '/rest/hermes-router/v1beta1';
  const text = { model: 'org/chat', prompt: 'Once upon a time', max_tokens: 2 };

  it.each([
    ['/v1/chat/completions', chatBody('org/chat'), 'chat.completion'],
    ['/v1/completions', text, 'text_completion'],
    ['/v1/embeddings', { model: 'org/chat', input: 'words' }, 'list'],
    ['/v1/responses', { model: 'org/chat', input: 'words', max_output_tokens: 2 }, 'response'],
    [`${prefix}/v1/chat/completions`, chatBody('org/chat'), 'chat.completion'],
    [`${prefix}/v1/chat/completons`, chatBody('org/chat'), 'chat.completion'],
    [`${prefix}/v1/completons`, text, 'text_completion'],
    ['/v1/completions?beta=true', text, 'text_completion'],
  ])('%s is served', async (path, body, object) => {
    const answer = await client.post(path, body);
    expect([answer.status, (JSON.parse(answer.text) as { object: string }).object]).toEqual([200, object]);
  });
});
