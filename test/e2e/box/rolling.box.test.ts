import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chart,
  ClientPod,
  engines,
  list,
  model,
  objects,
  rolledOut,
  samples,
  startCluster,
  strictNamespace,
  until,
  withCrds,
  type LoadReport,
} from './kit/index.ts';

const cluster = startCluster();
let namespace: string;
let client: ClientPod;
let before: string[];
const url = 'http://hermes-router';

beforeAll(async () => {
  await withCrds(cluster);
  namespace = await strictNamespace(cluster);
  await cluster.apply(list(engines({ name: 'engines', replicas: 2, model, labels: { app: 'vllm' } })), '-n', namespace);
  client = await ClientPod.start(cluster, namespace);
  await cluster.apply(samples, '-n', namespace);
  await rolledOut(cluster, namespace, 'engines');
  before = await everything();
  await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', namespace);
  await rolledOut(cluster, namespace, 'hermes-router');
  await client.answered(url, model);
});
afterAll(() => cluster.close());

/** All objects of the namespace, but those that tell of others, as events do, and pods of the engines. */
async function everything(): Promise<string[]> {
  const kinds = await cluster.mustKubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name']);
  const told = /^(events|endpoints|endpointslices|pods\.metrics)/;
  const asked = kinds.split('\n').filter((kind) => kind !== '' && !told.test(kind));
  const text = await cluster.mustKubectl(['get', asked.join(), '-n', namespace, '-o', 'name', '--ignore-not-found']);
  return text.split('\n').filter((line) => line !== '' && !line.includes('/engines-'));
}

interface Pod {
  readonly metadata: { readonly name: string };
}

/** Names of the pods with a label, those that are ending, too. */
const pods = async (selector: string): Promise<string[]> =>
  (await objects<Pod>(cluster, 'pods', namespace, selector)).map(({ metadata }) => metadata.name);

/** Does something under load; what the load came to when no pod of before is left. */
async function underLoad(selector: string, change: () => Promise<unknown>): Promise<LoadReport> {
  const old = await pods(selector);
  await client.startLoad(url, model);
  await until('it flows', async () => (await client.report()).done >= 10);
  await change();
  const gone = async () => (await pods(selector)).every((name) => !old.includes(name));
  await until('all old pods are gone', gone, 150_000);
  return client.stopLoad();
}

function expectNothingLost(report: LoadReport): void {
  expect(report).toMatchObject({ faults: [], lost: 0, refused: 0, answered: 0, wrong: 0 });
  expect(report.done).toBeGreaterThan(20);
}

const router = 'app.kubernetes.io/instance=hermes-router';
const restart = async (name: string): Promise<void> => {
  await cluster.mustKubectl(['rollout', 'restart', '-n', namespace, `deployment/${name}`]);
  await rolledOut(cluster, namespace, name);
};

describe('under traffic, of streams and whole answers', () => {
  it('helm upgrade loses nothing', async () => {
    const change = ['--reuse-values', '--set', 'podAnnotations.change=first'];
    const report = await underLoad(router, async () => {
      await cluster.mustHelm('upgrade', 'hermes-router', chart('hermes-router'), '-n', namespace, ...change);
      await rolledOut(cluster, namespace, 'hermes-router');
    });
    expectNothingLost(report);
  });

  it('a restart of the router loses nothing', async () => {
    expectNothingLost(await underLoad(router, () => restart('hermes-router')));
  });

  it('a restart of the engines loses nothing', async () => {
    expectNothingLost(await underLoad('engines=engines', () => restart('engines')));
  });
});

describe('helm uninstall', () => {
  it('leaves nothing but the CRDs with what is of their kinds', async () => {
    await cluster.mustHelm('uninstall', 'hermes-router', '-n', namespace);
    const left = async (): Promise<string[]> => (await everything()).filter((name) => !before.includes(name));
    // Last good versions belong to the policy and the group, which stay.
    const ofChart = async () => (await left()).filter((name) => !name.startsWith('controllerrevision.'));
    await expect.poll(ofChart, { timeout: 60_000 }).toEqual([]);
    await cluster.mustKubectl(['delete', 'rp,bg', '--all', '-n', namespace]);
    await expect.poll(left, { timeout: 60_000 }).toEqual([]);
  });
});
