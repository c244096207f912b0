import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chatBody, Client } from './testkit/client.ts';
import { selfSigned } from './testkit/certificate.ts';
import { echo, ScriptedEngine, sendObject } from './testkit/engine.ts';
import { group, policy, secret } from './testkit/manifests.ts';
import { startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll } from './testkit/sim.ts';

const chat = '/v1/chat/completions';
const engineModel = 'engine/model-FP8';

let plain: ScriptedEngine;
let renamed: ScriptedEngine;
let tls: ScriptedEngine;
let router: RunningRouter;
let client: Client;

beforeAll(async () => {
  const certificate = selfSigned('engine.test');
  plain = await ScriptedEngine.start(['plain']);
  renamed = await ScriptedEngine.start([engineModel]);
  tls = await ScriptedEngine.start(['tls'], echo, certificate);
  const connection = { scheme: 'https', caSecretRef: { name: 'authority' }, serverName: 'engine.test' };
  router = await startRouter(
    [
      secret('authority', { 'ca.crt': certificate.cert }),
      secret('keys', { engine: 'engine-key\n' }),
      group('plain', [plain.address]),
      policy('plain'),
      group('forwarding', [plain.address], { connection: { forwardAuthorization: true } }),
      policy('forwarding'),
      group('keyed', [plain.address], { connection: { apiKeySecretRef: { name: 'keys', key: 'engine' } } }),
      policy('keyed'),
      group('tls', [tls.address], { connection }),
      policy('tls'),
      group('distrusted', [tls.address], { connection: { scheme: 'https' } }),
      policy('distrusted'),
      group('renamed', [renamed.address], { models: [engineModel] }),
      policy('asked', {
        match: { models: ['asked'] },
        backendRefs: [
          { name: 'plain', weight: 0 },
          { name: 'renamed', weight: 1, rewriteModel: engineModel },
        ],
      }),
      policy('shared', {
        match: { models: ['shared'] },
        backendRefs: [
          { name: 'plain', weight: 3, rewriteModel: 'plain' },
          { name: 'renamed', weight: 1, rewriteModel: engineModel },
        ],
      }),
    ],
    { away: ['distrusted'] },
  );
  client = new Client(router.proxy);
});

afterEach(() => {
  for (const engine of [plain, renamed, tls]) {
    engine.seen.length = 0;
    engine.script = echo;
  }
});

afterAll(async () => {
  await client.close();
  await router.stop();
  await closeAll([plain, renamed, tls]);
});

describe('what reaches an engine', () => {
  it.each([
    'x-openfuyao-pd-role',
    'X-OpenFuyao-Anything',
    'x-prefiller-host-port',
    'x-gateway-destination-endpoint',
    'x-gateway-destination-endpoint-subset',
    'x-llm-d-anything',
    'x-hermes-debug',
    'authorization',
    'proxy-authorization',
    'te',
  ])('never the header %s', async (name) => {
    expect((await client.chat('plain', {}, { headers: { [name]: 'from-a-client' } })).status).toBe(200);
    expect(Object.keys(plain.last.headers)).not.toContain(name.toLowerCase());
    expect(JSON.stringify(plain.last)).not.toContain('from-a-client');
  });

  it('other headers, the query, and the bytes of the body as they came', async () => {
    const body = '{ "model":"plain" , "seed": 9223372036854775807, "top_p":1.0, "x":"\\u00e9é", "messages":[] }';
    const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'x-tenant': 'a, b' };
    await client.post(`${chat}?beta=1&x=%20`, body, { headers });
    expect(plain.last).toMatchObject({ method: 'POST', url: `${chat}?beta=1&x=%20`, body, headers });
    expect(plain.last.headers.host).toBe(plain.address);
  });

  it('the path that engines know, whichever spelling was asked', async () => {
    await client.post('/rest/hermes-router/v1beta1/v1/chat/completons', chatBody('plain'));
    expect(plain.last.url).toBe(chat);
  });

  it("the client's Authorization where the group forwards it", async () => {
    await client.chat('forwarding', {}, { headers: { authorization: 'Bearer client-key' } });
    expect(plain.last.headers.authorization).toBe('Bearer client-key');
  });

  it("the group's key instead of the client's", async () => {
    await client.chat('keyed', {}, { headers: { authorization: 'Bearer client-key' } });
    expect(plain.last.headers.authorization).toBe('Bearer engine-key');
  });

  it('nothing of a request that is refused', async () => {
    const refused = [
      await client.post('/sleep', chatBody('plain')),
      await client.post(chat, '{"model":"plain"'),
      await client.chat('plain', { kv_transfer_params: null }),
      await client.chat('plain', {}, { headers: { 'content-type': 'text/plain' } }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([404, 400, 400, 415]);
    expect(plain.seen).toEqual([]);
  });
});

describe('engines behind TLS', () => {
  it('are reached with the authority and the server name of their group', async () => {
    expect((await client.chat('tls')).status).toBe(200);
    expect(tls.seen).toHaveLength(1);
  });

  it('are not talked to when nobody vouches for them', async () => {
    const answer = await client.chat('distrusted');
    expect([answer.status, answer.error.code]).toEqual([503, 'no_ready_endpoint']);
    expect(tls.seen).toEqual([]);
  });
});

describe('a model that is rewritten', () => {
  it('changes the bytes of its name only', async () => {
    const body = (model: string): string =>
      `{ "seed":9223372036854775807,\n"temperature":1.0, "nested":{"model":"asked"}, "model" : "${model}" ,"text":"\\"model\\":\\"asked\\" 😀"}`;
    await client.post(chat, body('asked'));
    expect(renamed.last.body).toBe(body(engineModel));
  });

  it('is called by the asked name in a whole answer', async () => {
    const answer = await client.chat('asked');
    expect((JSON.parse(answer.text) as { model: string }).model).toBe('asked');
    expect(Number(answer.headers['content-length'])).toBe(Buffer.byteLength(answer.text));
  });

  it('is called by the asked name in a stream, even when the engine cuts its events in pieces', async () => {
    renamed.script = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const text = `data: {"model":"${engineModel}","choices":[{"delta":{"content":"\\"model\\":\\"${engineModel}\\""}}]}\n\ndata: [DONE]\n\n`;
      const pieces = Array.from(text);
      const send = (): void => {
        const piece = pieces.shift();
        if (piece === undefined) response.end();
        else response.write(piece, () => setImmediate(send));
      };
      send();
    };
    const stream = await (await client.stream('asked')).drain();
    expect(stream.events).toEqual([
      `{"model":"asked","choices":[{"delta":{"content":"\\"model\\":\\"${engineModel}\\""}}]}`,
      '[DONE]',
    ]);
  });

  it('keeps big numbers of the answer', async () => {
    renamed.script = (_seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"model": "${engineModel}", "seed": 9223372036854775807, "score": 1.0}`);
    };
    const { text } = await client.chat('asked');
    expect(text).toBe('{"model": "asked", "seed": 9223372036854775807, "score": 1.0}');
  });

  it("errors keep the engine's words", async () => {
    renamed.script = (_seen, response) =>
      sendObject(response, { error: { message: `no ${engineModel}`, code: 422 } }, 422);
    const answer = await client.chat('asked');
    expect([answer.status, answer.text]).toEqual([422, `{"error":{"message":"no ${engineModel}","code":422}}`]);
  });
});

describe('weights', () => {
  it('share the requests out, and none goes to a weight of zero', async () => {
    const total = 400;
    for (let i = 0; i < total; i++) expect((await client.chat('shared')).status).toBe(200);
    // A fair draw of 3 : 1 is outside of 300 ± 60 once in 10^11 runs.
    expect(plain.seen.length).toBeGreaterThan(240);
    expect(plain.seen.length).toBeLessThan(360);
    expect(plain.seen.length + renamed.seen.length).toBe(total);
    plain.seen.length = 0;
    for (let i = 0; i < 50; i++) await client.chat('asked');
    expect(plain.seen).toEqual([]);
  });
});

describe('a retry at another backend', () => {
  it.each([
    ['whole', false],
    ['streamed', true],
  ])('is rewritten anew, and the %s answer has the asked name', async (_name, stream) => {
    // Whichever of the two comes first resets its connections; the other one answers.
    let failing: ScriptedEngine | null = null;
    for (const engine of [plain, renamed]) {
      engine.script = (seen, response) => {
        failing ??= engine;
        if (failing === engine) response.socket?.resetAndDestroy();
        else echo(seen, response);
      };
    }
    const { status, text } = await client.chat('shared', { stream });
    expect(status).toBe(200);
    expect(text).toContain('"model":"shared"');
    expect([plain.last, renamed.last].map(({ body }) => (JSON.parse(body) as { model: string }).model)).toEqual([
      'plain',
      engineModel,
    ]);
  });
});

describe('one routable model', () => {
  it('need not be named, and the engine is told which one it is only where it is rewritten', async () => {
    const alone = await startRouter([group('plain', [plain.address], { models: [] }), policy('plain', { match: {} })]);
    const single = new Client(alone.proxy);
    plain.script = (_seen, response) => sendObject(response, { model: 'plain' });
    const body = { messages: [{ role: 'user', content: 'hello' }] };
    expect((await single.post(chat, body)).status).toBe(200);
    expect(plain.last.body).toBe(JSON.stringify(body));
    await single.close();
    await alone.stop();
  });
});
