import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { randomBytes } from 'node:crypto';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { Operator, placeFor, quick, type Place } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
/** Found nowhere unless somebody has written it there. */
const keys = [1, 2].map((n) => `canary-${n}-${randomBytes(12).toString('hex')}`);
let engine: SimEngine;
let place: Place;
let operator: Operator;
let client: Client;

beforeAll(() => cluster.installCrds());
afterAll(() => cluster.close());
beforeEach(async () => {
  engine = await startSimEngine({ models: ['m'], apiKey: keys[0] });
  place = await placeFor(cluster);
  operator = await Operator.ready({
    kubeconfig: place.kubeconfig,
    flags: quick,
  });
  client = new Client(operator.proxy);
});
afterEach(async () => {
  await client.close();
  await operator.stop();
  await engine.close();
});

const apply = (text: string) => cluster.apply(text, '-n', place.namespace);
const secret = (key: string): string => `
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: ${key}}
`;
const status = async (): Promise<number> => (await client.chat('m')).status;

/** Everything that the router has said anywhere. */
async function said(): Promise<string> {
  const pages = ['/api/v1/table', '/api/v1/stats', '/api/v1/explain?policy=p'].map((path) => operator.admin + path);
  const texts = await Promise.all([...pages, `${operator.metrics}/metrics`].map((page) => get(`http://${page}`)));
  const kinds = 'routingpolicies,backendgroups,controllerrevisions,events,leases';
  const objects = await cluster.mustKubectl(['get', kinds, '-n', place.namespace, '-o', 'json']);
  return [operator.process.stdout, operator.process.stderr, objects, ...texts.map(({ text }) => text)].join('\n');
}

describe('the key of an engine', () => {
  it('comes from a Secret, is renewed within seconds, and is written down nowhere', async () => {
    const connection = 'connection: {apiKeySecretRef: {name: key, key: token}}';
    await apply(`${staticGroup('g', [engine.address], connection)}---${policy('p')}`);
    // Without the Secret no model is learned: the engine asks for the key.
    await until('the log misses the Secret', () => operator.process.stdout.includes('a secret is missing'));
    expect(await status()).toBe(404);
    await apply(secret(keys[0]));
    await until('the engine takes the key', async () => (await status()) === 200);
    const address = engine.address;
    await engine.close();
    const [host, port] = address.split(':');
    engine = await startSimEngine({ models: ['m'], apiKey: keys[1], host, port: Number(port) });
    await until('the old key is refused', async () => (await status()) === 401);
    await apply(secret(keys[1]));
    await until('the new key is in force', async () => (await status()) === 200, 8000);
    const everything = await said();
    for (const key of keys) {
      expect(everything).not.toContain(key);
      expect(everything).not.toContain(Buffer.from(key).toString('base64'));
    }
    // The Secret is what is named, and its name is no secret.
    expect(everything).toContain('apiKeySecretRef');
  });
});
