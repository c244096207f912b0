import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installGatewayCrds } from '../cluster/testkit/gateway-crds.ts';
import type { Envoy } from '../envoy/envoy.ts';
import { Load } from '../testkit/load.ts';
import { chatThrough, endpointsOf, gatewayBefore } from './kit/gateway.ts';
import { chart, engines, inBox, list, model, objects, rolledOut, startCluster, strictNamespace, until, withCrds } from './kit/index.ts'; // prettier-ignore

const cluster = startCluster();
const labels = { 'openfuyao.com/model': 'qwen-qwen3-8b' };
const picker = 'vllm-qwen-qwen3-8b-epp';
let namespace: string;
let gateway: Envoy | null = null;

beforeAll(async () => {
  await withCrds(cluster);
  await installGatewayCrds(cluster);
  namespace = await strictNamespace(cluster);
  await cluster.apply(list(engines({ name: 'engines', replicas: 2, model, labels })), '-n', namespace);
  const values = ['--set', 'inferencepool.enabled=true'];
  await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', namespace, ...values);
  await rolledOut(cluster, namespace, picker, 'engines');
});
afterAll(async () => {
  await gateway?.stop();
  await cluster.close();
});

describe('an endpoint picker', () => {
  it('passes helm test', async () => {
    expect(await cluster.mustHelm('test', 'hermes-router', '-n', namespace)).toMatch(/Phase:\s+Succeeded/);
  });

  it('has a pool, a route to it, and pods by the label that the guide names', async () => {
    const pods = await objects(cluster, 'pods', namespace, `inferencepool=${picker}`);
    expect(pods).toHaveLength(2);
    const made = await cluster.mustKubectl(['get', 'inferencepool,httproute', '-n', namespace, '-o', 'name']);
    expect(made.trim().split('\n')).toEqual([
      'inferencepool.inference.networking.k8s.io/vllm-qwen-qwen3-8b',
      'httproute.gateway.networking.k8s.io/vllm-qwen-qwen3-8b',
    ]);
  });
});

describe.runIf(inBox)('a real Envoy that asks it', () => {
  it('loses nothing while the picker is restarted', async () => {
    const envoy = await gatewayBefore(
      cluster,
      namespace,
      picker,
      await endpointsOf(cluster, namespace, 'engines=engines'),
    );
    gateway = envoy;
    const load = new Load(4, async (turn) => {
      await chatThrough(envoy, model, `Tell me about number ${turn}.`);
      return null;
    });
    await until('it flows', () => load.done >= 10);
    const old = await objects<{ metadata: { name: string } }>(cluster, 'pods', namespace, `inferencepool=${picker}`);
    await cluster.mustKubectl(['rollout', 'restart', '-n', namespace, `deployment/${picker}`]);
    await rolledOut(cluster, namespace, picker);
    const names = old.map(({ metadata }) => `pod/${metadata.name}`);
    await cluster.mustKubectl(['wait', '-n', namespace, '--for=delete', '--timeout=120s', ...names]);
    await load.stop();
    expect(load.failures).toEqual([]);
  });
});
