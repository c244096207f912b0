import { afterEach, describe, expect, it } from 'vitest';
import { backend, endpoint, group, policy } from '../../test/fixtures/fleet.ts';
import type { BackendGroup } from '../router/policy.ts';
import { noPrefixSource, type PrefixSource } from '../router/prefix.ts';
import { RoutingTable } from '../router/table.ts';
import {
  ask, books, emptyBooks, errorOf, events, json, open, openDoor, raw, respond, silent, tableOf, until,
  type Asked, type Door, type DoorOptions,
} from './door.fixture.ts'; // prettier-ignore
import type { Answerer } from './upstream/engine.fixture.ts';

let door: Door | null = null;

async function opened(answers: readonly (Answerer | string)[], options?: DoorOptions): Promise<Door> {
  door = await openDoor(answers, options);
  return door;
}

afterEach(async () => {
  await door?.close();
  door = null;
});

const ok = json(200, { id: 'x', model: 'm', choices: [] });
const chat = (body: unknown, headers: Record<string, string> = {}): [unknown, Asked] => [body, { headers }];

describe('what the front door refuses', () => {
  const cases: [string, [unknown, Asked], number, string, string | null][] = [
    ['a path that is not listed', [{}, { path: '/v1/load_lora_adapter' }], 404, 'unknown_url', null],
    ['the wrong method', [null, { method: 'GET' }], 405, 'method_not_allowed', null],
    ['the wrong method for models', [{}, { path: '/v1/models' }], 405, 'method_not_allowed', null],
    ['a content type other than JSON', chat({}, { 'content-type': 'text/plain' }), 415, 'unsupported_media_type', null],
    ['no JSON', chat('{'), 400, 'invalid_json', null],
    ['no body', chat(''), 400, 'invalid_json', null],
    ['no object', chat('[]'), 400, 'invalid_json', null],
    ['a wrong type', chat({ model: 1 }), 400, 'invalid_value', 'model'],
    ['the model twice', chat('{"model":"m","model":"m"}'), 400, 'invalid_value', 'model'],
    ['kv_transfer_params', chat({ model: 'm', kv_transfer_params: {} }), 400, 'invalid_value', 'kv_transfer_params'],
    ['an unknown model', chat({ model: 'x' }), 404, 'model_not_found', 'model'],
    ['a model of unknown id', [null, { method: 'GET', path: '/v1/models/x/y' }], 404, 'model_not_found', 'model'],
  ]; // prettier-ignore
  it.each(cases)('%s', async (_name, [body, asked], status, code, param) => {
    const at = await opened([ok]);
    const got = await ask(at, body, asked);
    expect(got.status).toBe(status);
    expect(errorOf(got)).toMatchObject({ code, param, type: 'invalid_request_error' });
    expect(got.headers['content-type']).toBe('application/json');
    expect(got.headers['x-request-id']).toMatch(/^[A-Za-z0-9._:-]{1,128}$/);
    expect(at.engines[0].requests).toEqual([]);
    expect(books(at)).toMatchObject({ held: 0, active: 0, inFlight: 0 });
  });

  it('says which method a path takes', async () => {
    const at = await opened([ok]);
    expect((await ask(at, null, { method: 'GET' })).headers.allow).toBe('POST');
    expect((await ask(at, null, { method: 'DELETE', path: '/v1/models/m' })).headers.allow).toBe('GET');
  });

  it('a body nested deeper than can be read', async () => {
    const at = await opened([ok]);
    const depth = 50_000;
    const got = await ask(at, `{"model":"m","tools":${'{"1":'.repeat(depth)}1${'}'.repeat(depth)}}`);
    expect(got.status).toBe(400);
    expect(errorOf(got).code).toBe('invalid_value');
    at.clock.advance(100);
    expect(books(at)).toEqual(emptyBooks);
  });

  it('a body over the limit, announced or not, and closes the connection', async () => {
    const at = await opened([ok], { maxBody: 100 });
    const large = JSON.stringify({ model: 'm', prompt: 'x'.repeat(200) });
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const got = await ask(at, large, { headers: { ...headers, connection: 'keep-alive' } });
      expect(got.status).toBe(413);
      expect(errorOf(got).code).toBe('request_too_large');
      expect(got.headers.connection).toBe('close');
    }
    expect(at.refused).toEqual([413, 413]);
    expect(at.frontDoor.bodies.held).toBe(0);
  });

  it('more bodies than may be held, until others are done', async () => {
    const at = await opened([silent], { maxBuffered: 300 });
    const body = { model: 'm', prompt: 'x'.repeat(200) };
    const first = open(at, body);
    await until(() => at.engines[0].requests.length === 1);
    const second = await ask(at, body);
    expect(second.status).toBe(503);
    expect(second.headers['retry-after']).toBe('1');
    expect(errorOf(second)).toMatchObject({ code: 'overloaded', type: 'service_unavailable' });
    first.request.destroy();
    await until(() => at.frontDoor.bodies.held === 0);
  });

  it('a policy that was never valid, so that a wider one does not take its requests', async () => {
    const narrow = policy({ name: 'narrow', match: { models: ['m'], headers: [{ name: 'x-a', value: '1' }] } });
    const at = await opened([ok], { policies: [narrow] });
    const got = await ask(at, { model: 'm' }, { headers: { 'x-a': '1' } });
    expect(got.status).toBe(503);
    expect(got.headers['retry-after']).toBe('1');
    expect(errorOf(got).code).toBe('policy_invalid');
    expect((await ask(at)).status).toBe(200);
  });

  it('a request for which no engine is ready', async () => {
    const at = await opened([ok]);
    at.states.flags[0] = 0;
    const got = await ask(at);
    expect(got.status).toBe(503);
    expect(got.headers['retry-after']).toBe('1');
    expect(errorOf(got)).toMatchObject({ code: 'no_ready_endpoint', type: 'service_unavailable' });
    at.clock.advance(100);
    expect(books(at)).toEqual(emptyBooks);
  });

  it('headers over 16 KiB with 431, and what is no HTTP with 400', async () => {
    const at = await opened([ok]);
    expect(await raw(at, `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: ${'x'.repeat(17_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 .*headers_too_large/s,
    );
    expect(await raw(at, 'GET /v1/models HTTP/1.1\r\nhost : x\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 .*invalid_request_error/s,
    );
    const smuggled =
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n';
    expect(await raw(at, smuggled)).toMatch(/^HTTP\/1\.1 400 /);
    expect(await raw(at, 'GET /v1/models?\u00e9 HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(at.engines[0].requests).toEqual([]);
  });

  it('a request whose plugin fails, and keeps the books', async () => {
    const picker = {
      pick() {
        throw new Error('canary of a plugin');
      },
    };
    const at = await opened([ok], { profile: { picker } });
    const got = await ask(at);
    expect(got.status).toBe(500);
    expect(errorOf(got)).toMatchObject({ code: 'internal_error', type: 'internal_error' });
    expect(got.text).not.toContain('canary');
    expect(at.logged.join()).toContain('canary of a plugin');
    at.clock.advance(100);
    expect(books(at)).toEqual(emptyBooks);
  });
});

describe('models', () => {
  it('are listed, and found by an id that holds slashes', async () => {
    const served = group({ name: 'other', models: ['org/a', 'org/b'] });
    const wide = policy({
      name: 'wide',
      backends: [backend({ group: served })],
      profile: tableOf([]).policies[0].profile,
    });
    const at = await opened([ok], { policies: [wide] });
    const list = await ask(at, null, { method: 'GET', path: '/v1/models' });
    expect(list.status).toBe(200);
    const { object, data } = JSON.parse(list.text) as { object: string; data: { id: string; object: string }[] };
    expect(object).toBe('list');
    expect(data.map(({ id }) => id)).toEqual(['m', 'org/a', 'org/b']);
    expect(new Set(data.map((model) => model.object))).toEqual(new Set(['model']));
    const one = await ask(at, null, { method: 'GET', path: '/rest/hermes-router/v1beta1/v1/models/org/a' });
    expect(JSON.parse(one.text)).toEqual(data[1]);
  });

  it('may be left out where there is one', async () => {
    const at = await opened([ok]);
    expect((await ask(at, { prompt: 'x' })).status).toBe(200);
    expect(at.engines[0].requests[0]).toMatch(/\r\n\r\n\{"prompt":"x"\}$/);
  });

  it('must be named where there are several', async () => {
    const more = policy({
      name: 'more',
      match: { models: ['n'], headers: [] },
      profile: tableOf([]).policies[0].profile,
    });
    const got = await ask(await opened([ok], { policies: [more] }), { prompt: 'x' });
    expect(got.status).toBe(400);
    expect(errorOf(got)).toMatchObject({ code: 'missing_model', param: 'model' });
  });

  it('are not said to exist where there are none', async () => {
    const at = await opened([ok]);
    at.store.current = new RoutingTable(2, [], new Map());
    expect(errorOf(await ask(at)).message).toContain('no model is served yet');
  });
});

describe('what an engine gets', () => {
  it('is the very body, the path it knows, the query, and no header that steers', async () => {
    const at = await opened([ok]);
    const body = '{ "model":"m", "seed":9223372036854775807, "temperature":1.0, "x":"é\\u00e9" }';
    await ask(at, body, {
      path: '/rest/hermes-router/v1beta1/v1/chat/completons?a=b%20c',
      headers: { 'X-Request-Id': 'id-1', 'X-Llm-D-Objective': 'x', authorization: 'Bearer c', 'x-trace': 't', 'accept-encoding': 'gzip' },
    }); // prettier-ignore
    const [head, sent] = at.engines[0].requests[0].split('\r\n\r\n');
    expect(Buffer.from(sent, 'latin1').toString()).toBe(body);
    expect(head.split('\r\n')[0]).toBe('POST /v1/chat/completions?a=b%20c HTTP/1.1');
    const lines = head.toLowerCase().split('\r\n').slice(1).sort();
    const length = Buffer.byteLength(body);
    expect(lines.filter((line) => !line.startsWith('host:') && !line.startsWith('connection:'))).toEqual(
      [`content-length: ${length}`, 'content-type: application/json', 'x-request-id: id-1', 'x-trace: t'].sort(),
    );
  });

  const keys: [string, Partial<BackendGroup>, string | undefined][] = [
    ["no client's key by default", {}, undefined],
    ["the client's key where that is wanted", { connection: { scheme: 'http', forwardAuthorization: true } }, 'Bearer client'],
    ['its own key', { connection: { scheme: 'http', forwardAuthorization: false, apiKey: 'own' } }, 'Bearer own'],
  ]; // prettier-ignore
  it.each(keys)('is %s', async (_name, options, wanted) => {
    const at = await opened([ok], { group: options });
    await ask(at, { model: 'm' }, { headers: { authorization: 'Bearer client' } });
    expect(/\r\nauthorization: (.*)\r\n/i.exec(at.engines[0].requests[0])?.[1]).toBe(wanted);
  });

  it('is its own name of the model, and the client sees the asked one, in whole answers and in streams', async () => {
    const answer: Answerer = (socket, request, count) =>
      count === 1
        ? respond(socket, 200, '{"id":1.0,"model":"m-fp8"}', 'content-type: application/json\r\n')
        : events('{"model":"m-fp8"}', '[DONE]')(socket, request, count);
    const at = await opened([answer], { backend: { rewriteModel: 'm-fp8' }, group: { models: ['m-fp8'] } });
    const whole = await ask(at, '{"a":1.0,"model":"m"}');
    expect(at.engines[0].requests[0]).toMatch(/\r\n\r\n\{"a":1\.0,"model":"m-fp8"\}$/);
    expect(whole.text).toBe('{"id":1.0,"model":"m"}');
    expect(whole.headers['content-length']).toBe(String(whole.text.length));
    expect((await ask(at, { model: 'm', stream: true })).text).toBe('data: {"model":"m"}\n\ndata: [DONE]\n\n');
  });
});

describe('what a client gets', () => {
  it.each([200, 201, 400, 404, 422, 429, 500, 503])("is an engine's own %d, unchanged", async (status) => {
    const at = await opened([json(status, { said: 'by engine' }, 'X-Engine: e\r\nx-request-id: of-engine\r\n')]);
    const got = await ask(at, { model: 'm' }, { headers: { 'x-request-id': 'mine' } });
    expect(got).toMatchObject({ status, text: '{"said":"by engine"}', cut: false });
    expect(got.headers).toMatchObject({ 'x-engine': 'e', 'x-request-id': 'mine', 'content-length': '20' });
    expect(at.outcomes).toEqual([status >= 500 ? '0 server_error' : '0 ok']);
    at.clock.advance(100);
    expect(books(at)).toEqual(emptyBooks);
  });

  it('is an answer without a body', async () => {
    const at = await opened([(socket) => void socket.write('HTTP/1.1 204 No Content\r\n\r\n')]);
    expect(await ask(at)).toMatchObject({ status: 204, text: '', cut: false });
  });

  const asked: [string, boolean, string, boolean][] = [
    ['the policy allows it and the client asks', true, '1', true],
    ['the client does not ask', true, '0', false],
    ['the policy does not allow it', false, '1', false],
  ];
  it.each(asked)('is the decision where %s', async (_name, debugHeaders, value, shown) => {
    const at = await opened([ok], { policy: { debugHeaders } });
    const { headers } = await ask(at, { model: 'm' }, { headers: { 'x-hermes-debug': value } });
    expect(headers['x-hermes-endpoint']).toBe(shown ? 'e0' : undefined);
    expect(headers['x-hermes-policy']).toBe(shown ? 'ns/policy' : undefined);
    expect('x-hermes-scores' in headers).toBe(shown);
  });

  it.each([
    ['a share of the prompt', { prompt_tokens: 9, prompt_tokens_details: { cached_tokens: 6 } }, [[0, 0.5, 6 / 9]]],
    ['silence of engines that count tokens', { prompt_tokens: 9 }, [[0, 0.5, null]]],
    ['nothing at all', undefined, []],
  ])('tells the prefix source what the engine says of its cache: %s', async (_name, usage, told) => {
    const answers: unknown[] = [];
    const prefixSource: PrefixSource = {
      ...noPrefixSource,
      match: (request, _candidates, out) => void (out[0] = request.prompt.tokens / 2),
      answered: (...args) => void answers.push(args),
    };
    const door = await opened([json(200, { usage })], { group: { prefixSource }, profile: { readsHits: true } });
    await ask(door, { model: 'm', prompt: 'x'.repeat(8) });
    expect(answers).toEqual(told);
  });

  it('is told of in the books', async () => {
    const usage = { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } };
    const at = await opened([json(200, { usage })]);
    await ask(at, { model: 'm', prompt: 'x'.repeat(400) });
    expect(at.finished).toMatchObject([
      { group: 'group', status: 200, broken: false, estimatedTokens: 100, promptTokens: 9, completionTokens: 4, cachedTokens: 8 },
    ]); // prettier-ignore
  });

  it('closes the connection while the router drains', async () => {
    const at = await opened([ok]);
    const headers = { connection: 'keep-alive' };
    expect((await ask(at, { model: 'm' }, { headers })).headers.connection).toBe('keep-alive');
    at.frontDoor.draining = true;
    expect((await ask(at, { model: 'm' }, { headers })).headers.connection).toBe('close');
    expect((await ask(at, '{', { headers })).headers.connection).toBe('close');
  });
});

describe('a group with a KV manager', () => {
  it('is asked before the decision, and a client that leaves meanwhile leaves nothing behind', async () => {
    let answer: (hits: ReadonlyMap<string, number>) => void = () => undefined;
    let asked = 0;
    const managerLookup = () => {
      asked += 1;
      return new Promise<ReadonlyMap<string, number>>((resolve) => (answer = resolve));
    };
    const at = await opened([ok], { group: { managerLookup }, profile: { readsHits: true } });
    const stays = open(at);
    await until(() => asked === 1);
    expect(at.engines[0].requests).toEqual([]);
    answer(new Map());
    expect((await stays.got).status).toBe(200);
    let gone = false;
    at.server.on('connection', (socket) => socket.on('close', () => (gone = true)));
    const leaves = open(at);
    await until(() => asked === 2);
    expect(at.frontDoor.bodies.held).toBeGreaterThan(0);
    leaves.request.destroy();
    // The router has to see the client go before the manager answers.
    await until(() => gone);
    answer(new Map());
    await until(() => at.frontDoor.bodies.held === 0);
    expect(at.engines[0].requests).toHaveLength(1);
    at.clock.advance(100);
    expect(books(at)).toEqual(emptyBooks);
  });

  it('whose look-up breaks its promise costs the request and nothing else', async () => {
    const managerLookup = () => Promise.reject(new Error('canary of a look-up'));
    const at = await opened([ok], { group: { managerLookup }, profile: { readsHits: true } });
    const got = await ask(at);
    expect(got.status).toBe(500);
    expect(got.text).not.toContain('canary');
    expect(at.refused).toEqual([500]);
    expect(books(at)).toEqual(emptyBooks);
  });
});

describe('a new table', () => {
  it('closes idle connections to engines that are gone', async () => {
    const at = await opened([ok]);
    await ask(at);
    expect(at.engines[0].connections).toBe(1);
    at.store.current = new RoutingTable(2, [], new Map());
    at.frontDoor.tableChanged();
    await at.engines[0].closed(1);
  });

  it('keeps connections to engines that stay', async () => {
    const at = await opened([ok]);
    const { groups } = at.store.current;
    await ask(at);
    at.store.current = new RoutingTable(2, at.store.current.policies, groups);
    at.frontDoor.tableChanged();
    await ask(at);
    expect(at.engines[0].connections).toBe(1);
  });

  it('does not touch a request under way', async () => {
    const at = await opened([silent]);
    const { got } = open(at);
    await until(() => at.engines[0].requests.length === 1);
    const other = group({ endpoints: [endpoint(0)], prefixSource: noPrefixSource });
    at.store.current = new RoutingTable(2, [], new Map([[other.key, other]]));
    at.frontDoor.tableChanged();
    respond(at.engines[0].sockets[0], 200, 'done');
    expect((await got).text).toBe('done');
  });
});
