import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chatBody } from './testkit/client.ts';
import { echo, sendObject, type ScriptedEngine, type Script, type Seen } from './testkit/engine.ts';
import { policy } from './testkit/manifests.ts';
import { pairedGroup, type PairMember } from './testkit/pairs.ts';
import { metric } from './testkit/router.ts';
import { World } from './testkit/world.ts';

/** What an engine tells of the blocks that it holds; nobody between it and the decoder may understand it. */
const told =
  '{"do_remote_prefill":true,"remote_block_ids":[[1,2,9223372036854775807]],"weight":1.0,"new":{"a":[null,[{}]]}}';

const prefill: Script = (_seen, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`{"id":"cmpl-1","choices":[],"usage":{"prompt_tokens":3},"kv_transfer_params": ${told} }`);
};

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

async function pair(scripts: { prefill?: Script; decode?: Script } = {}, spec: object = {}, rules: object = {}) {
  const [prefiller] = await world.script(1, 'm', scripts.prefill ?? prefill);
  const [decoder] = await world.script(1, 'm', scripts.decode ?? echo);
  const members: PairMember[] = [
    { name: 'p', address: prefiller.address, role: 'prefill', group: 'g' },
    { name: 'd', address: decoder.address, role: 'decode', group: 'g' },
  ];
  const router = await world.serve([
    pairedGroup('m', members, {}, spec as Record<string, unknown>),
    policy('m', { strategy: { type: 'RandomPDBucket' }, debug: { headers: true }, ...rules }),
  ]);
  return { prefiller, decoder, router };
}

/** A body's top-level member as its bytes read. */
function raw({ body }: Seen, name: string): string | undefined {
  return new RegExp(`"${name}"\\s*:\\s*("[^"]*"|[^,}\\]]+)`).exec(body)?.[1];
}

const opening = {
  do_remote_decode: true,
  do_remote_prefill: false,
  remote_engine_id: null,
  remote_block_ids: null,
  remote_host: null,
  remote_port: null,
};

describe('what a prefiller is sent', () => {
  it('is the request, cut to one token, with the opening of the transfer', async () => {
    const { prefiller } = await pair();
    const fields = {
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 99,
      min_tokens: 5,
      seed: 7,
    };
    const stream = await (await world.client.stream('m', fields)).drain();
    expect(stream.text).toMatch(/data: \[DONE\]\n\n$/);
    const body = JSON.parse(prefiller.last.body) as Record<string, unknown>;
    const { messages } = chatBody('m') as { messages: unknown };
    expect(body).toEqual({
      model: 'm',
      messages,
      stream: false,
      max_tokens: 1,
      max_completion_tokens: 1,
      min_tokens: 1,
      n: 1,
      seed: 7,
      kv_transfer_params: opening,
    });
  });

  it('keeps numbers and escapes of the client as they are written', async () => {
    const { prefiller, decoder } = await pair();
    const text =
      '{"model":"m","prompt":"a\\u0062","logit_bias":{"1":1.0},"seed":9223372036854775807, "max_tokens" : 4 ,"user":"\\"max_tokens\\":9"}';
    expect((await world.client.post('/v1/completions', text)).status).toBe(200);
    for (const engine of [prefiller, decoder]) {
      expect(raw(engine.last, 'seed')).toBe('9223372036854775807');
      expect(engine.last.body).toContain('"logit_bias":{"1":1.0}');
      expect(engine.last.body).toContain('"user":"\\"max_tokens\\":9"');
      expect(engine.last.url).toBe('/v1/completions');
    }
    expect(decoder.last.body.replace(`"kv_transfer_params":${told},`, '')).toBe(text);
  });
});

it.each([
  ['several answers', { n: 3 }],
  ['several prompts', { prompt: ['a', 'b'] }],
])(
  'a request for %s is no prefiller’s: blocks that are read twice may be another request’s by then',
  async (_what, fields) => {
    const { prefiller, decoder } = await pair();
    const { messages, ...body } = chatBody('m') as { messages: unknown };
    const [path, asked] = 'n' in fields ? ['chat/completions', { ...body, messages }] : ['completions', body];
    expect((await world.client.post(`/v1/${path}`, { ...asked, ...fields })).status).toBe(200);
    expect(prefiller.seen).toEqual([]);
    expect(JSON.parse(decoder.last.body)).toEqual({ ...asked, ...fields });
  },
);

describe('what a decoder is sent', () => {
  it('is the whole request, and what the prefiller has told as its bytes are', async () => {
    const { decoder } = await pair();
    await world.client.chat('m', { max_tokens: 7, stream_options: null });
    expect(decoder.last.body).toContain(`"kv_transfer_params":${told}`);
    expect(JSON.parse(decoder.last.body)).toMatchObject({ max_tokens: 7, stream_options: null });
  });

  it.each([
    ['null', '{"id":"1","kv_transfer_params":null}'],
    ['not there', '{"id":"1"}'],
  ])('is the request alone where the parameters are %s: other connectors share a store', async (_sentence, answer) => {
    const { decoder } = await pair({
      prefill: (_seen, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(answer),
    });
    expect((await world.client.chat('m')).status).toBe(200);
    expect(JSON.parse(decoder.last.body)).toEqual(chatBody('m'));
  });

  it('has the same request id as the prefiller, and neither has headers that steer or secrets', async () => {
    const { prefiller, decoder } = await pair();
    const headers = {
      'x-request-id': 'abc-1',
      authorization: 'Bearer secret',
      'x-openfuyao-prefill-pod-address-port': '10.0.0.1:80',
      'x-prefiller-host-port': '10.0.0.1:80',
      'x-other': 'stays',
    };
    const answer = await world.client.chat('m', {}, { headers });
    expect(answer.headers['x-request-id']).toBe('abc-1');
    for (const { last } of [prefiller, decoder]) {
      expect(last.headers).toMatchObject({ 'x-request-id': 'abc-1', 'x-other': 'stays' });
      for (const name of ['authorization', 'x-openfuyao-prefill-pod-address-port', 'x-prefiller-host-port'])
        expect(last.headers).not.toHaveProperty(name);
    }
  });

  it('is asked for the model that the backend has, and the client sees the one it asked for', async () => {
    const { prefiller, decoder } = await pair(
      {},
      { models: ['m', 'own'] },
      {
        backendRefs: [{ name: 'm', rewriteModel: 'own' }],
      },
    );
    const { text } = await world.client.chat('m');
    expect([raw(prefiller.last, 'model'), raw(decoder.last, 'model')]).toEqual(['"own"', '"own"']);
    expect((JSON.parse(text) as { model: string }).model).toBe('m');
  });
});

describe('what a client gets', () => {
  it('is the decoder’s answer with both engines in the debug headers', async () => {
    await pair();
    const { headers, status } = await world.client.chat('m', {}, { headers: { 'x-hermes-debug': '1' } });
    expect([status, headers['x-hermes-endpoint'], headers['x-hermes-prefill-endpoint']]).toEqual([200, 'd', 'p']);
  });

  it('is an error for transfer parameters of its own, which no engine sees', async () => {
    const { prefiller, decoder } = await pair();
    const { status, error } = await world.client.chat('m', { kv_transfer_params: { do_remote_prefill: true } });
    expect([status, error.code, error.param]).toEqual([400, 'invalid_value', 'kv_transfer_params']);
    expect([prefiller.seen.length, decoder.seen.length]).toEqual([0, 0]);
  });

  it.each([400, 422, 500])('is the prefiller’s own answer where that is a %i', async (status) => {
    const { decoder } = await pair({
      prefill: (_seen, response) => sendObject(response, { error: { message: 'no', code: status } }, status),
    });
    const answer = await world.client.chat('m', { stream: true });
    expect([answer.status, answer.error.message]).toEqual([status, 'no']);
    expect(decoder.seen).toEqual([]);
  });

  it.each([
    ['no JSON', 'nonsense'],
    ['a list', '[]'],
    ['cut short', '{"kv_transfer_params":{"a":'],
    ['nested without end', `{"kv_transfer_params":${'['.repeat(100_000)}`],
    ['too large', `{"kv_transfer_params":{"a":"${'x'.repeat(3_000_000)}"}}`],
    ['a number for parameters', '{"kv_transfer_params":5}'],
  ])('is a clear error where the prefiller answers with %s', async (_sentence, body) => {
    const { decoder, router } = await pair({
      prefill: (_seen, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body),
    });
    const { status, error } = await world.client.chat('m');
    expect([status, error.type, error.code]).toEqual([502, 'upstream_error', 'upstream_unreachable']);
    expect(decoder.seen).toEqual([]);
    expect(await metric(router, 'hermes_requests_in_flight')).toBe(0);
  });
});

/** Ids that a prefiller was told to forget, over all that it has seen. */
function aborted({ seen }: ScriptedEngine): string[] {
  return seen.flatMap(({ body }) => {
    const { kv_transfer_params: params } = JSON.parse(body) as { kv_transfer_params: { aborted_request?: string[] } };
    return params.aborted_request ?? [];
  });
}

describe('blocks that nobody will read', () => {
  it('are told to their prefiller with its next request, once', async () => {
    let fails = true;
    const { prefiller } = await pair({
      decode: (seen, response) => {
        if (fails) response.socket?.resetAndDestroy();
        else echo(seen, response);
      },
    });
    const { status } = await world.client.chat('m', {}, { headers: { 'x-request-id': 'lost' } });
    expect(status).toBe(502);
    fails = false;
    await world.client.chat('m');
    await world.client.chat('m');
    expect(aborted(prefiller).filter((id) => id === 'lost')).toHaveLength(1);
  });
});
