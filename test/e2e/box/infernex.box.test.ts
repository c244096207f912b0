import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { installGatewayCrds } from '../cluster/testkit/gateway-crds.ts';
import type { Envoy } from '../envoy/envoy.ts';
import { answeredBy, chatThrough, endpointsOf, gatewayBefore, type Endpoint } from './kit/gateway.ts';
import { chart, ClientPod, inBox, model, objects, rolledOut, startCluster, strictNamespace, until, withCrds } from './kit/index.ts'; // prettier-ignore

const cluster = startCluster();
const infernex = chart('infernex');
const selector = 'openfuyao.com/model=qwen-qwen3-8b';
let namespace: string;
let gateways: string;
const envoys: Envoy[] = [];

beforeAll(async () => {
  await withCrds(cluster);
  await installGatewayCrds(cluster);
  await cluster.mustHelm('dependency', 'build', infernex);
});
afterAll(() => cluster.close());
beforeEach(async () => {
  gateways = await cluster.namespace();
  namespace = await strictNamespace(cluster);
});
afterEach(async () => {
  for (const envoy of envoys.splice(0)) await envoy.stop();
  await cluster.mustHelm('uninstall', '-n', gateways, 'infernex', '--wait', '--timeout=2m');
});

interface Named {
  readonly metadata: { readonly name: string };
}

/** Installs it with simulated engines and waits until every pod is ready; the endpoints of the pool. */
async function install(...values: readonly string[]): Promise<Endpoint[]> {
  await cluster.mustHelm(
    'install',
    '-n',
    gateways,
    'infernex',
    infernex,
    '--set',
    `global.namespace=${namespace}`,
    ...values,
  );
  const made = await objects<Named>(cluster, 'deployments', namespace);
  await rolledOut(cluster, namespace, ...made.map(({ metadata }) => metadata.name));
  return endpointsOf(cluster, namespace, selector);
}

async function before(endpoints: readonly Endpoint[]): Promise<Envoy> {
  const envoy = await gatewayBefore(cluster, namespace, 'vllm-qwen-qwen3-8b-epp', endpoints);
  envoys.push(envoy);
  return envoy;
}

const prompt = (about: string): string => `${about} `.repeat(400);

describe('infernex', () => {
  it('has engines that are picked by what they have cached, as cache-indexer tells', async (context) => {
    const endpoints = await install('--set', 'vllm.simulated.enabled=true,vllm.drainSeconds=1');
    expect(endpoints).toHaveLength(2);
    const client = await ClientPod.start(cluster, namespace);
    context.skip(!inBox, 'the gateway is an Envoy on the node');
    const envoy = await before(endpoints);
    for (const about of ['tides', 'clouds', 'stones', 'rivers']) {
      await chatThrough(envoy, model, prompt(about));
      const messages = [{ role: 'user', content: prompt(about) }];
      const holders = await until('cache-indexer has heard of it', async () => {
        const answer = await client.ask('POST', 'http://cache-indexer-service:8080/match_sort', { model, messages });
        const { matches } = JSON.parse(answer.text) as { matches: { address: string; matched_tokens: number }[] };
        const holding = matches.filter(({ matched_tokens: tokens }) => tokens > 0);
        return holding.length > 0 && holding;
      });
      expect(holders).toHaveLength(1);
      const counted = endpoints.find(({ address }) => address === holders[0].address);
      const [others] = endpoints.filter((endpoint) => endpoint !== counted);
      const elsewhere = await answeredBy(others);
      for (let again = 0; again < 3; again += 1) {
        const { usage } = await chatThrough(envoy, model, prompt(about));
        expect(usage.prompt_tokens_details?.cached_tokens ?? null).not.toBe(0);
      }
      expect(await answeredBy(others)).toBe(elsewhere);
    }
  });

  it('has prefill and decode apart, in the hands of a leader', async (context) => {
    const values = [
      '-f',
      join(infernex, 'values-pd.yaml'),
      '--set',
      'vllm-pd.simulated.enabled=true,vllm-pd.drainSeconds=1',
    ];
    const endpoints = await install(...values);
    const roles = endpoints.map(({ role }) => role).sort();
    expect(roles).toEqual(['decode', 'leader', 'prefill']);
    const client = await ClientPod.start(cluster, namespace);
    const [leader, prefiller, decoder] = ['leader', 'prefill', 'decode'].map(
      (role) => endpoints.find((endpoint) => endpoint.role === role) ?? endpoints[0],
    );
    // Whoever knows the leader may ask it; it finds the pair by itself.
    expect((await client.chat(`http://${leader.address}`, model)).status).toBe(200);
    context.skip(!inBox, 'the gateway is an Envoy on the node');
    const counts = () => Promise.all([answeredBy(prefiller), answeredBy(decoder)]);
    const [prefilled, decoded] = await counts();
    const envoy = await before(endpoints);
    for (const about of ['tides', 'clouds', 'stones']) await chatThrough(envoy, model, prompt(about));
    expect(await counts()).toEqual([prefilled + 3, decoded + 3]);
  });
});
