import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { Operator, placeFor, type Place } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';

const cluster = startCluster();
let place: Place;
let folder: string;
let operator: Operator;

const service = `
apiVersion: v1
kind: Service
metadata: {name: engines, labels: {app: vllm}}
spec: {selector: {app: engine}, ports: [{name: http, port: 8000}]}
`;

const config = (strategy: string, label = 'vllm'): string => `
app:
  namespace: ${place.namespace}
  strategy: ${strategy}
  timeout: 120
  discovery: {type: k8s-service, interval: 5, labelSelector: {app: ${label}}, inferencePort: 8000, timeout: 10}
  collector: {type: vllm, interval: 5, timeout: 10, metrics: ["vllm:gpu_cache_usage_perc"]}
  kvmanager: {url: "http://127.0.0.1", port: 9, matchPath: /match_sort, timeout: 10}
`;

let version = 0;

/** As a kubelet mounts a ConfigMap: the file is a link into a folder that is swapped by another link. */
function mount(text: string): void {
  version += 1;
  const data = `..data-${version}`;
  mkdirSync(join(folder, data));
  writeFileSync(join(folder, data, 'values.yaml'), text);
  symlinkSync(data, join(folder, '..data_tmp'));
  renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
  if (version === 1) symlinkSync('..data/values.yaml', join(folder, 'values.yaml'));
}

beforeAll(() => cluster.installCrds());
afterAll(() => cluster.close());
beforeEach(async () => {
  version = 0;
  folder = mkdtempSync(join(tmpdir(), 'hermes-config-'));
  place = await placeFor(cluster);
  await cluster.apply(service, '-n', place.namespace);
  await new Pods(cluster, place.namespace).run({ name: 'a', ip: '10.99.0.31' });
  mount(config('kv-aware'));
  operator = await Operator.ready({ kubeconfig: place.kubeconfig, flags: ['--config', join(folder, 'values.yaml')] });
});
afterEach(async () => {
  await operator.kill();
  rmSync(folder, { recursive: true });
});

describe('serve --config in a cluster', () => {
  it('finds the engines behind the Services with the labels, and follows pods and the mounted file', async () => {
    const found = async () => {
      const { groups } = await operator.table();
      return groups.flatMap(({ members }) => members.map(({ address }) => address)).sort();
    };
    await until('the engine is found', async () => (await found()).join() === '10.99.0.31:8000', 30_000);
    await new Pods(cluster, place.namespace).run({ name: 'b', ip: '10.99.0.32' });
    await until('a new engine is found', async () => (await found()).length === 2, 30_000);
    const profile = async () => (await operator.table()).policies[0]?.effectiveProfile ?? '';
    expect(await profile()).toContain('scorer-aggregate-kv-cache-aware');
    mount(config('round-robin'));
    await until('the new strategy is in force', async () => (await profile()).includes('round-robin'));
    mount('app: {strategy: nonsense}');
    await until('the fault is told', async () => (await operator.table()).faults.length > 0);
    expect(await profile()).toContain('round-robin');
    expect(await found()).toHaveLength(2);
    mount(config('random', 'none'));
    await until('no Service has the label', async () => (await found()).length === 0);
  });
});
