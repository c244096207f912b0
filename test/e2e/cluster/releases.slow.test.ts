// The life of a release: from one set of values to another and back, what is left when it goes, and what it tells people to
// try next.
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump, load, loadAll } from 'js-yaml';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HermesProcess } from '../testkit/process.ts';
import { get } from '../testkit/router.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { chart, disaggregated, engines, example, gateway, indexer, infernex, project, router, set } from './testkit/charts.ts'; // prettier-ignore
import { installGatewayCrds } from './testkit/gateway-crds.ts';
import { deployment, everything, objects, remains, runDeployment } from './testkit/release.ts';

const cluster = startCluster();
const processes: HermesProcess[] = [];
let namespace: string;

beforeAll(async () => {
  await cluster.installCrds();
  await installGatewayCrds(cluster);
  await cluster.mustHelm('dependency', 'build', infernex);
});
afterAll(() => cluster.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
});
afterEach(async () => {
  for (const process of processes.splice(0)) await process.kill();
});

const install = (...args: string[]): Promise<string> => cluster.mustHelm('install', '-n', namespace, ...args);
const upgrade = (...args: string[]): Promise<string> => cluster.mustHelm('upgrade', '-n', namespace, ...args);

/** Starts what a Deployment of the namespace runs, until it leads. */
async function leader(name: string): Promise<HermesProcess> {
  const own = ['listen', 'admin', 'metrics'].flatMap((server) => [`--${server}`, '127.0.0.1:0']);
  const process = await runDeployment(cluster, namespace, name, [...own, '--replica-name', 'a']);
  processes.push(process);
  const address = await process.address('metrics');
  await until('it leads', async () => (await get(`http://${address}/metrics`)).text.includes('\nhermes_leader 1\n'));
  return process;
}

const leases = async (): Promise<string[]> =>
  (await objects<{ metadata: { name: string } }>(cluster, 'leases', namespace)).map(({ metadata }) => metadata.name);

describe('a release that goes', () => {
  // The garbage collector looks for new kinds every half minute.
  const collected = 90_000;

  it('leaves nothing in its namespace, even where a leader still renewed its Lease', async () => {
    await install('hermes-router', router);
    const process = await leader('hermes-router');
    expect(await leases()).toEqual(['hermes-router-hermes']);
    await cluster.mustHelm('uninstall', '-n', namespace, 'hermes-router');
    await until('nothing is left', async () => (await everything(cluster, namespace)).length === 0, collected);
    // What it makes anew goes, too.
    process.signal('SIGTERM');
    await process.exit;
    await until('nothing is left', async () => (await everything(cluster, namespace)).length === 0, collected);
  });

  it('takes the Lease of its own class and leaves that of another one', async () => {
    for (const name of ['blue', 'green']) await install(name, router, ...set(`routerClass=${name}`));
    await leader('blue-hermes-router');
    await leader('green-hermes-router');
    await cluster.mustHelm('uninstall', '-n', namespace, 'blue');
    await processes[0].kill();
    await until('one is left', async () => (await leases()).join() === 'hermes-router-green', collected);
  });

  it.each([
    ['a picker', router, set('inferencepool.enabled=true')],
    ['cache-indexer', indexer, []],
    ['engines', engines, set('simulated.enabled=true')],
    ['prefill and decode', disaggregated, set('simulated.enabled=true')],
    ['a gateway', gateway, []],
  ])('of %s leaves nothing either', async (_, path, values) => {
    await install('r', path, ...values);
    await cluster.mustHelm('uninstall', '-n', namespace, 'r');
    await until('nothing is left', async () => (await everything(cluster, namespace)).length === 0, collected);
  });

  it('as config/rbac and config/manager leaves what was made by hand', async () => {
    for (const folder of ['rbac', 'manager']) expect((await cluster.applyConfig(folder, namespace)).code).toBe(0);
    const token = ['create', 'secret', 'generic', 'hermes-router-admin', '--from-literal=token=t', '-n', namespace];
    await cluster.mustKubectl(token);
    await leader('hermes-router');
    expect(await leases()).toEqual(['hermes-router-hermes']);
    for (const folder of ['manager', 'rbac'])
      await cluster.mustKubectl(['delete', '-k', cluster.overlay(folder, namespace)]);
    const left = async () => (await everything(cluster, namespace)).join();
    await until('only the Secret is left', async () => (await left()) === 'secret/hermes-router-admin', collected);
  });
});

describe('an upgrade', () => {
  const replicas = async (name: string): Promise<number> => (await deployment(cluster, namespace, name)).spec.replicas;
  const argsOf = async (name: string): Promise<readonly string[]> =>
    (await deployment(cluster, namespace, name)).spec.template.spec.containers[0].args;

  it('and a rollback bring what was there, token and all', async () => {
    await install('hermes-router', router, ...set('extraArgs[0]=--max-body=1Mi'));
    const secret = async () => (await objects<{ data: unknown }>(cluster, 'secrets', namespace, 'app.kubernetes.io/name=hermes-router')).map(({ data }) => data); // prettier-ignore
    const before = [await argsOf('hermes-router'), await secret()];
    await upgrade('hermes-router', router, ...set('replicas=3', 'routerClass=other', 'networkPolicy.enabled=false'));
    expect(await argsOf('hermes-router')).toContain('--router-class=other');
    expect(await objects(cluster, 'networkpolicies', namespace)).toHaveLength(0);
    await cluster.mustHelm('rollback', '-n', namespace, 'hermes-router', '1');
    expect([await argsOf('hermes-router'), await secret()]).toEqual(before);
    expect(await replicas('hermes-router')).toBe(2);
    expect(await objects(cluster, 'networkpolicies', namespace)).toHaveLength(1);
  });

  it('makes a router of RoutingPolicies of one of the settings of v25.09, and a picker of that', async () => {
    const file = example('config/v25.09.yaml');
    await install('hermes-router', router, '-f', file, ...set(`app.namespace=${namespace}`));
    expect(await argsOf('hermes-router')).toContain('--config=/etc/hermes-router/config/app.yaml');
    await upgrade('hermes-router', router, '--reset-values');
    expect(await argsOf('hermes-router')).toContain('--router-class=hermes');
    expect(await remains(cluster, namespace, 'hermes-router')).not.toContain('configmap/hermes-router');
    await upgrade('hermes-router', router, '-f', example('profiles/epp-kv-cache-aware.yaml'));
    const services = await objects<{ metadata: { name: string } }>(cluster, 'services', namespace);
    expect(services.map(({ metadata }) => metadata.name).sort()).toEqual(['vllm-qwen-qwen3-8b-epp', 'vllm-qwen-qwen3-8b-epp-metrics']); // prettier-ignore
    expect((await objects(cluster, 'deployments', namespace)).length).toBe(1);
  });

  it('takes the values of a chart that had fewer of them, with --reuse-values, too', async () => {
    const old = mkdtempSync(join(cluster.access.dir, 'old-'));
    cpSync(router, old, { recursive: true });
    const values = load(readFileSync(join(old, 'values.yaml'), 'utf8')) as Record<string, unknown>;
    for (const key of ['tracing', 'accessLog', 'prometheusRule', 'dashboard']) delete values[key];
    writeFileSync(join(old, 'values.yaml'), dump(values));
    await install('hermes-router', old, ...set('replicas=1'));
    for (const reuse of ['--reuse-values', '--reset-then-reuse-values']) {
      await upgrade('hermes-router', router, reuse, ...set('service.port=8080'));
      expect(await replicas('hermes-router')).toBe(1);
    }
  });

  it('of InferNex to another model renames what is called after it', async () => {
    const here = set(`global.namespace=${namespace}`, 'vllm.simulated.enabled=true', 'inference-gateway.enabled=false');
    await install('infernex', infernex, ...here);
    await upgrade('infernex', infernex, ...here, ...set('global.model=Qwen/Qwen2.5-7B-Instruct'));
    const [pool] = await objects<Pool>(cluster, 'inferencepools', namespace);
    expect(pool.metadata.name).toBe('vllm-qwen-qwen2-5-7b-instruct');
    const label = { 'openfuyao.com/model': 'qwen-qwen2.5-7b-instruct' };
    expect(pool.spec.selector.matchLabels).toEqual(label);
    const made = await deployment(cluster, namespace, 'infernex-vllm');
    expect(made.spec.template.metadata.labels).toMatchObject(label);
    expect(made.spec.template.spec.containers[0].args).toContain('--model=Qwen/Qwen2.5-7B-Instruct');
    const [{ data }] = await objects<{ data: Record<string, string> }>(cluster, 'configmaps', namespace, 'app.kubernetes.io/name=cache-indexer'); // prettier-ignore
    expect(data['values.yaml']).toContain('openfuyao.com/model=qwen-qwen2.5-7b-instruct');
  });

  interface Pool {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly selector: { readonly matchLabels: Readonly<Record<string, string>> } };
  }

  it.each([
    ['the engines', 'vllm.modelServer.name=a/b', '--model=a/b'],
    ['the pool', 'hermes-router.inferencepool.name=mine', '--pool-name=mine'],
    ['cache-indexer', 'cache-indexer.app.serviceDiscovery.labelSelector=a=b', 'labelSelector: a=b'],
    ['the labels of the pool', 'hermes-router.inferencepool.modelServers.matchLabels.app=x', '      app: x'],
  ])('of InferNex leaves %s what its own values say', async (_, own, told) => {
    const values = set('global.model=x/y', 'vllm.simulated.enabled=true', own);
    expect(await cluster.mustHelm('template', 'infernex', infernex, ...values)).toContain(told);
  });
});

describe('values', () => {
  it.each([
    ['a right name of a wrong type', router, set('replicas=two'), 'replicas'],
    ['a service of a kind that is none', router, set('service.type=External'), 'service/type'],
    ['a port that is none', router, set('service.port=70000'), 'service/port'],
    ['a drain that the grace period would not cover', router, set('extraArgs[0]=--drain-timeout=1h'), 'extraArgs/0'],
    ['the same of a picker', router, set('inferencepool.inferenceExtension.flags.drain-timeout=1h'), 'drain-timeout'],
    ['the same of cache-indexer', indexer, set('extraArgs[0]=--drain-delay=1h'), 'extraArgs/0'],
    ['a share of traces above all', router, set('tracing.samplingRatio=2'), 'samplingRatio'],
    ['a collector that is no URL', router, set('tracing.endpoint=collector:4317'), 'tracing/endpoint'],
    ['an objective of no time', router, ['--set-json', 'prometheusRule.timeToFirstTokenP90Seconds=0'], 'timeToFirst'],
    ['a failure mode that the pool does not know', router, set('inferencepool.failureMode=Open'), 'failureMode'],
    ['a name too long for a label', router, set(`inferencepool.name=${'a'.repeat(60)}`), 'inferencepool/name'],
    ['a timeout that is no duration', router, set('httpRoute.requestTimeout=5'), 'requestTimeout'],
    ['two groups without a decoder', disaggregated, set('groups[0].prefill.replicas=1'), 'groups/0'],
    ['a folder that is no path', engines, set('modelServer.rootCachePath=cache'), 'rootCachePath'],
    ['a gateway class that is no name', gateway, set('gateway.className=An Istio'), 'className'],
    ['an umbrella of no model', infernex, set('global.model='), 'global/model'],
    ['values for a chart of CRDs', chart('hermes-router-crds'), set('a=b'), 'additional properties'],
  ])('that hold %s are refused before anything is made', async (_, path, args, word) => {
    const { code, stderr } = await cluster.helm(['install', '-n', namespace, 'x', path, ...args]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(word);
    expect(await everything(cluster, namespace)).toEqual([]);
  });
});

describe('what is watched', () => {
  interface Made {
    readonly kind: string;
    readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
    readonly data?: Readonly<Record<string, string>>;
    readonly spec?: { readonly groups: readonly { readonly rules: { expr: string; record?: string }[] }[] };
  }
  const monitoring = (file: string): string => readFileSync(join(project, 'config/monitoring', file), 'utf8');
  const rendered = async (...values: string[]): Promise<Made[]> =>
    loadAll(await cluster.mustHelm('template', 'r', router, ...values)) as Made[];

  it.each([
    ['a router', []],
    ['a picker', set('inferencepool.enabled=true')],
  ])('by alerts of %s are those of config/monitoring, with an objective of its own', async (_, mode) => {
    const values = set('prometheusRule.enabled=true', 'prometheusRule.labels.release=p');
    const made = await rendered(...mode, ...values, ...set('prometheusRule.timeToFirstTokenP90Seconds=0.5'));
    const rule = made.find(({ kind }) => kind === 'PrometheusRule');
    expect(rule?.metadata.labels).toMatchObject({ release: 'p', 'app.kubernetes.io/instance': 'r' });
    const { spec } = load(monitoring('prometheusrule.yaml')) as Made;
    const objective = spec?.groups[0].rules.find(({ record }) => record === 'hermes:ttft_p90_objective:seconds');
    expect(objective?.expr).toBe('vector(2)');
    if (objective !== undefined) objective.expr = 'vector(0.5)';
    expect(rule?.spec).toEqual(spec);
  });

  it('by a dashboard that Grafana finds is that of config/monitoring', async () => {
    const made = await rendered(...set('dashboard.enabled=true', 'dashboard.labels.team=a'));
    const dashboard = made.find(({ metadata }) => metadata.name.endsWith('-dashboard'));
    expect(dashboard?.metadata.labels).toMatchObject({ grafana_dashboard: '1', team: 'a' });
    expect(JSON.parse(dashboard?.data?.['hermes-router.json'] ?? '')).toEqual(JSON.parse(monitoring('dashboard.json')));
  });

  it('by traces and an access log is what the program says at its start', async () => {
    const traced = set('tracing.endpoint=http://127.0.0.1:9', 'tracing.samplingRatio=0.25', 'accessLog=true');
    await install('hermes-router', router, ...traced);
    const process = await leader('hermes-router');
    expect(process.entries().map(({ msg }) => msg)).toContain('requests are traced');
    const [{ env = [] }] = (await deployment(cluster, namespace, 'hermes-router')).spec.template.spec.containers;
    expect(Object.fromEntries(env.map(({ name, value }) => [name, value]))).toMatchObject({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      OTEL_SERVICE_NAME: 'hermes-router',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_RESOURCE_ATTRIBUTES: 'k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME)',
      HERMES_ACCESS_LOG: 'true',
    });
  });
});

describe('what is told after an installation', () => {
  const settings = (): string[] => ['-f', example('config/v25.09.yaml'), ...set(`app.namespace=${namespace}`)];
  const modes: readonly (readonly [string, string, () => string[]])[] = [
    ['a router of RoutingPolicies', router, () => []],
    ['a router of settings', router, settings],
    ['a picker by policies', router, () => set('inferencepool.enabled=true')],
    ['a picker by a profile', router, () => ['-f', example('profiles/epp-pd-bucket.yaml')]],
    ['cache-indexer', indexer, () => []],
    ['engines', engines, () => set('simulated.enabled=true')],
    ['prefill and decode', disaggregated, () => set('simulated.enabled=true')],
    ['a gateway', gateway, () => []],
    ['InferNex', infernex, () => set(`global.namespace=${namespace}`, 'vllm.simulated.enabled=true')],
  ];

  it.each(modes)('of %s are commands that find what was made', async (_, path, values) => {
    const said = await install('r', path, ...values());
    const notes = said.slice(said.indexOf('NOTES:'));
    const commands = notes.split('\n').map((line) => line.replace(/ +#.*$/, '').trim());
    const got = commands.filter((line) => line.startsWith('kubectl get') && !line.includes('|'));
    expect(commands.filter((line) => /^(kubectl|helm) /.test(line)).length).toBeGreaterThan(0);
    for (const line of got) {
      const { code, stderr } = await cluster.kubectl(line.split(/ +/).slice(1));
      expect([code, line, stderr]).toEqual([0, line, expect.not.stringContaining('not found')]);
    }
    for (const line of commands.filter((one) => /^kubectl (port-forward|rollout status)/.test(one))) {
      const [, kind, name] = /(service|deployment)\/(\S+)/.exec(line) ?? [];
      await cluster.mustKubectl(['get', kind, name, '-n', namespace]);
      const [, port] = / \d+:(\d+)/.exec(line) ?? [];
      if (kind === 'service') expect(await portsOf(name)).toContain(Number(port));
    }
    if (commands.some((line) => line.startsWith('helm test'))) expect(await testPods('r')).not.toHaveLength(0);
  });

  const portsOf = async (service: string): Promise<number[]> => {
    const found = await objects<{ metadata: { name: string }; spec: { ports: { port: number }[] } }>(
      cluster,
      'services',
      namespace,
    );
    return found.find(({ metadata }) => metadata.name === service)?.spec.ports.map(({ port }) => port) ?? [];
  };

  const testPods = async (release: string): Promise<unknown[]> =>
    loadAll(await cluster.mustHelm('get', 'hooks', release, '-n', namespace)).filter(
      (one) => (one as { kind?: string } | null)?.kind === 'Pod',
    );

  it('is how to get the CRDs, where the cluster has none', async () => {
    // Without a cluster Helm knows none of ours.
    const text = await cluster.mustHelm('install', 'r', router, '--dry-run=client', '-n', namespace);
    expect(text).toContain('helm install hermes-router-crds charts/hermes-router-crds');
  });

  it('names samples that there are', async () => {
    const said = await install('r', router);
    const folder = /kubectl apply -n \S+ -k (\S+)/.exec(said)?.[1] ?? '';
    await cluster.mustKubectl(['apply', '-n', namespace, '-k', join(project, folder)]);
    expect(await cluster.mustKubectl(['get', 'hermes', '-n', namespace, '-o', 'name'])).toContain('routingpolicy');
  });
});
