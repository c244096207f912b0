import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';
import { adminApp, isLoopbackName, metricsApp, type AdminSources } from './admin-server.ts';

let server: Server | null = null;
let notReady: string | null;

beforeEach(() => {
  notReady = null;
});

afterEach(() => {
  server?.close().closeAllConnections();
  server = null;
});

const sources: AdminSources = {
  notReady: () => notReady,
  metrics: new Registry(),
  table: () => ({ generation: 3 }),
  stats: () => ({ replica: 'r1', ready: true, policies: [] }),
};

async function serve(app: ReturnType<typeof adminApp>): Promise<void> {
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

/** Asks with exactly these headers; `{port}` in a value stands for the server's. */
async function ask(path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const address = server?.address();
  if (typeof address !== 'object' || address === null) throw new Error('no server');
  const { port } = address;
  const filled = Object.entries(headers).map(([name, value]) => [name, value.replace('{port}', String(port))]);
  const request = httpRequest({
    host: '127.0.0.1',
    port,
    path,
    headers: Object.fromEntries(filled),
    agent: false,
  }).end();
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: String(response.headers['content-type']),
          text,
          headers: response.headers,
        }),
      );
    });
  });
}

describe.each([
  ['the metrics server', () => metricsApp(sources)],
  ['the admin server', () => adminApp(sources, null)],
  ['the admin server with a token', () => adminApp(sources, 'secret')],
])('probes of %s', (_name, app) => {
  it('say that the process lives', async () => {
    await serve(app());
    notReady = 'draining';
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
  });

  it('say whether it is ready, and why not', async () => {
    await serve(app());
    expect(await ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
    notReady = 'draining';
    expect(await ask('/readyz')).toMatchObject({ status: 503, text: 'draining\n' });
  });

  it('do not say what they are made of', async () => {
    await serve(app());
    expect((await ask('/healthz')).headers).not.toHaveProperty('x-powered-by');
  });
});

describe('metricsApp', () => {
  it('shows metrics, and nothing of the admin API', async () => {
    await serve(metricsApp(sources));
    const { status, type } = await ask('/metrics');
    expect(status).toBe(200);
    expect(type).toContain('text/plain');
    expect((await ask('/api/v1/table')).status).toBe(404);
    expect((await ask('/api/v1/stats')).status).toBe(404);
  });

  it('reports a failing gauge as an error of its own', async () => {
    const read = () => {
      throw new Error('no number');
    };
    await serve(metricsApp({ ...sources, metrics: createMetrics([], [{ name: 'a', help: 'b', read }]) }));
    expect(await ask('/metrics')).toMatchObject({ status: 500, text: '{"error":{"message":"no number"}}' });
  });
});

describe('adminApp without a token', () => {
  const allowed: [string, Record<string, string>][] = [
    ['127.0.0.1', {}],
    ['localhost', { host: 'localhost:{port}' }],
    ['localhost without a port', { host: 'localhost' }],
    ['IPv6', { host: '[::1]:8081' }],
    ['its own page', { origin: 'http://127.0.0.1:{port}' }],
    ['its own page by name', { host: 'localhost:{port}', origin: 'http://localhost:{port}' }],
  ];
  it.each(allowed)('answers %s', async (_name, headers) => {
    await serve(adminApp(sources, null));
    expect(await ask('/api/v1/table', headers)).toMatchObject({ status: 200, text: '{"generation":3}' });
    expect(await ask('/api/v1/stats', headers)).toMatchObject({
      status: 200,
      text: '{"replica":"r1","ready":true,"policies":[]}',
    });
  });

  const refused: [string, Record<string, string>][] = [
    ['a name that was made to point here', { host: 'evil.example' }],
    ['a name that only begins like this machine', { host: 'localhost.evil.example' }],
    ['an address that only begins like loopback', { host: '127.0.0.1.evil.example' }],
    ['a page of another site', { origin: 'https://evil.example' }],
    ['a page of another port', { origin: 'http://127.0.0.1:1' }],
    ['a page without an origin of its own', { origin: 'null' }],
    ['another site under its own name', { host: 'evil.example', origin: 'http://evil.example' }],
  ];
  it.each(refused)('refuses %s', async (_name, headers) => {
    await serve(adminApp(sources, null));
    for (const path of ['/api/v1/table', '/api/v1/stats']) {
      const { status, text } = await ask(path, headers);
      expect(status).toBe(403);
      expect(text).not.toContain('generation');
    }
  });

  it('shows no stack of a fault', async () => {
    const table = () => {
      throw new Error('no table');
    };
    await serve(adminApp({ ...sources, table }, null));
    expect(await ask('/api/v1/table')).toMatchObject({ status: 500, text: '{"error":{"message":"no table"}}' });
  });

  it('serves nothing else', async () => {
    await serve(adminApp(sources, null));
    expect(await ask('/')).toMatchObject({ status: 404 });
    expect(await ask('/api/v1/secrets')).toMatchObject({ status: 404 });
  });
});

describe('adminApp with a token', () => {
  const cases: [string, Record<string, string>, number][] = [
    ['the token', { authorization: 'Bearer secret' }, 200],
    ['the token from any host', { authorization: 'Bearer secret', host: 'router.example' }, 200],
    ['no token', {}, 401],
    ['another token', { authorization: 'Bearer secreT' }, 401],
    ['a shorter one', { authorization: 'Bearer secre' }, 401],
    ['another scheme', { authorization: 'Basic secret' }, 401],
    ['the token from a page of another site', { authorization: 'Bearer secret', origin: 'http://evil.example' }, 403],
  ];
  it.each(cases)('asked with %s: %#', async (_name, headers, status) => {
    await serve(adminApp(sources, 'secret'));
    expect((await ask('/api/v1/table', headers)).status).toBe(status);
  });
});

describe('isLoopbackName', () => {
  it.each(['localhost', '127.0.0.1', '127.1.2.3', '::1'])('takes %s', (name) =>
    expect(isLoopbackName(name)).toBe(true),
  );
  it.each(['', '0.0.0.0', '::', '10.0.0.1', 'localhost.', 'example.com', '127.0.0.1.nip.io', '1270.0.0.1'])(
    'refuses %j',
    (name) => expect(isLoopbackName(name)).toBe(false),
  );
});
