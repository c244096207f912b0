import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HermesProcess } from '../testkit/process.ts';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { Client } from '../testkit/client.ts';
import { startCluster } from './kit/index.ts';
import { placeFor, type Place } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';

// Pods here have addresses where nobody is: what cache-indexer follows shows in the reasons of /readyz, and in rows of
// models that are declared. What it makes of events is for the suites on loopback.

const cluster = startCluster();
let place: Place;
let folder: string;
let indexer: HermesProcess | null;

beforeAll(() => cluster.installCrds());
afterAll(() => cluster.close());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-indexer-'));
  indexer = null;
  place = await placeFor(cluster);
});
afterEach(async () => {
  await indexer?.kill();
  rmSync(folder, { recursive: true });
});

async function launch(...flags: string[]): Promise<string> {
  const all = ['cache-indexer', '--kubeconfig', place.kubeconfig, '--listen', '127.0.0.1:0', '--drain-delay', '0s'];
  indexer = new HermesProcess([...all, ...flags]);
  return indexer.address('cache-indexer');
}

const readyz = async (address: string): Promise<string> => (await get(`http://${address}/readyz`)).text;

describe('cache-indexer in a cluster', () => {
  it('follows the Pods that a configuration selects, as they and it change', async () => {
    const file = join(folder, 'values.yaml');
    const select = (label: string): void =>
      writeFileSync(file, `app: {serviceDiscovery: {labelSelector: "app=${label}", inferencePort: 9000}}\n`);
    select('engine');
    const pods = new Pods(cluster, place.namespace);
    await pods.run({ name: 'a', ip: '10.99.0.41' });
    const address = await launch('--config', file);
    await until('the Pod is found', async () => (await readyz(address)).includes('a (10.99.0.41:9000)'), 30_000);
    await pods.run({ name: 'b', ip: '10.99.0.42' });
    await until('the next is found', async () => (await readyz(address)).includes('b (10.99.0.42:9000)'), 30_000);
    expect(await readyz(address)).toContain('none of its ports is called zmq-pub');
    select('none');
    const nobody = 'no Pod of the namespace has the labels app=none';
    await until('nobody has the label', async () => (await readyz(address)).includes(nobody));
    expect(await readyz(address)).not.toContain('10.99.0.41');
  });

  it('follows the engines of BackendGroups, without the right to write anything', async () => {
    const group = (name: string, kvCache: string): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  models: [${name}]
  discovery: {type: Pods, pods: {selector: {matchLabels: {app: engine}}, targetPorts: [{number: 8000}]}}
  kvCache: ${kvCache}
`;
    await cluster.apply(group('m', '{type: Events}'), '-n', place.namespace);
    await cluster.apply(group('guessed', '{type: Approximate}'), '-n', place.namespace);
    await new Pods(cluster, place.namespace).run({ name: 'a', ip: '10.99.0.43' });
    const mark = cluster.markRequests();
    const address = await launch();
    const client = new Client(address);
    const ask = async (model: string) => {
      const { status, text } = await client.post('/match_sort', { model, token_ids: [1, 2, 3] });
      return status === 200 ? (JSON.parse(text) as { matches: unknown }).matches : status;
    };
    await until('the engine is there', async () => (await ask('m')) !== 404, 30_000);
    expect(await ask('m')).toMatchObject([{ pod: 'a', address: '10.99.0.43:8000', matched_tokens: 0 }]);
    expect(await ask('guessed')).toBe(404);
    await client.close();
    const user = `system:serviceaccount:${place.namespace}:hermes-router`;
    const asked = cluster.requests(mark, { user }).map(({ verb, resource }) => `${verb} ${resource}`);
    expect([...new Set(asked)].sort()).toEqual([
      'list backendgroups',
      'list pods',
      'watch backendgroups',
      'watch pods',
    ]);
  });
});
