import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { BackendGroup } from '../../api/backend-group.ts';
import { groupWith, objects } from '../../controller/discovery/cluster.fixture.ts';
import { ApiServer, until, type ApiObject } from '../../controller/kube/api-server.fixture.ts';
import { HttpKubeClient } from '../../controller/kube/http-client.ts';
import { isKubeObject } from '../../controller/kube/kube-object.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { createLog } from '../../observability/log.ts';
import { ClusterDriver } from './driver.ts';

const namespace = 'ai-inference';
const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;
const services = `/api/v1/namespaces/${namespace}/services`;
const pods = `/api/v1/namespaces/${namespace}/pods`;
const byService = (name = 'g'): BackendGroup =>
  groupWith({ type: 'Service', service: { name: 'qwen3-8b', port: 80 } }, name);
const byLabels = (app = 'vllm'): BackendGroup =>
  groupWith({ type: 'Pods', pods: { selector: { matchLabels: { app } }, targetPorts: [{ number: 8000 }] } });

let server: ApiServer;
let clock: ManualClock;
let client: HttpKubeClient;
let driver: ClusterDriver;
let groups: BackendGroup[];
/** Groups of each table that was asked for, and how many of the next ones cannot be made. */
let tables: string[][];
let failing: number;
let lines: Record<string, unknown>[];

beforeEach(async () => {
  server = await ApiServer.start();
  clock = new ManualClock();
  client = new HttpKubeClient({ connection: server.connection, clock: new ManualClock(), version: '1' });
  groups = [];
  tables = [];
  failing = 0;
  lines = [];
  driver = new ClusterDriver({
    client,
    allNamespaces: false,
    allowExternalTargets: false,
    clock,
    log: createLog((line) => lines.push(JSON.parse(line) as Record<string, unknown>)),
    form: 'configuration',
    snapshot: (secrets) => ({
      groups,
      policies: [],
      broken: [],
      secrets,
      faults: [],
      lastGoodInForce: new Set(),
    }),
  });
});

afterEach(async () => {
  driver.close();
  client.close();
  await server.close();
});

const driven = {
  fleet: { setDiscoveryStale: () => undefined },
  update(snapshot: ResourceSnapshot): void {
    tables.push(snapshot.groups.map(({ metadata }) => metadata.name));
    if (failing > 0) {
      failing -= 1;
      throw new Error('no table');
    }
    for (const group of snapshot.groups) driver.index.find(group);
  },
};

/** Puts the groups in force once all that they need has been read. */
async function inForce(...wanted: BackendGroup[]): Promise<void> {
  groups = wanted;
  driver.start(driven);
  await until(() => {
    clock.advance(10);
    return driver.synced;
  });
  clock.advance(1000);
}

function change(...wanted: BackendGroup[]): void {
  groups = wanted;
  driver.changed();
  clock.advance(50);
}

/** The collections that are watched. */
const watched = (): string[] => [...server.watches].map(({ path }) => path).sort();
const told = (msg: string): Record<string, unknown>[] => lines.filter((line) => line.msg === msg);

function object(name: string): ApiObject {
  const found = objects.get(name);
  if (!isKubeObject(found)) throw new Error(`no object ${name} in testdata`);
  return found;
}

describe('a table that cannot be made', () => {
  it('is told of and tried again later and later, not at once, until it can be', async () => {
    await inForce(byLabels());
    failing = 3;
    tables = [];
    change(byLabels(), byService('h'));
    expect([tables, told('a new table could not be made; the last one stays in force')]).toMatchObject([
      [['g', 'h']],
      [{ error: 'no table' }],
    ]);
    clock.advance(650);
    expect(tables).toHaveLength(1);
    clock.advance(600);
    expect(tables).toHaveLength(2);
    clock.advance(900);
    expect(tables).toHaveLength(2);
    clock.advance(60_000);
    expect(tables).toHaveLength(4);
    clock.advance(600_000);
    expect(tables).toHaveLength(4);
  });

  it('is tried again at once when something else changes, and shows what discovery has found', async () => {
    await inForce(byLabels());
    tables = [];
    failing = 2;
    for (const [name, podIP] of [
      ['x', '10.0.0.7'],
      ['y', '10.0.0.8'],
      ['z', '10.0.0.9'],
    ]) {
      const alarms = clock.pending;
      server.put(pods, { metadata: { name, namespace, labels: { app: 'vllm' } }, status: { podIP } });
      await until(() => clock.pending > alarms);
      clock.advance(50);
    }
    expect(tables).toHaveLength(3);
    expect(told('a new table could not be made; the last one stays in force')).toHaveLength(2);
    clock.advance(60_000);
    expect(tables).toHaveLength(3);
  });
});

describe('what is watched', () => {
  it('is what the groups need, and ends with the last one that needs it', async () => {
    await inForce(byService(), byLabels());
    await until(() => server.watches.size === 3);
    expect(watched()).toEqual([pods, services, slices].sort());
    change(byLabels());
    await until(() => server.watches.size === 1);
    expect(watched()).toEqual([pods]);
    change();
    await until(() => server.watches.size === 0);
  });

  it('is known anew when a group needs it again', async () => {
    for (const name of ['Service qwen3-8b', 'EndpointSlice qwen3-8b-fh2zc', 'Pod qwen3-8b-6d5f7c9b84-8kx2p']) {
      const path = name.startsWith('Pod') ? pods : name.startsWith('Service') ? services : slices;
      server.put(path, object(name));
    }
    await inForce(byService());
    expect(driver.index.find(groups[0]).seeds).not.toEqual([]);
    change();
    await until(() => server.watches.size === 0);
    server.removeUnseen(services, 'qwen3-8b');
    change(byService());
    await until(() => server.watches.size === 3);
    expect(driver.index.find(groups[0])).toMatchObject({ seeds: [], condition: { reason: 'NoMatch' } });
  });
});

describe('the log', () => {
  it('tells what is in force, and what discovery says when it says something else', async () => {
    await inForce(byService());
    expect(told('configuration in force')).toEqual([
      { level: 'info', msg: 'configuration in force', policies: 0, groups: 1, faults: 0 },
    ]);
    expect(told('discovery')).toMatchObject([{ level: 'warn', group: `${namespace}/g`, reason: 'NoMatch' }]);
    change(byService());
    expect([told('discovery').length, told('configuration in force').length]).toEqual([1, 2]);
    server.put(services, object('Service qwen3-8b'));
    server.put(slices, object('EndpointSlice qwen3-8b-fh2zc'));
    for (const name of ['8kx2p', 'loads']) server.put(pods, object(`Pod qwen3-8b-6d5f7c9b84-${name}`));
    await until(() => {
      clock.advance(50);
      return told('discovery').some(({ message }) => message === '2 endpoints');
    });
    expect(told('discovery').at(-1)).toMatchObject({ level: 'info', group: `${namespace}/g`, message: '2 endpoints' });
    expect(told('configuration in force')).toHaveLength(2);
  });

  it('tells anew of a group that was gone', async () => {
    await inForce(byLabels());
    change();
    change(byLabels());
    expect(told('discovery')).toHaveLength(2);
  });
});
