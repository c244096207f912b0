import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chart,
  ClientPod,
  model,
  objects,
  project,
  rolledOut,
  startCluster,
  strictNamespace,
  until,
} from './kit/index.ts';

const cluster = startCluster();
const engines = join(project, 'examples/2_kv_aware/charts/vllm');
const url = 'http://hermes-router';
let namespace: string;
let client: ClientPod;

/** What the guide's file says, for this namespace and its cache-indexer. */
const values = (strategy: string): string[] => [
  ...['-f', join(project, 'examples/config/v25.09.yaml')],
  ...['--set', `app.namespace=${namespace},app.strategy=${strategy},app.kvmanager.url=http://cache-indexer-service`],
];

beforeAll(async () => {
  namespace = await strictNamespace(cluster);
  client = await ClientPod.start(cluster, namespace);
  await cluster.mustHelm('install', 'vllm', engines, '-n', namespace, '--set', 'simulated.enabled=true');
  await cluster.mustHelm('install', 'cache-indexer', chart('cache-indexer'), '-n', namespace);
  await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', namespace, ...values('kv-aware'));
  await rolledOut(cluster, namespace, 'hermes-router', 'vllm', 'cache-indexer');
  await client.answered(url, model);
});
afterAll(() => cluster.close());

interface Pod {
  readonly metadata: { readonly name: string };
  readonly status: { readonly containerStatuses: readonly { readonly restartCount: number }[] };
}

const routers = async (): Promise<string[]> => {
  const pods = await objects<Pod>(cluster, 'pods', namespace, 'app.kubernetes.io/instance=hermes-router');
  return pods.map(({ metadata, status }) => `${metadata.name} ${status.containerStatuses[0].restartCount}`).sort();
};

/** The strategies that the routers go by; the admin API is on the loopback address of each pod. */
async function inForce(): Promise<string[]> {
  const pods = (await routers()).map((line) => line.split(' ')[0]);
  const script = "console.log(await (await fetch('http://127.0.0.1:8081/api/v1/table')).text())";
  const ask = ['--', '/usr/local/bin/node', '-e', script];
  return Promise.all(pods.map((pod) => cluster.mustKubectl(['exec', '-n', namespace, pod, ...ask])));
}

describe('the settings of v25.09', () => {
  it('route by what cache-indexer has heard of the engines', async () => {
    const messages = [{ role: 'user', content: 'tides '.repeat(400) }];
    const cached = async (): Promise<number> => {
      const { text } = await client.chat(url, model, { messages });
      return (JSON.parse(text) as { usage: { prompt_tokens_details: { cached_tokens: number } } }).usage
        .prompt_tokens_details.cached_tokens;
    };
    expect(await cached()).toBe(0);
    await until('cache-indexer has heard of it', async () => {
      const answer = await client.ask('POST', 'http://cache-indexer-service:8080/match_sort', { model, messages });
      return /"matched_tokens":\s*[1-9]/.test(answer.text);
    });
    for (let again = 0; again < 6; again += 1) expect(await cached()).toBeGreaterThan(0);
  });

  it('change with the ConfigMap: no pod restarts, nothing is lost', async () => {
    const before = await routers();
    expect((await inForce()).every((table) => table.includes('kv-cache-aware'))).toBe(true);
    await client.startLoad(url, model, 4);
    await cluster.mustHelm(
      'upgrade',
      'hermes-router',
      chart('hermes-router'),
      '-n',
      namespace,
      ...values('round-robin'),
    );
    const changed = async () => (await inForce()).every((table) => table.includes('round-robin'));
    // The kubelet looks after each pod's volumes in its own time.
    await until('both follow', changed, 120_000);
    expect(await client.stopLoad()).toMatchObject({ faults: [] });
    expect(await routers()).toEqual(before);
  });
});
