import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  backend,
  endpoints,
  group,
  policy,
  profile,
  promptOf,
  readyStates,
  request,
} from '../../test/fixtures/fleet.ts';
import { adminApp, metricsApp } from '../observability/admin-server.ts';
import { ScoreBook } from '../observability/score-book.ts';
import type { Explanation } from '../router/explanation.ts';
import { Router } from '../router/router.ts';
import { RoutingTable, TableStore } from '../router/table.ts';
import { explainSource } from './explain-source.ts';
import { runExplain } from './explain.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';

let folder: string;
let server: Server | null = null;
let out: string[];
let err: string[];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-explain-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  out = [];
  err = [];
});
afterEach(() => {
  server?.close().closeAllConnections();
  server = null;
});

const io = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function listen(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  return `127.0.0.1:${address.port}`;
}

/** A router with three policies, of which one has never been valid, and its admin API. */
function world(models: readonly string[] = ['m', 'other']) {
  const states = readyStates(2);
  const book = new ScoreBook<Explanation>({ now: () => 1000, wallTime: () => 0 });
  const router = new Router({ states, random: () => 0.999, observer: book });
  const backends = [backend({ group: group({ models, endpoints: endpoints(2) }) })];
  const match = { models: [], headers: [] };
  const valid = profile({ scorers: [{ type: 'scorer-least-load' }] }, states, () => 0.999);
  const policies = [
    policy({ name: 'p', match, backends, profile: valid }),
    policy({ name: 'red', match: { ...match, headers: [{ name: 'x-team', value: 'red' }] }, backends, profile: valid }),
    policy({ name: 'broken', match: { ...match, models: ['broken'] }, backends }),
  ];
  const store = new TableStore(new RoutingTable(1, policies, new Map()));
  const app = (token: string | null = null) =>
    adminApp(
      {
        notReady: () => null,
        metrics: new Registry(),
        table: () => null,
        stats: () => ({ replica: 'r1', ready: true, policies: [] }),
        explain: explainSource({ store, router, book, promptSecret: 1, maxBody: 1000 }),
      },
      token,
    );
  return {
    app,
    states,
    send: () => router.decide(policies[0], request({ prompt: promptOf('secret'), requestId: 'r-7' })),
  };
}

function explain(admin: string, ...args: string[]): Promise<number> {
  return runExplain(['--admin', admin, ...args], io);
}

describe('hermes-router explain', () => {
  it('shows the last decision', async () => {
    const { app, send } = world();
    send();
    expect(await explain(await listen(app()))).toBe(0);
    expect(out.slice(0, 3)).toEqual([
      'policy    ns/p',
      'decision  1970-01-01T00:00:00.000Z, request r-7',
      'model     m, prompt of about 2 tokens',
    ]);
    expect(out.join('\n')).toContain('\n*  e0             0  0      0\n');
    expect(err).toEqual([]);
  });

  it('says so where nothing has been decided', async () => {
    expect(await explain(await listen(world().app()), '--policy', 'ns/red')).toBe(0);
    expect([out, err]).toEqual([[], ['no request has been decided yet; send one, or give --request']]);
  });

  it('shows what would become of a request, which changes nothing', async () => {
    const { app, states } = world();
    states.inFlight[0] = 1;
    const body = file('good.json', JSON.stringify({ model: 'm', prompt: [1, 2, 3] }));
    const code = await explain(await listen(app()), '--request', body, '--path', '/v1/completions', '-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out.join('\n'))).toMatchObject({
      decisions: [{ policy: 'ns/p', hypothetical: true, promptTokens: 3, picked: { endpoint: 'e1' } }],
    });
    expect([...states.inFlight]).toEqual([1, 0]);
  });

  it('asks a policy by name, whatever its headers', async () => {
    const body = file('good.json', '{"model": "m"}');
    await explain(await listen(world().app()), '--request', body, '--policy', 'ns/red');
    expect(out[0]).toBe('policy    ns/red');
  });

  it('needs no model where there is only one', async () => {
    expect(await explain(await listen(world(['m']).app()), '--request', file('none.json', '{}'))).toBe(0);
    expect(out).toContain('model     m, prompt of about 1 tokens');
  });

  it('shows its token', async () => {
    const address = await listen(world().app('s3cret'));
    expect(await explain(address, '--admin-token-file', file('token', 's3cret\n'))).toBe(0);
  });

  const faults: [string, () => string[], string][] = [
    ['an unknown policy', () => ['--policy', 'ns/x'], 'there is no policy ns/x; known are ns/p, ns/red, ns/broken'],
    ['no JSON', () => ['--request', file('bad.json', '{"secret')], 'the body is not valid JSON'],
    [
      'an unknown model',
      () => ['--request', file('bad.json', '{"model":"x"}')],
      'The model `x` does not exist; served are m, other',
    ],
    ['no model', () => ['--request', file('bad.json', '{}')], 'name a model in the body; served are m, other'],
    [
      'another path',
      () => ['--request', file('good.json', '{}'), '--path', '/metrics'],
      'no inference request goes to this path; try /v1/chat/completions',
    ],
    [
      'a large body',
      () => ['--request', file('big.json', ' '.repeat(1001))],
      'the body is larger than 1000 bytes; --max-body allows more',
    ],
  ];
  it.each(faults)('ends with 1 for %s', async (_name, args, message) => {
    expect(await explain(await listen(world().app()), ...args())).toBe(1);
    expect([out, err]).toEqual([[], [`hermes-router explain: ${message}`]]);
  });

  it('ends with 1 for a wrong token, and for a request that is not there', async () => {
    expect(await explain(await listen(world().app('s3cret')))).toBe(1);
    expect(err[0]).toMatch(/send the admin token as Authorization: Bearer; give --admin-token-file$/);
    expect(await explain('127.0.0.1:1', '--request', join(folder, 'nothing.json'))).toBe(1);
    expect(err[1]).toMatch(/nothing\.json cannot be read: ENOENT/);
  });

  const misuses: [string, string[], RegExp][] = [
    ['a format that there is not', ['-o', 'yaml'], /write table or json/],
    ['a path without a request', ['--path', '/v1/completions'], /goes with --request/],
    ['an address that is none', ['--admin', 'ftp://router'], /write http:\/\/HOST:PORT/],
    ['an unknown flag', ['--what'], /--what/],
  ];
  it.each(misuses)('refuses %s', async (_name, args, message) => {
    const call = runExplain(args, io);
    await expect(call).rejects.toThrow(UsageError);
    await expect(call).rejects.toThrow(message);
  });

  const outside: [string, RequestListener, RegExp][] = [
    ['is no router', (_request, response) => response.end('hello'), /is no admin API of this version/],
    [
      'fails',
      (_request, response) => response.writeHead(500).end('{"error":{"message":"out of order"}}'),
      /answered 500: out of order/,
    ],
    [
      'knows nothing of it',
      (_request, response) => response.writeHead(404).end('<html>'),
      /answered 404: and did not say why/,
    ],
    [
      'breaks off',
      (_request, response) => response.destroy(),
      /no answer from the admin API at http:\/\/127\.0\.0\.1:[0-9]+: .*is serve running\?/,
    ],
  ];
  it.each(outside)('blames the outside where what answers %s', async (_name, listener, message) => {
    const call = explain(`http://${await listen(listener)}`);
    await expect(call).rejects.toThrow(OutsideError);
    await expect(call).rejects.toThrow(message);
  });

  it('blames the outside for an address of the same router that is not its admin API', async () => {
    const stats = () => ({ replica: 'r1', ready: true, policies: [] });
    const sources = { notReady: () => null, metrics: new Registry(), table: () => null, stats };
    const address = await listen(metricsApp(sources));
    await expect(explain(address)).rejects.toThrow(
      `${address} is not the admin API; name the address that serve has for --admin`,
    );
  });

  it('blames the outside for a policy that has never been valid and for a token file that is not there', async () => {
    const body = file('good.json', '{"model": "broken"}');
    await expect(explain(await listen(world().app()), '--request', body)).rejects.toThrow(
      'the admin API answered 503: ns/broken has never been valid; its status says what is wrong',
    );
    await expect(explain('127.0.0.1:1', '--admin-token-file', join(folder, 'no'))).rejects.toThrow(/cannot be read/);
  });

  it('tells its flags on a screen', async () => {
    expect(await runExplain(['-h'], io)).toBe(0);
    const lines = out.join('\n').split('\n');
    expect(lines.length).toBeLessThan(24);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
  });
});
