import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { adminApp, metricsApp, type AdminSources } from './admin-server.ts';
import { AdminError, type ExplainSource, type HypotheticalRequest } from './explain-api.ts';

let asked: HypotheticalRequest[];
let server: Server | null = null;
const path = '/api/v1/explain';

beforeEach(() => {
  asked = [];
});
afterEach(() => {
  server?.close().closeAllConnections();
  server = null;
});

const explain: ExplainSource = {
  maxBody: 100,
  last(policy) {
    if (policy === 'ns/none') throw new AdminError(404, 'there is no policy ns/none');
    return [policy ?? 'all'];
  },
  hypothetical(request) {
    asked.push(request);
    const body = request.body.toString();
    if (body === 'bad') return Promise.reject(new AdminError(400, 'write it better'));
    return body === 'fault' ? Promise.reject(new Error('out of order')) : Promise.resolve(body);
  },
};

const sources: AdminSources = {
  notReady: () => null,
  metrics: new Registry(),
  table: () => null,
  stats: () => ({ replica: 'r1', ready: true, policies: [] }),
  explain,
};

interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function ask(to: string, sent: Sent = {}, app = adminApp(sources, null)): Promise<[number, string]> {
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  const { method = 'GET', headers = {}, body } = sent;
  const request = httpRequest({ host: '127.0.0.1', port: address.port, path: to, method, headers, agent: false });
  request.end(body);
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve([response.statusCode ?? 0, text]));
    });
  });
}

const post = (body: string, over: Sent = {}): Sent => ({ method: 'POST', body, ...over });
const error = (message: string): string => JSON.stringify({ error: { message } });

describe('GET /api/v1/explain', () => {
  const cases: [string, string, number, string][] = [
    ['every policy', '', 200, '{"decisions":["all"]}'],
    ['one policy', '?policy=ns%2Fp', 200, '{"decisions":["ns/p"]}'],
    ['a policy that is not there', '?policy=ns/none', 404, error('there is no policy ns/none')],
    ['two policies', '?policy=a&policy=b', 400, error('give policy once')],
  ];
  it.each(cases)('for %s', async (_name, query, status, text) => {
    expect(await ask(path + query)).toEqual([status, text]);
  });
});

describe('POST /api/v1/explain', () => {
  it('hands on the body, the policy and the path', async () => {
    expect(await ask(`${path}?policy=ns/p&path=/v1/completions`, post('{}'))).toEqual([200, '{"decisions":["{}"]}']);
    expect(asked).toMatchObject([{ policy: 'ns/p', path: '/v1/completions', body: Buffer.from('{}') }]);
  });

  it('asks for a chat of whichever policy takes it where nothing is said', async () => {
    await ask(path, post(''));
    expect(asked).toMatchObject([{ policy: null, path: '/v1/chat/completions', body: Buffer.alloc(0) }]);
  });

  it('hands on headers to match, and none that authorise', async () => {
    const headers = { authorization: 'Bearer secret', cookie: 'secret', 'X-Team': 'red', 'content-type': 'text/plain' };
    await ask(path, post('{}', { headers }), adminApp(sources, 'secret'));
    expect(asked[0].headers).toEqual(['X-Team', 'red', 'content-type', 'text/plain']);
  });

  const faults: [string, string, Sent, number, string][] = [
    ['what the source refuses', '', post('bad'), 400, error('write it better')],
    ['a fault of the source', '', post('fault'), 500, error('out of order')],
    [
      'a body over the limit',
      '',
      post('x'.repeat(101)),
      413,
      error('the body is larger than 100 bytes; --max-body allows more'),
    ],
    [
      'a packed body',
      '',
      post('x', { headers: { 'content-encoding': 'gzip' } }),
      415,
      error('send the body without content-encoding'),
    ],
    ['two paths', '?path=a&path=b', post('{}'), 400, error('give path once')],
    ['another method', '', { method: 'PUT' }, 405, error('explain takes GET and POST only')],
  ];
  it.each(faults)('answers %s', async (_name, query, sent, status, text) => {
    expect(await ask(path + query, sent)).toEqual([status, text]);
  });

  it('takes a body of exactly the limit', async () => {
    expect((await ask(path, post('x'.repeat(100))))[0]).toBe(200);
  });
});

describe('who may ask', () => {
  it('is nobody without the token, where there is one', async () => {
    expect((await ask(path, {}, adminApp(sources, 'secret')))[0]).toBe(401);
    expect((await ask(path, post('{}'), adminApp(sources, 'secret')))[0]).toBe(401);
    expect(asked).toEqual([]);
  });

  it('is nobody at the metrics port, nor where nothing is decided', async () => {
    const { explain: _left, ...without } = sources;
    expect((await ask(path, {}, metricsApp(sources)))[0]).toBe(404);
    expect((await ask(path, {}, adminApp(without, null)))[0]).toBe(404);
  });
});
