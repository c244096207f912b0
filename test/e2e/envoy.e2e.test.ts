import { execFile } from 'node:child_process';
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EnvoyWorld } from './envoy/world.ts';
import { chatBody } from './testkit/client.ts';
import { sendObject, type ScriptedEngine, type Seen } from './testkit/engine.ts';
import { group, policy } from './testkit/manifests.ts';
import { RawConnection } from './testkit/raw.ts';
import { until } from './testkit/until.ts';

const run = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const messages = [{ role: 'user' as const, content: 'Say something.' }];
const chat = '/v1/chat/completions';

describe('clients before Envoy and the picker', () => {
  const model = 'org/chat';
  let world: EnvoyWorld;
  let url: string;

  beforeAll(async () => {
    world = new EnvoyWorld();
    await world.sim(2, model, { speedUp: 5 });
    // TLS to the picker with the certificate that it makes for itself, as it is by default.
    const { envoy } = await world.serve(
      [group('g', world.addresses, { models: [] }), policy('g', { match: {}, strategy: { type: 'RoundRobin' } })],
      { tls: true },
    );
    url = `http://${envoy.address}/v1`;
  });
  afterEach(() => world.idle());
  afterAll(() => world.close());

  it('the OpenAI client for JavaScript: whole, streaming, the other APIs, errors', async () => {
    const client = new OpenAI({ baseURL: url, apiKey: 'sk-test', maxRetries: 0 });
    const whole = await client.chat.completions.create({ model, messages, max_tokens: 5 });
    expect([whole.model, whole.usage?.completion_tokens]).toEqual([model, 5]);
    const options = { stream: true, stream_options: { include_usage: true } } as const;
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 5, ...options });
    let pieces = 0;
    let usage = 0;
    for await (const chunk of stream) {
      pieces += (chunk.choices[0]?.delta.content ?? '') === '' ? 0 : 1;
      usage = chunk.usage?.completion_tokens ?? usage;
    }
    expect([pieces, usage]).toEqual([5, 5]);
    const embedding = await client.embeddings.create({ model, input: ['a', 'b'], encoding_format: 'float' });
    expect(embedding.data).toHaveLength(2);
    const response = await client.responses.create({ model, input: 'Say something.', max_output_tokens: 4 });
    expect(response.usage?.output_tokens).toBe(4);
    await expect(client.chat.completions.create({ model: 'none', messages })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
      param: 'model',
      requestID: expect.any(String),
    });
  });

  it('the OpenAI client for Python: sync, async and streaming', { timeout: 300_000 }, async () => {
    const environment = here('../../.cache/venv-openai');
    await run(here('openai-python/install.sh'), [environment]);
    const { stdout } = await run(`${environment}/bin/python`, [here('openai-python/exercise.py'), url, model]);
    expect(JSON.parse(stdout)).toMatchObject({
      sync: { whole: [model, 5, true], stream: [5, 5], text: 5, models: [model], one: model },
      async: { wholes: 100, pieces: 5 },
    });
  });

  it('curl: an answer, a stream, an error it can show', async () => {
    const curl = async (fields: object, ...more: string[]): Promise<string> => {
      const body = JSON.stringify(chatBody(model, fields));
      const args = ['-sS', '--max-time', '20', '-H', 'content-type: application/json', '--data-binary', body];
      return (await run('curl', [...args, ...more, `${url}/chat/completions`])).stdout;
    };
    expect(await curl({})).toContain('"chat.completion"');
    expect((await curl({ stream: true }, '-N')).trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(await curl({}, '--http2-prior-knowledge')).toContain('"chat.completion"');
    expect(await curl({ model: 'none' }, '-w', '%{http_code}')).toMatch(/model_not_found.*404$/s);
  });

  it('a stream comes event by event, not when it is over', async () => {
    const stream = await world.client.stream(model, { max_tokens: 100_000 });
    await stream.next();
    const soFar = stream.events.length;
    await until('more has come', () => stream.events.length > soFar + 20);
    stream.abandon();
  });

  it('who leaves in mid-stream or before the first byte frees his place in the picker and his engine', async () => {
    const leaving = new AbortController();
    const waiting = Array.from({ length: 10 }, () =>
      world.client.chat(model, { max_tokens: 100_000 }, { signal: leaving.signal }),
    );
    const streams = await Promise.all(
      Array.from({ length: 10 }, () => world.client.stream(model, { max_tokens: 100_000 })),
    );
    await Promise.all(streams.map((stream) => stream.next()));
    for (const stream of streams) stream.abandon();
    leaving.abort();
    await Promise.allSettled(waiting);
    // `idle` after the test looks at picker, Envoy and engines.
  });
});

describe('what engines get through Envoy', () => {
  let world: EnvoyWorld;
  let engines: ScriptedEngine[];

  beforeAll(async () => {
    world = new EnvoyWorld();
    engines = await world.script(2, 'engine-model');
    await world.serve([
      group('g', world.addresses, { models: ['engine-model'] }),
      policy('g', { match: { models: ['engine-model'] } }),
      policy('asked', { backendRefs: [{ name: 'g', rewriteModel: 'engine-model' }] }),
    ]);
  });
  afterEach(async () => {
    await world.idle();
    for (const engine of engines) engine.seen.length = 0;
  });
  afterAll(() => world.close());

  const seen = (): Seen => engines.flatMap((engine) => engine.seen)[0];

  it.each([10, 64 * 1024, 1024 * 1024, 8 * 1024 * 1024])(
    'a prompt of %i bytes arrives as it was sent',
    async (bytes) => {
      const body = JSON.stringify(chatBody('engine-model', { user: 'x'.repeat(bytes) }));
      expect((await world.client.post(chat, body)).status).toBe(200);
      expect(seen().body === body).toBe(true);
    },
  );

  it('a rewritten model and every other byte as it was, with a length that is right', async () => {
    const body =
      '{ "n" : 9223372036854775807, "t":1.0, "model" : "asked", "messages":[{"role":"user","content":"é\\u00e9"}] }';
    const { status, text } = await world.client.post(chat, body);
    expect(status).toBe(200);
    expect(seen().body).toBe(body.replace('"asked"', '"engine-model"'));
    const length = seen().headers['content-length'];
    if (length !== undefined) expect(Number(length)).toBe(Buffer.byteLength(seen().body));
    expect(JSON.parse(text)).toMatchObject({ model: 'asked' });
    const events = (await (await world.client.stream('asked')).drain()).events;
    expect(JSON.parse(events[0])).toMatchObject({ model: 'asked' });
  });

  it('none of the headers by which a client could steer, nor its key', async () => {
    const forbidden = {
      'x-gateway-destination-endpoint': '127.0.0.1:1',
      'x-gateway-destination-endpoint-subset': '127.0.0.1:1',
      'x-openfuyao-prefill-pod-address-port': '127.0.0.1:1',
      'x-openfuyao-decode-pod-address-port': '127.0.0.1:1',
      'x-prefiller-host-port': '127.0.0.1:1',
      'x-llm-d-model-name-rewrite': 'asked',
      'x-llm-d-inference-objective': 'o',
      authorization: 'Bearer sk-canary',
    };
    expect((await world.client.chat('engine-model', {}, { headers: { ...forbidden, 'x-kept': 'yes' } })).status).toBe(
      200,
    );
    const { headers } = seen();
    expect(headers['x-kept']).toBe('yes');
    expect(world.addresses).toContain(String(headers['x-gateway-destination-endpoint']).split(',')[0]);
    const others = Object.keys(forbidden).filter((name) => name !== 'x-gateway-destination-endpoint');
    expect(others.filter((name) => name in headers)).toEqual([]);
  });

  it('a body that is ended by trailers', async () => {
    const session = connect(`http://${world.envoy.address}`);
    const headers = { ':method': 'POST', ':path': chat, 'content-type': 'application/json' };
    const stream = session.request(headers, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '1' }));
    const body = JSON.stringify(chatBody('engine-model', { user: 'x'.repeat(200_000) }));
    stream.write(body.slice(0, 1000));
    stream.end(body.slice(1000));
    const status = await new Promise((resolve) => stream.on('response', (answer) => resolve(answer[':status'])));
    expect(status).toBe(200);
    stream.resume();
    await new Promise((resolve) => stream.on('close', resolve));
    session.close();
    expect(seen().body === body).toBe(true);
  });

  it('passes an engine’s own refusals on as they are', async () => {
    for (const engine of engines) {
      const own = engine.script;
      engine.script = (_seen, response) => {
        engine.script = own;
        sendObject(response, { error: { message: 'own', code: 422 } }, 422);
      };
    }
    const { status, text } = await world.client.chat('engine-model');
    expect([status, JSON.parse(text)]).toEqual([422, { error: { message: 'own', code: 422 } }]);
    await Promise.all(Array.from({ length: 8 }, () => world.client.chat('engine-model')));
  });
});

describe('errors through Envoy', () => {
  let world: EnvoyWorld;
  beforeAll(async () => {
    world = new EnvoyWorld();
    await world.script(2, 'm');
    await world.serve(
      [
        group('g', world.addresses, { models: ['m', 'gone', 'broken'] }),
        group('empty', [], { models: ['gone'] }),
        policy('m', { backendRefs: [{ name: 'g' }] }),
        policy('other', { backendRefs: [{ name: 'g', rewriteModel: 'm' }] }),
        policy('bad', { backendRefs: [{ name: 'g' }], strategy: { type: 'Nonsense' } }),
      ],
      { flags: ['--max-body', '1Mi', '--max-buffered', '2Mi'] },
    );
  });
  afterEach(() => world.idle());
  afterAll(() => world.close());

  const json = { 'content-type': 'application/json' };
  const m = JSON.stringify(chatBody('m'));
  interface Case {
    readonly method?: 'PUT' | 'DELETE';
    readonly path?: string;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  }
  const cases: [string, number, string, string, Case][] = [
    ['no JSON', 400, 'invalid_request_error', 'invalid_json', { body: 'no JSON' }],
    ['no object', 400, 'invalid_request_error', 'invalid_json', { body: '[1]' }],
    ['a wrong type', 400, 'invalid_request_error', 'invalid_value', { body: '{"model":[]}' }],
    ['the model twice', 400, 'invalid_request_error', 'invalid_value', { body: '{"model":"m","model":"m"}' }],
    ['kv_transfer_params', 400, 'invalid_request_error', 'invalid_value', { body: m.replace('{', '{"kv_transfer_params":{},') }], // prettier-ignore
    ['no model', 400, 'invalid_request_error', 'missing_model', { body: '{"messages":[]}' }],
    ['a path that is not listed', 404, 'invalid_request_error', 'unknown_url', { path: '/reset_prefix_cache' }],
    ['the wrong method', 405, 'invalid_request_error', 'method_not_allowed', { method: 'PUT' }],
    ['another content type', 415, 'invalid_request_error', 'unsupported_media_type', { headers: { 'content-type': 'text/plain' } }], // prettier-ignore
    ['a model of nobody', 404, 'invalid_request_error', 'model_not_found', { body: '{"model":"nobody"}' }],
    ['a policy that never was valid', 503, 'service_unavailable', 'policy_invalid', { body: '{"model":"bad"}' }],
    ['a body over the limit', 413, 'invalid_request_error', 'request_too_large', { body: JSON.stringify(chatBody('m', { user: 'x'.repeat(2 ** 20) })) }], // prettier-ignore
  ];
  it.each(cases)('%s: %i, type %s, code %s', async (_name, status, type, code, one) => {
    const { method, path = chat, headers = json, body = m } = one;
    const answer = await world.client.post(path, body, { headers, ...(method === undefined ? {} : { method }) });
    expect([answer.status, answer.error]).toMatchObject([status, { type, code, message: expect.any(String) }]);
    expect(answer.headers['x-hermes-reason']).toBe(code);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    if (status === 405) expect(answer.headers.allow).toBe('POST');
    if (status === 503) expect(answer.headers['retry-after']).toMatch(/^[0-9]+$/);
  });

  it('more bodies than may be held: 503, overloaded, until they are gone', async () => {
    const head = `POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n`;
    const holding = Array.from({ length: 2 }, () => new RawConnection(world.envoy.address));
    for (const connection of holding) connection.write(head + ' '.repeat(900_000));
    const ask = () => world.client.chat('m', { user: 'x'.repeat(600_000) });
    const refused = await until('too much is held', async () => {
      const answer = await ask();
      return answer.status === 200 ? null : answer;
    });
    expect([refused.status, refused.error]).toMatchObject([503, { type: 'service_unavailable', code: 'overloaded' }]);
    expect(refused.headers['retry-after']).toMatch(/^[0-9]+$/);
    for (const connection of holding) connection.destroy();
    await until('there is room again', async () => (await ask()).status === 200);
  });
});

describe('a pool without a ready endpoint', () => {
  it('answers 503 with Retry-After, through Envoy; and so does a subset that allows nobody', async () => {
    const world = new EnvoyWorld();
    const engines = await world.script(1, 'm');
    const { picker, client } = await world.serve(
      [group('g', world.addresses, { models: ['m'] }), policy('m', { backendRefs: [{ name: 'g' }] })],
      {},
      { subset: '192.0.2.1:80,192.0.2.2:80' },
    );
    const refused = await client.chat('m');
    expect([refused.status, refused.error]).toMatchObject([
      503,
      { type: 'service_unavailable', code: 'no_ready_endpoint' },
    ]);
    expect(refused.headers['retry-after']).toMatch(/^[0-9]+$/);
    expect(engines[0].seen).toHaveLength(0);
    picker.manifests.write('all.yaml', [
      group('g', [], { models: ['m'] }),
      policy('m', { backendRefs: [{ name: 'g' }] }),
    ]);
    await until('no endpoint is left', async () => (await client.chat('m')).error.code === 'no_ready_endpoint');
    await world.close();
  });

  it.each<[string, (one: string) => string | string[]]>([
    ['a list', (one) => [one]],
    ['comma text', (one) => one],
  ])('a subset given by Envoy as %s is kept to', async (_name, subset) => {
    const world = new EnvoyWorld();
    const engines = await world.script(3, 'm');
    const { client } = await world.serve(
      [group('g', world.addresses, { models: ['m'] }), policy('m', { backendRefs: [{ name: 'g' }] })],
      {},
      { subset: subset(engines[1].address) },
    );
    for (let i = 0; i < 6; i++) expect((await client.chat('m')).status).toBe(200);
    expect(engines.map(({ seen }) => seen.length)).toEqual([0, 6, 0]);
    await world.close();
  });
});
