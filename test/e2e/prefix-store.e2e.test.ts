import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SimEngine } from '../../src/sim/server.ts';
import { wallClock } from '../../src/commands/wall-clock.ts';
import { connectRedis } from '../../src/indexer/shared/connection.ts';
import { StoreServer, storePrograms } from './redis/server.ts';
import { Client } from './testkit/client.ts';
import { group, policy, secret } from './testkit/manifests.ts';
import { metric, readTable, startRouter, type RunningRouter } from './testkit/router.ts';
import { closeAll, startEngines } from './testkit/sim.ts';
import { until } from './testkit/until.ts';

const model = 'm';
const password = 'canary-of-the-store';

let folder: string;
let keyFile: string;
let valkey: string;
beforeAll(() => {
  valkey = storePrograms()[0].path;
  folder = mkdtempSync(join(tmpdir(), 'hermes-key-'));
  keyFile = join(folder, 'key');
  writeFileSync(keyFile, randomBytes(32).toString('hex'));
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

let engines: SimEngine[];
let store: StoreServer;
let routers: RunningRouter[];
let clients: Client[];
beforeEach(async () => {
  engines = await startEngines(4, model, { speedUp: 10 });
  store = await StoreServer.start(valkey, '--requirepass', password);
  routers = [];
  clients = [];
});
afterEach(async () => {
  await closeAll(clients);
  await Promise.all(routers.map((router) => router.stop()));
  await closeAll(engines);
  await store.dispose();
});

/** A further replica of the router. */
async function replica(flags: readonly string[] = ['--prefix-key-file', keyFile]): Promise<RunningRouter> {
  const redis = { address: `127.0.0.1:${store.port}`, secretRef: { name: 'store' } };
  const spec = { kvCache: { type: 'Approximate', prefixStore: { type: 'Redis', redis } } };
  const addresses = engines.map(({ address }) => address);
  const router = await startRouter(
    [
      secret('store', { password }),
      group(model, addresses, spec),
      policy(model, { strategy: { type: 'KVAware' }, debug: { headers: true } }),
    ],
    { flags },
  );
  routers.push(router);
  clients.push(new Client(router.proxy));
  return router;
}

const connected = async (router: RunningRouter): Promise<boolean> =>
  (await metric(router, 'hermes_shared_prefix_connected')) === 1;

const prompt = (topic: string): string => `${topic} `.repeat(200);

async function ask(client: Client, topic: string): Promise<{ endpoint: string; cached: number }> {
  const messages = [{ role: 'user', content: prompt(topic) }];
  const { status, headers } = await client.chat(model, { messages }, { headers: { 'x-hermes-debug': '1' } });
  expect(status).toBe(200);
  return { endpoint: String(headers['x-hermes-endpoint']), cached: Number(headers['x-hermes-cached-tokens']) };
}

/** All keys, and all that the streams hold. */
async function everythingIn({ port }: StoreServer): Promise<string> {
  const connection = await connectRedis({ host: '127.0.0.1', port, password }, wallClock);
  try {
    const keys = await connection.call(['KEYS', '*'], 5000);
    const streams = await connection.call(['XRANGE', `hermes:{default/${model}}:prefixes`, '-', '+'], 5000);
    return textOf([keys, streams]);
  } finally {
    connection.close();
  }
}

function textOf(reply: unknown): string {
  if (Array.isArray(reply)) return reply.map(textOf).join(' ');
  return reply instanceof Uint8Array ? Buffer.from(reply).toString('latin1') : String(reply);
}

describe('replicas that share what they have sent', () => {
  it('send a prompt to where another has sent it, and one that starts later knows it from its first request', async () => {
    const first = await replica();
    await replica();
    for (const router of routers) await until('the store is connected', () => connected(router));
    const there = await ask(clients[0], 'shared');
    expect(there.cached).toBe(0);
    await until('the other knows', async () => (await metric(routers[1], 'hermes_shared_prefix_blocks_learned_total')) > 0); // prettier-ignore
    const again = await ask(clients[1], 'shared');
    expect(again.endpoint).toBe(there.endpoint);
    expect(again.cached).toBeGreaterThan(100);
    await first.stop();
    routers.shift();
    await replica();
    expect(await ask(clients[2], 'shared')).toEqual(again);
  });

  it('go on by themselves while the store is away, and share again when it is back', async () => {
    await replica();
    await replica();
    for (const router of routers) await until('the store is connected', () => connected(router));
    await store.kill();
    for (const router of routers) await until('its loss is known', async () => !(await connected(router)));
    const alone = await ask(clients[0], 'alone');
    expect(await ask(clients[0], 'alone')).toMatchObject({ endpoint: alone.endpoint });
    await store.up();
    for (const router of routers) await until('it is back', () => connected(router));
    await until('what was learned meanwhile arrives', async () => (await metric(routers[1], 'hermes_shared_prefix_blocks_learned_total')) > 0); // prettier-ignore
    const other = await ask(clients[1], 'alone');
    expect(other.endpoint).toBe(alone.endpoint);
    expect(other.cached).toBeGreaterThan(100);
  });

  it('say what is missing, and go on without', async () => {
    const router = await replica([]);
    expect((await ask(clients[0], 'x')).cached).toBe(0);
    expect(await connected(router)).toBe(false);
    const { conditions } = await readTable(router);
    expect(conditions.flatMap((one) => one.conditions)).toContainEqual(
      expect.objectContaining({
        type: 'CacheKnown',
        status: 'False',
        reason: 'NotShared',
        message: expect.stringContaining('--prefix-key-file'),
      }),
    );
  });

  it('write neither prompts nor keys nor the password into the store, logs or metrics', async () => {
    const router = await replica();
    await until('the store is connected', () => connected(router));
    await ask(clients[0], 'canary-in-a-prompt');
    await until('it is written', async () => (await metric(router, 'hermes_shared_prefix_sent_total')) > 0);
    const stored = await everythingIn(store);
    expect(stored).toContain('hermes:{default/m}:prefixes');
    for (const text of [stored, router.process.stdout]) {
      expect(text).not.toContain('canary');
    }
  });
});
