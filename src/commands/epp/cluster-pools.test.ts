import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiServer, until, type Reply } from '../../controller/kube/api-server.fixture.ts';
import { HttpKubeClient } from '../../controller/kube/http-client.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { createLog } from '../../observability/log.ts';
import { wallClock } from '../wall-clock.ts';
import { defaultBounds } from '../../router/saturation.ts';
import { ClusterPools } from './cluster-pools.ts';
import type { ConfigInForce } from './picker-config.ts';

const own = '/apis/hermes-router.io/v1alpha1';
const poolsPath = '/apis/inference.networking.k8s.io/v1/namespaces/a/inferencepools';
const objectivesPath = '/apis/llm-d.ai/v1alpha2/namespaces/a/inferenceobjectives';
const gone: Reply = { status: 404, body: { kind: 'Status', code: 404 } };
const kind = (name: string) => ({ name, verbs: ['create', 'list', 'watch'] });
const kinds = (...names: string[]): Reply => ({ status: 200, body: { resources: names.map(kind) } });

let server: ApiServer;
let pools: ClusterPools;
let lines: string[];
let snapshots: ResourceSnapshot[];

beforeEach(async () => {
  server = await ApiServer.start();
  lines = [];
  snapshots = [];
});
afterEach(async () => {
  pools.close();
  await server.close();
});

/** What the API server says of its kinds, by path of the group. */
function discovery(replies: Readonly<Record<string, Reply>>): void {
  server.faults.push(({ path }) => (path.split('/').length === 4 ? (replies[path] ?? gone) : null));
}

function start(...names: string[]): void {
  startWith(null, ...names);
}

function startWith(config: ConfigInForce | null, ...names: string[]): void {
  const log = createLog((line) => lines.push(line));
  pools = new ClusterPools({
    client: new HttpKubeClient({ connection: server.connection, clock: wallClock, version: '0' }),
    routerClass: 'hermes',
    allowExternalTargets: true,
    pools: names.map((name) => ({ namespace: 'a', name })),
    config,
    clock: wallClock,
    log,
  });
  pools.start({ fleet: { setDiscoveryStale: () => undefined }, update: (snapshot) => void snapshots.push(snapshot) });
}

const pool = (name: string) => ({
  metadata: { name, namespace: 'a' },
  spec: { selector: { matchLabels: { app: 'e' } }, targetPorts: [{ number: 8000 }] },
});
const policiesInForce = (): string[] =>
  (snapshots.at(-1)?.policies ?? []).map(({ resource }) => resource.metadata.name);

describe('pools of a cluster', () => {
  it('are picked for by Auto where the cluster has none of our kinds, and nobody asks for them', async () => {
    discovery({});
    server.put(poolsPath, pool('pool'));
    start('pool');
    expect(pools.notReady()).toContain('not been read');
    await until(() => pools.notReady() === null);
    expect(policiesInForce()).toEqual(['InferencePool:pool']);
    expect(pools.groups).toEqual([new Set(['a/InferencePool:pool'])]);
    expect(server.count(({ path }) => path.startsWith(`${own}/`))).toBe(0);
    expect(lines.join()).toContain('no kinds of hermes-router.io');
    expect(lines.join()).not.toContain('"level":"warn","msg":"cannot list');
  });

  it('are picked for as the policies say, once these have been read', async () => {
    discovery({ [own]: kinds('backendgroups', 'routingpolicies') });
    server.put(poolsPath, pool('pool'));
    server.put(`${own}/namespaces/a/routingpolicies`, {
      metadata: { name: 'p', namespace: 'a', uid: '1', generation: 1 },
      spec: { backendRefs: [{ kind: 'InferencePool', name: 'pool' }] },
    });
    start('pool');
    await until(() => pools.notReady() === null);
    expect(snapshots.map(({ policies }) => policies.length)).not.toContain(0);
    expect(policiesInForce()).toEqual(['p']);
  });

  it('are picked for as a configuration says, with the engines that a BackendGroup describes', async () => {
    discovery({ [own]: kinds('backendgroups', 'routingpolicies') });
    server.put(poolsPath, pool('pool'));
    server.put(`${own}/namespaces/a/backendgroups`, {
      metadata: { name: 'g', namespace: 'a', uid: '1', generation: 1 },
      spec: { engine: 'SGLang', discovery: { type: 'InferencePool', inferencePool: { name: 'pool' } } },
    });
    const profile = { picker: { type: 'picker-round-robin' } };
    const current = {
      name: 'd',
      profile,
      kvCache: { type: 'None' as const },
      saturation: defaultBounds,
      fallbacks: null,
    };
    let told = false;
    startWith(
      {
        current,
        start: (changed) => {
          told = true;
          changed();
        },
        gauges: () => [],
        close: () => undefined,
      },
      'pool',
    );
    await until(() => pools.notReady() === null);
    expect(told).toBe(true);
    expect(snapshots.at(-1)?.groups.map(({ spec }) => spec.engine)).toEqual(['SGLang']);
    expect(snapshots.at(-1)?.policies.map(({ resource }) => resource.spec.strategy)).toEqual([
      { type: 'Profile', profile },
    ]);
    expect(server.count(({ path }) => path.endsWith('/routingpolicies'))).toBe(0);
  });

  it('are ready as soon as one of them is there, and say which none is', async () => {
    discovery({});
    start('one', 'two');
    await until(() => snapshots.length > 0);
    expect(pools.notReady()).toBe('no InferencePool is called a/one, a/two');
    server.put(poolsPath, pool('two'));
    await until(() => pools.notReady() === null);
  });

  it('know the objectives of the API group that the cluster has, and ask for no other', async () => {
    discovery({ '/apis/llm-d.ai/v1alpha2': kinds('inferenceobjectives') });
    const objective = (priority: number) => ({
      metadata: { name: 'batch', namespace: 'a' },
      spec: { priority, poolRef: { name: 'pool' } },
    });
    server.put(objectivesPath, objective(-1));
    start('pool');
    const priority = () => pools.objectives.priorityOf({ namespace: 'a', name: 'pool' }, 'batch');
    await until(() => priority() === -1);
    await until(() => [...server.watches].some(({ path }) => path === objectivesPath));
    server.put(objectivesPath, objective(-2));
    await until(() => priority() === -2);
    server.remove(objectivesPath, 'batch');
    await until(() => priority() === 0);
    expect(server.count(({ path }) => path.includes('x-k8s.io') && path.includes('namespaces'))).toBe(0);
  });
});
