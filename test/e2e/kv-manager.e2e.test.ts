import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sendObject } from './testkit/engine.ts';
import { publishing, RunningIndexer, type Matches } from './testkit/indexer.ts';
import { group, policy, secret, type Document } from './testkit/manifests.ts';
import { metric, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';
import { World } from './testkit/world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const knownBy = (manager: string, addresses: readonly string[], timeout: string, more: Document = {}): Document[] => [
  group('m', addresses, { kvCache: { type: 'Manager', manager: { url: `http://${manager}`, timeout, ...more } } }),
  policy('m', { strategy: { type: 'KVAware' } }),
];

describe('a KV manager', () => {
  it('is asked with the prompt and the candidates, and the request goes where it says', async () => {
    const engines = await world.sim(3, 'm');
    const addresses = engines.map((engine) => engine.address);
    let best = 0;
    const [manager] = await world.script(1, 'none', (_seen, response) => {
      const matches = addresses.map((address, i) => ({ pod: `p${i}`, address, hit_rate: i === best ? 0.9 : 0 }));
      sendObject(response, { model: 'm', block_size: 16, tokens: 100, matches });
    });
    await world.serve(knownBy(manager.address, addresses, '5s'));
    for (best = 0; best < 3; best++) {
      const before = engines[best].state().requests;
      for (let i = 0; i < 5; i++) expect((await world.client.chat('m', { user: 'é' })).status).toBe(200);
      expect(engines[best].state().requests).toBe(before + 5);
    }
    expect(manager.last).toMatchObject({ method: 'POST', url: '/match_sort' });
    const messages = [{ role: 'user', content: 'Say something.' }];
    expect(JSON.parse(manager.last.body)).toMatchObject({ model: 'm', messages, candidates: addresses });
  });

  it('may answer nonsense: requests are routed without it', async () => {
    const engines = await world.sim(1, 'm');
    const [manager] = await world.script(1, 'none', (_seen, response) => response.end('{"matches": 7}'));
    const router = await world.serve(knownBy(manager.address, [engines[0].address], '5s'));
    expect((await world.client.chat('m')).status).toBe(200);
    expect(await failures(router, 'answer_invalid')).toBe(1);
  });
});

describe('cache-indexer as KV manager', () => {
  let indexer: RunningIndexer | null = null;
  afterEach(async () => {
    await indexer?.close();
    indexer = null;
  });

  const system = { role: 'system', content: 'word '.repeat(400) };
  const turn = (user: string): object[] => [system, { role: 'user', content: user }];

  it('sends chats where their prefix is, and again after it was killed', async () => {
    const engines = await world.sim(3, 'm', { kvEvents: { events: 'tcp://127.0.0.1:0', replay: 'tcp://127.0.0.1:0' } });
    const running = await RunningIndexer.start([publishing('m', engines)]);
    indexer = running;
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve(knownBy(running.address, addresses, '5s'));
    expect((await world.client.chat('m', { messages: turn('one') })).status).toBe(200);
    const first = engines.findIndex((engine) => engine.state().requests === 1);
    const seen = () => running.matched({ model: 'm', messages: turn('two') });
    await until('the hit is seen', async () => (await seen())[`e${first + 1}`] > 0);
    for (let i = 0; i < 6; i++) await world.client.chat('m', { messages: turn(`more ${i}`) });
    expect(engines[first].state().requests).toBe(7);
    await running.restart();
    for (let i = 0; i < 6; i++) await world.client.chat('m', { messages: turn(`again ${i}`) });
    expect(engines[first].state().requests).toBe(13);
    expect(await metric(router, 'hermes_manager_failures_total')).toBe(0);
  });

  it('is asked with the token that it wants, a renewed one within seconds', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hermes-e2e-manager-'));
    const file = join(folder, 'token');
    const headers = (token: string) => ({ authorization: `Bearer ${token}` });
    try {
      writeFileSync(file, 'first\n');
      const engines = await world.sim(3, 'm', { kvEvents: { events: 'tcp://127.0.0.1:0', replay: null } });
      const running = await RunningIndexer.start([publishing('m', engines)], ['--token-file', file]);
      indexer = running;
      const addresses = engines.map((engine) => engine.address);
      const documents = (token: string): Document[] => [
        secret('indexer', { token }),
        ...knownBy(running.address, addresses, '5s', { tokenSecretRef: { name: 'indexer', key: 'token' } }),
      ];
      const router = await world.serve(documents('first'));
      const question = { model: 'm', messages: turn('two') };
      expect((await running.ask(question)).status).toBe(401);
      expect((await world.client.chat('m', { messages: turn('one') })).status).toBe(200);
      const first = engines.findIndex((engine) => engine.state().requests === 1);
      await until('the hit is seen', async () => {
        const { text } = await running.ask(question, headers('first'));
        const { matches } = JSON.parse(text) as Matches;
        return matches.some(({ address, hit_rate }) => address === addresses[first] && hit_rate > 0);
      });
      for (let i = 0; i < 4; i++) await world.client.chat('m', { messages: turn(`more ${i}`) });
      expect([engines[first].state().requests, await failures(router, 'status')]).toEqual([5, 0]);
      writeFileSync(file, 'second\n');
      await until('it wants the new token', async () => (await running.ask(question, headers('first'))).status === 401);
      expect((await world.client.chat('m', { messages: turn('old token') })).status).toBe(200);
      expect(await failures(router, 'status')).toBe(1);
      router.manifests.write('all.yaml', documents('second'));
      await until('the router has the new token', async () => {
        const before = await failures(router, 'status');
        await world.client.chat('m', { messages: turn('new token') });
        return (await failures(router, 'status')) === before;
      });
      expect(router.process.stdout + running.process.stdout).not.toMatch(/Bearer|"second"|"first"/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('costs the hits when it is away, never a request', async () => {
    const engines = await world.sim(2, 'm', { kvEvents: { events: 'tcp://127.0.0.1:0', replay: null } });
    const running = await RunningIndexer.start([publishing('m', engines)]);
    indexer = running;
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve(knownBy(running.address, addresses, '5s'));
    await running.process.kill();
    for (let i = 0; i < 8; i++) expect((await world.client.chat('m', { messages: turn(`${i}`) })).status).toBe(200);
    expect(await metric(router, 'hermes_manager_failures_total')).toBe(8);
  });
});

describe('a KV manager that hangs', () => {
  let manager: Server;
  let address: string;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    manager = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined).resume();
    });
    await new Promise<void>((resolve) => manager.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(manager.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    manager.close();
  });

  it('delays requests by one time-out at most, and after some of them not at all', async () => {
    const engines = await world.sim(2, 'm');
    const addresses = engines.map((engine) => engine.address);
    const router = await world.serve(knownBy(address, addresses, '100ms'));
    expect((await world.client.chat('m')).status).toBe(200);
    expect(await failures(router, 'timeout')).toBe(1);
    for (let i = 0; i < 30; i++) expect((await world.client.chat('m')).status).toBe(200);
    // The breaker has opened: most requests have not asked.
    expect(await failures(router, 'breaker_open')).toBeGreaterThan(15);
    expect((await failures(router, 'timeout')) + (await failures(router, 'breaker_open'))).toBe(31);
  });

  it('keeps nothing of a client that leaves meanwhile', async () => {
    const [engine] = await world.sim(1, 'm');
    const router = await world.serve(knownBy(address, [engine.address], '1s'), { flags: ['--max-buffered', '1Mi'] });
    const leaving = new AbortController();
    const waiting = world.client.chat('m', { user: 'x'.repeat(600_000) }, { signal: leaving.signal });
    await until('the manager has been asked', () => sockets.size > 0);
    leaving.abort();
    await expect(waiting).rejects.toThrow();
    await until('the look-up has ended', async () => (await failures(router, 'timeout')) === 1);
    // There is room for as large a body again.
    expect((await world.client.chat('m', { user: 'x'.repeat(600_000) })).status).toBe(200);
    expect(engine.state().requests).toBe(1);
  });
});

function failures(router: RunningRouter, reason: string): Promise<number> {
  return metric(router, 'hermes_manager_failures_total', `reason="${reason}"`);
}
