import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ToldDecision } from '../../src/commands/explain-source.ts';
import type { ReplicaReport } from '../../src/observability/replica-report.ts';
import { Client } from './testkit/client.ts';
import { group, policy } from './testkit/manifests.ts';
import { HermesProcess } from './testkit/process.ts';
import { get, startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, startEngines } from './testkit/sim.ts';
import type { SimEngine } from '../../src/sim/server.ts';
import { until } from './testkit/until.ts';

/** In the prompt, the session, the key and the cookie of every request. */
const canary = `canary${randomUUID().replaceAll('-', '')}`;
const system = `${canary} You are a helpful assistant who answers at length. `.repeat(40);
const messages = [{ role: 'system', content: system }];
const secrets = { authorization: `Bearer ${canary}`, cookie: canary, 'x-session-id': canary };

let engines: SimEngine[];
let router: RunningRouter;
let client: Client;
let admin: Client;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-explain-'));
  engines = await startEngines(3, 'chat', { speedUp: 20 });
  const addresses = engines.map((engine) => engine.address);
  const header = (value: string) => [{ type: 'Exact', name: 'x-strategy', value }];
  const kvAware = { type: 'KVAware', kvAware: { hitWeight: 2 } };
  const twoScorers = [
    { type: 'prefix-cache-scorer', weight: 3 },
    { type: 'queue-scorer', weight: 2 },
  ];
  const filters = [{ type: 'filter-by-label', parameters: { label: 'zone', values: ['a'] } }];
  router = await startRouter(
    [
      group('chat', addresses),
      group('gone', ['127.0.0.1:1'], { models: ['chat'] }),
      policy('chat', {
        backendRefs: [
          { name: 'chat', weight: 95 },
          { name: 'gone', weight: 5 },
        ],
      }),
      policy('kv', {
        match: { models: ['chat'], headers: header('kv') },
        backendRefs: [{ name: 'chat' }],
        strategy: kvAware,
      }),
      policy('two', {
        match: { models: ['chat'], headers: header('two') },
        backendRefs: [{ name: 'chat' }],
        strategy: { type: 'Profile', profile: { scorers: twoScorers } },
      }),
      policy('zoned', {
        match: { models: ['chat'], headers: header('zoned') },
        backendRefs: [{ name: 'chat' }],
        strategy: { type: 'Profile', profile: { filters } },
      }),
    ],
    { away: ['gone'] },
  );
  client = new Client(router.proxy);
  admin = new Client(router.admin);
  await until('the dead engine is known to be dead', async () => {
    const [{ endpoints }] = await hypothetical();
    return endpoints.some(({ reason }) => reason === 'Unhealthy');
  });
});

afterAll(async () => {
  await closeAll([client, admin]);
  await router.stop();
  await closeAll(engines);
  rmSync(folder, { recursive: true });
});

function decisionsOf(text: string): ToldDecision[] {
  return (JSON.parse(text) as { decisions: ToldDecision[] }).decisions;
}

async function hypothetical(query = '', headers: Readonly<Record<string, string>> = {}): Promise<ToldDecision[]> {
  const { status, text } = await admin.post(`/api/v1/explain${query}`, { model: 'chat', messages }, { headers });
  expect([status, text.slice(0, 14)]).toEqual([200, '{"decisions":[']);
  return decisionsOf(text);
}

async function last(name: string): Promise<ToldDecision> {
  const { status, text } = await get(`http://${router.admin}/api/v1/explain?policy=default/${name}`);
  expect(status).toBe(200);
  const [decision] = decisionsOf(text);
  return decision;
}

async function stats(): Promise<ReplicaReport> {
  return JSON.parse((await get(`http://${router.admin}/api/v1/stats`)).text) as ReplicaReport;
}

async function explain(...args: string[]): Promise<{ code: unknown; out: string; err: string }> {
  const command = new HermesProcess(['explain', '--admin', `http://${router.admin}`, ...args]);
  const code = await command.exit;
  return { code, out: command.stdout, err: command.stderr };
}

describe('a request just sent', () => {
  it('is explained, a single one too', async () => {
    const headers = { ...secrets, 'x-request-id': 'explain-1' };
    expect((await client.chat('chat', { messages }, { headers })).status).toBe(200);
    const decision = await last('chat');
    expect(decision).toMatchObject({
      policy: 'default/chat',
      hypothetical: false,
      requestId: 'explain-1',
      model: 'chat',
      attempt: 1,
      effectiveProfile: 'scorer-auto x1 → picker-min-random',
      backends: [
        { group: 'chat', weight: 95, share: 1, reason: null },
        { group: 'gone', weight: 5, share: 0, reason: 'no endpoint is left' },
      ],
    });
    expect(decision.promptTokens).toBeGreaterThan(500);
    expect(decision.endpoints.map(({ endpoint, group: of, reason }) => [of, endpoint, reason])).toEqual([
      ['chat', 'e1', null],
      ['chat', 'e2', null],
      ['chat', 'e3', null],
      ['gone', 'e1', 'Unhealthy'],
    ]);
    const { endpoint, group: of } = decision.endpoints.find(({ picked }) => picked) ?? {};
    expect([of, endpoint]).toEqual([decision.picked?.group, decision.picked?.endpoint]);
    expect(Date.now() - Date.parse(decision.at)).toBeLessThan(60_000);
  });

  it('tells the profile of its policy, and the value and weight of every scorer at every endpoint', async () => {
    await client.chat('chat', { messages }, { headers: { ...secrets, 'x-strategy': 'two' } });
    const { effectiveProfile, endpoints } = await last('two');
    expect(effectiveProfile).toBe('prefix-cache-scorer x3 → queue-scorer x2 → picker-min-random');
    expect(endpoints).toHaveLength(3);
    for (const { parts, score } of endpoints) {
      expect(parts.map(({ scorer, weight }) => [scorer, weight])).toEqual([
        ['prefix-cache-scorer', 3],
        ['queue-scorer', 2],
      ]);
      expect(score).toBeCloseTo(parts.reduce((sum, { value, weight }) => sum + value * weight, 0));
    }
    const best = Math.max(...endpoints.map(({ score }) => score ?? -Infinity));
    expect(endpoints.find(({ picked }) => picked)?.score).toBe(best);
    const { out } = await explain('--policy', 'default/two');
    for (const part of ['A = prefix-cache-scorer, weight 3', 'B = queue-scorer, weight 2', effectiveProfile])
      expect(out).toContain(part);
  });

  it('is explained, too, where no endpoint was left', async () => {
    expect((await client.chat('chat', { messages }, { headers: { ...secrets, 'x-strategy': 'zoned' } })).status).toBe(
      503,
    );
    const { hypothetical: asked, picked, endpoints } = await last('zoned');
    expect([asked, picked]).toEqual([false, null]);
    expect(endpoints.map(({ reason }) => reason)).toEqual(Array(3).fill('filter-by-label: no label zone, not a'));
  });

  it('counts among the scores of the statistics', async () => {
    await client.chat('chat', { messages }, { headers: secrets });
    const report = await stats();
    expect(report.ready).toBe(true);
    expect(report.policies.map(({ policy: key }) => key).sort()).toEqual([
      'default/chat',
      'default/kv',
      'default/two',
      'default/zoned',
    ]);
    const found = report.policies.find(({ policy: key }) => key === 'default/chat');
    expect(found?.scores.reduce((sum, { picks }) => sum + picks, 0)).toBeGreaterThan(1);
    expect(found?.scores[0].group).toBe('chat');
    expect(found?.scores[0].breakdown).toEqual([{ scorer: 'scorer-auto', value: expect.any(Number), weight: 1 }]);
    expect(report.policies.find(({ policy: key }) => key === 'default/kv')?.requestsPerMinute).toBe(0);
  });
});

describe('a hypothetical request', () => {
  it('goes where the conversation is cached, and is not sent', async () => {
    await client.chat('chat', { messages }, { headers: secrets });
    const before = engines.map((engine) => engine.state().requests);
    const [decision] = await hypothetical();
    expect(decision).toMatchObject({ hypothetical: true, requestId: null, byChance: [] });
    expect(decision.picked?.cachedTokens).toBeGreaterThan(500);
    expect(engines.map((engine) => engine.state().requests)).toEqual(before);
  });

  it('is matched by its headers, or asked of a policy by name', async () => {
    const [byHeader] = await hypothetical('', { 'x-strategy': 'kv' });
    const [byName] = await hypothetical('?policy=default/kv');
    expect([byHeader.policy, byName.policy]).toEqual(['default/kv', 'default/kv']);
    expect(byHeader.endpoints[0].parts[0].scorer).toBe('scorer-aggregate-kv-cache-aware');
  });

  it('says which filter dropped an endpoint', async () => {
    const [{ picked, endpoints }] = await hypothetical('', { 'x-strategy': 'zoned' });
    expect(picked).toBeNull();
    expect(new Set(endpoints.map(({ reason }) => reason))).toEqual(new Set(['filter-by-label: no label zone, not a']));
  });

  const refused: [string, string, object | string, number, RegExp][] = [
    ['no JSON', '', '{', 400, /not valid JSON/],
    ['an unknown model', '', { model: 'none' }, 404, /does not exist; served are chat/],
    ['an unknown policy', '?policy=default/x', { model: 'chat' }, 404, /known are default\/chat/],
    ['another path', '?path=/v1/admin', { model: 'chat' }, 400, /try \/v1\/chat\/completions/],
    ['a body too large', '', ' '.repeat(17 * 1024 * 1024), 413, /larger than 16777216 bytes/],
  ];
  it.each(refused)('is refused for %s', async (_name, query, body, status, message) => {
    const answer = await admin.post(`/api/v1/explain${query}`, body);
    expect(answer.status).toBe(status);
    expect(answer.error.message).toMatch(message);
  });
});

describe('hermes-router explain', () => {
  it('shows the last decision as a table', async () => {
    await client.chat('chat', { messages }, { headers: { ...secrets, 'x-request-id': 'explain-2' } });
    const { code, out } = await explain('--policy', 'default/chat');
    expect(code).toBe(0);
    for (const part of ['scorer-auto, weight 1', 'chat weight 95 (100%)', 'Unhealthy', '\n*  '])
      expect(out).toContain(part);
  });

  it('shows a hypothetical one from a file, as JSON when asked', async () => {
    const file = join(folder, 'request.json');
    writeFileSync(file, JSON.stringify({ model: 'chat', prompt: 'Once upon a time' }));
    const { code, out } = await explain('--request', file, '--path', '/v1/completions', '-o', 'json');
    expect(code).toBe(0);
    expect(decisionsOf(out)[0]).toMatchObject({ policy: 'default/chat', hypothetical: true, promptTokens: 4 });
  });

  const exits: [string, string[], number, RegExp][] = [
    ['an unknown policy', ['--policy', 'default/none'], 1, /there is no policy default\/none; known are/],
    ['a file that is not there', ['--request', '/nowhere/request.json'], 1, /cannot be read/],
    ['an unknown format', ['-o', 'yaml'], 2, /write table or json/],
    ['a router that is not there', ['--admin', '127.0.0.1:1'], 3, /is serve running\?/],
  ];
  it.each(exits)('ends on %s with a sentence', async (_name, args, exit, message) => {
    const { code, err } = await explain(...args);
    expect(code).toBe(exit);
    expect(err).toMatch(message);
  });
});

it('nothing that clients wrote is explained', async () => {
  const headers = { ...secrets, 'x-strategy': 'kv' };
  await client.chat('chat', { messages, user: canary, tools: [{ type: canary }] }, { headers });
  await client.post('/v1/completions', { model: 'chat', prompt: [918_273_645, 546_372_819] }, { headers: secrets });
  const pages = await Promise.all(
    ['/api/v1/explain', '/api/v1/stats'].map((path) => get(`http://${router.admin}${path}`)),
  );
  const told = JSON.stringify([await hypothetical('', secrets), await explain(), pages.map(({ text }) => text)]);
  for (const text of [...pages.map((page) => page.text), told]) expect(text.length).toBeGreaterThan(500);
  for (const part of [canary, '918273645', 'helpful assistant']) expect(told).not.toContain(part);
});
