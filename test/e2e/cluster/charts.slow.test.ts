// charts/ on a real API server: values that are refused, objects that are accepted, and releases that are installed,
// upgraded and removed. No kubelet runs their pods: what a Deployment names is started here, with the files and the service
// account that it names.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';
import manifest from '../../../package.json' with { type: 'json' };
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startSimEngine, type SimEngine } from '../../../src/sim/server.ts';
import { Client } from '../testkit/client.ts';
import type { HermesProcess } from '../testkit/process.ts';
import { get } from '../testkit/router.ts';
import { closeAll } from '../testkit/sim.ts';
import { until } from '../testkit/until.ts';
import { comparedRights, startCluster } from './kit/index.ts';
import { chart, disaggregated, engines, example, gateway, indexer, infernex, profiles, project, router, set } from './testkit/charts.ts'; // prettier-ignore
import { installGatewayCrds } from './testkit/gateway-crds.ts';
import { conditions, read } from './testkit/operator.ts';
import { Pods } from './testkit/pods.ts';
import { deployment, objects, remains, rightsOf, runDeployment } from './testkit/release.ts';
import { installObjectives } from './testkit/picker.ts';
import { discoveredGroup, policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const processes: HermesProcess[] = [];
let namespace: string;
let engine: SimEngine;

beforeAll(async () => {
  await cluster.installCrds();
  await installGatewayCrds(cluster);
  await installObjectives(cluster);
  await cluster.mustHelm('dependency', 'build', infernex);
  engine = await startSimEngine({ models: ['m'] });
});
afterAll(async () => {
  await closeAll([engine]);
  await cluster.close();
});
beforeEach(async () => {
  namespace = await cluster.namespace();
  const label = (mode: string): string => `pod-security.kubernetes.io/${mode}=restricted`;
  await cluster.mustKubectl(['label', 'namespace', namespace, label('enforce'), label('warn')]);
});
afterEach(async () => {
  for (const process of processes.splice(0)) await process.kill();
});

const any = (...servers: string[]): string[] => servers.flatMap((server) => [`--${server}`, '127.0.0.1:0']);

/** Starts what a Deployment of the namespace runs, and waits until it says that it is ready. */
async function run(name: string, servers: readonly string[], flags: readonly string[] = []): Promise<HermesProcess> {
  const process = await runDeployment(cluster, namespace, name, [...any(...servers), ...flags]);
  processes.push(process);
  return process;
}

const ready = async (process: HermesProcess, server = 'metrics'): Promise<void> => {
  const address = await process.address(server);
  await until(
    `it is ready; it said ${process.stdout}`,
    async () => (await get(`http://${address}/readyz`)).status === 200,
    30_000,
  );
};

describe('every chart', () => {
  it.each(['hermes-router-crds', 'hermes-router', 'cache-indexer', 'infernex'])(
    '%s has nothing to lint',
    async (name) => {
      expect(await cluster.helm(['lint', '--strict', chart(name)])).toMatchObject({ code: 0 });
    },
  );

  const accepted: readonly (readonly [name: string, path: string, args: readonly string[]])[] = [
    ['hermes-router as it stands', router, []],
    ['hermes-router with everything on', router, [...set('serviceMonitor.enabled=true', 'prometheusRule.enabled=true', 'prometheusRule.labels.release=p', 'dashboard.enabled=true', 'tracing.endpoint=http://collector:4318', 'accessLog=true', 'replicas=3', 'service.type=LoadBalancer', 'imagePullSecrets[0].name=pull', 'extraArgs[0]=--max-body=32Mi', 'podAnnotations.a=b', 'podLabels.c=d', 'priorityClassName=system-cluster-critical', 'tolerations[0].operator=Exists', 'networkPolicy.clients[0].podSelector.matchLabels.app=client', 'env[0].name=A', 'env[0].value=b')]], // prettier-ignore
    ['hermes-router for all namespaces', router, set('allNamespaces=true')],
    ['hermes-router for two namespaces', router, set('namespaces={default,kube-system}')],
    ['hermes-router with the settings of v25.09', router, ['-f', example('config/v25.09.yaml'), ...set('app.namespace=default')]], // prettier-ignore
    ['hermes-router as a picker by policies', router, set('inferencepool.enabled=true', 'inferencepool.name=pool', 'serviceMonitor.enabled=true', 'prometheusRule.enabled=true', 'dashboard.enabled=true', 'tracing.endpoint=http://collector:4318', 'tracing.samplingRatio=0.1')], // prettier-ignore
    [
      'hermes-router as a picker behind Istio',
      router,
      set('inferencepool.enabled=true', 'inferencepool.provider=istio'),
    ],
    ...profiles.map((file) => [`hermes-router with ${file.split('/').at(-1)}`, router, ['-f', file]] as const),
    ['cache-indexer as it stands', indexer, []],
    ['cache-indexer with its example and a token', indexer, ['-f', example('cache-indexer/values.yaml'), ...set('token.secretName=t', 'serviceMonitor.enabled=true')]], // prettier-ignore
    ['the gateway', gateway, set('gateway.className=istio')],
    ['engines', engines, set('modelServer.name=Qwen/Qwen3-8B', 'modelServer.rootCachePath=/home/llm_cache')],
    ['simulated engines', engines, set('simulated.enabled=true')],
    ['prefill and decode', disaggregated, set('modelServer.name=Qwen/Qwen3-8B', 'modelServer.rootCachePath=/home/llm_cache')], // prettier-ignore
    [
      'simulated prefill and decode',
      disaggregated,
      set('simulated.enabled=true', 'podMonitor.enabled=true', 'podMonitor.labels.release=p'),
    ],
    ['infernex as it stands', infernex, set('global.namespace=default')],
    ['infernex with prefill and decode', infernex, ['-f', join(infernex, 'values-pd.yaml'), ...set('global.namespace=default')]], // prettier-ignore
  ];

  it.each(accepted)('%s is accepted by the API server', async (_, path, args) => {
    const text = await cluster.mustHelm('template', 'infernex', path, '-n', 'default', ...args);
    const check = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
    // Engines download models and need more than the strictest pod security grants; default asks for none.
    expect(await cluster.kubectl(check, { stdin: text })).toMatchObject({ code: 0, stderr: '' });
  });

  it.each([
    ['a key that nobody knows', router, set('replica=2'), 'replica'],
    ['a strategy that nobody knows', router, set('app.strategy=best', 'app.discovery.inferencePort=1'), 'strategy'],
    ['both modes', router, [...set('inferencepool.enabled=true'), '-f', example('config/v25.09.yaml')], 'one release for each'],
    ['a configuration that is not there', router, set('inferencepool.inferenceExtension.pluginsConfigFile=x.yaml'), 'below pluginsCustomConfig'],
    ['a pool without engines', router, set('inferencepool.targetPorts[0].number=0'), 'minimum'],
    ['a selector that is none', indexer, set('app.serviceDiscovery.labelSelector=!!'), 'labelSelector'],
    ['an umbrella with a wrong key below', infernex, set('cache-indexer.replica=2'), 'replica'],
  ])('refuses %s', async (_, path, args, word) => {
    const { code, stderr } = await cluster.helm(['template', 'x', path, ...args]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(word);
  }); // prettier-ignore
});

describe('versions', () => {
  it.each([...readdirSync(join(project, 'charts')).map(chart), engines, disaggregated, gateway])(
    'of %s are those of the program',
    (path) => {
      const { version, appVersion = version } = load(readFileSync(join(path, 'Chart.yaml'), 'utf8')) as Versions;
      expect([version, appVersion]).toEqual([manifest.version, manifest.version]);
    },
  );

  interface Versions {
    readonly version: string;
    readonly appVersion?: string;
  }
});

describe('rights', () => {
  interface Role {
    readonly kind: string;
    readonly rules?: readonly Record<'apiGroups' | 'resources' | 'verbs', readonly string[]>[];
  }

  /** As `patch hermes-router.io/backendgroups/status`. */
  const rights = (texts: readonly string[]): string[] => {
    const rules = texts.flatMap((text) => loadAll(text) as Role[]).flatMap((role) => role.rules ?? []);
    const all = rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) => resources.flatMap((one) => verbs.map((verb) => `${verb} ${group}/${one}`))),
    );
    return [...new Set(all)].sort();
  };

  it.each([
    ['rbac', ['role.yaml', 'replicas_role.yaml'], router, []],
    ['epp', ['role.yaml'], router, set('inferencepool.enabled=true')],
    ['pd-proxy', ['role.yaml'], disaggregated, []],
  ])('of the chart are those of config/%s', async (folder, files, path, values) => {
    const config = files.map((name) => readFileSync(join(project, 'config', folder, name), 'utf8'));
    expect(rights([await cluster.mustHelm('template', 'r', path, ...values)])).toEqual(rights(config));
  });
});

describe('hermes-router-crds', () => {
  it('brings the CRDs, and leaves them and their objects when it goes', async () => {
    await cluster.mustHelm('install', 'crds', chart('hermes-router-crds'), '-n', namespace, '--take-ownership');
    await cluster.apply(policy('p'), '-n', namespace);
    await cluster.mustHelm('uninstall', 'crds', '-n', namespace);
    expect(await read(cluster, 'rp', namespace, 'p')).toBeDefined();
  });
});

describe('a router of RoutingPolicies', () => {
  it('is installed in a fresh namespace, serves, is upgraded and goes without a trace', async () => {
    const external = set('allowExternalTargets=true');
    const said = await cluster.mustHelm('install', 'hermes-router', router, '-n', namespace, ...external);
    expect(said).toContain(`kubectl port-forward -n ${namespace} service/hermes-router 8000:80`);
    await until('its pods are admitted', async () => {
      return (await objects(cluster, 'pods', namespace, 'app.kubernetes.io/instance=hermes-router')).length === 2;
    });
    await cluster.apply([staticGroup('g', [engine.address]), policy('p')].join('---'), '-n', namespace);
    const process = await run('hermes-router', ['listen', 'admin', 'metrics'], ['--replica-name', 'a']);
    await ready(process);
    const client = new Client(await process.address('proxy'));
    let answer = 'none';
    const answered = async () => {
      const { status, text } = await client.post('/v1/completions', { model: 'm', prompt: 'a' });
      answer = text;
      return status === 200;
    };
    await until('a request is answered', answered).catch(() => expect.fail(`the last answer was ${answer}`));
    await client.close();
    const token = async () => (await objects<{ data: unknown }>(cluster, 'secrets', namespace, 'app.kubernetes.io/instance=hermes-router'))[0].data; // prettier-ignore
    const before = await token();
    await cluster.mustHelm('upgrade', 'hermes-router', router, '-n', namespace, ...external, ...set('replicas=3'));
    expect(await token()).toEqual(before);
    expect((await deployment(cluster, namespace, 'hermes-router')).spec.replicas).toBe(3);
    await cluster.mustHelm('uninstall', 'hermes-router', '-n', namespace);
    await until('nothing is left', async () => (await remains(cluster, namespace, 'hermes-router')).length === 0);
    expect(await read(cluster, 'rp', namespace, 'p')).toBeDefined();
  });

  it('has an admin port for the other replicas alone, and time to drain', async () => {
    const text = await cluster.mustHelm('template', 'r', router, ...set('drain.timeoutSeconds=60'));
    const made = loadAll(text) as {
      kind: string;
      spec: { ingress: { ports: { port: string }[]; from?: unknown[] }[] };
    }[];
    const rules = made.find(({ kind }) => kind === 'NetworkPolicy')?.spec.ingress ?? [];
    const from = rules.find(({ ports }) => ports.some(({ port }) => port === 'admin'))?.from;
    expect(from).toEqual([{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'hermes-router', 'app.kubernetes.io/instance': 'r' } } }]); // prettier-ignore
    expect(text).toContain('terminationGracePeriodSeconds: 80');
    expect(text).toContain('--drain-timeout=60s');
  });

  it('lives beside another one of its own class in the same namespace', async () => {
    for (const name of ['blue', 'green'])
      await cluster.mustHelm('install', name, router, '-n', namespace, ...set(`routerClass=${name}`));
    const owned = (name: string): string => policy(name, `{routerClassName: ${name}, match: {models: [${name}]}, backendRefs: [{name: none}]}`); // prettier-ignore
    await cluster.apply([owned('blue'), owned('green')].join('---'), '-n', namespace);
    const routers = await Promise.all(
      ['blue', 'green'].map((name) =>
        run(`${name}-hermes-router`, ['listen', 'admin', 'metrics'], ['--replica-name', name]),
      ),
    );
    await Promise.all(routers.map((one) => ready(one)));
    for (const name of ['blue', 'green']) {
      await until(`${name} is told of`, async () => {
        return conditions(await read(cluster, 'rp', namespace, name)).Accepted === 'True/Accepted';
      });
    }
    const leases = await objects<{ metadata: { name: string } }>(cluster, 'leases', namespace);
    expect(leases.map(({ metadata }) => metadata.name).sort()).toEqual(['hermes-router-blue', 'hermes-router-green']);
    await cluster.mustHelm('uninstall', 'blue', '-n', namespace);
    await until('blue is gone', async () => (await remains(cluster, namespace, 'blue')).length === 0);
    expect(await remains(cluster, namespace, 'green')).not.toHaveLength(0);
  });
});

describe('a router of the settings of v25.09', () => {
  it('reads them from its ConfigMap, with rights for Services and nothing else', async (context) => {
    cluster.needsOwn(context);
    const settings = ['-f', example('config/v25.09.yaml'), ...set(`app.namespace=${namespace}`)];
    await cluster.mustHelm('install', 'hermes-router', router, '-n', namespace, ...settings);
    const since = cluster.markRequests();
    const process = await run('hermes-router', ['listen', 'admin', 'metrics']);
    await ready(process);
    expect(process.entries().some(({ msg }) => msg === 'configuration in force')).toBe(true);
    await expectAllRights(since, 'hermes-router', 'hermes-router');
    // As the guide of v25.09 has it.
    await cluster.mustHelm('install', '--generate-name', router, '-n', namespace, ...settings);
  });
});

describe('an endpoint picker', () => {
  it.each([
    ['as a profile says', ['-f', example('profiles/epp-kv-cache-aware.yaml')]],
    ['as RoutingPolicies say', set('inferencepool.enabled=true')],
  ])('is installed %s, found by the labels of the guide, with no right too many', async (_, values) => {
    const name = 'vllm-qwen-qwen3-8b-epp';
    // As the guide of v25.12 has it; there is nothing to fetch.
    await cluster.mustHelm('dependency', 'build', router);
    await cluster.mustHelm('install', '-n', namespace, 'hermes-router', router, ...values);
    await until('its pods are admitted', async () => {
      return (await objects(cluster, 'pods', namespace, `inferencepool=${name}`)).length === 2;
    });
    expect(await objects(cluster, 'inferencepool', namespace)).toHaveLength(1);
    expect(await objects(cluster, 'httproute', namespace)).toHaveLength(1);
    const pool = '{type: InferencePool, inferencePool: {name: vllm-qwen-qwen3-8b}}';
    const key = 'connection: {apiKeySecretRef: {name: key, key: token}}';
    await cluster.apply(
      [
        discoveredGroup('g', pool).replace('models: [m]', `models: [m]\n  ${key}`),
        // Refused by the picker and not by the API server: its last good version is looked for.
        discoveredGroup('bad', pool).replace('models: [m]', 'models: [m]\n  kvCache: {type: Manager, manager: {url: "http://10.0.0.1:1"}}'), // prettier-ignore
      ].join('---'),
      ...['-n', namespace],
    );
    const labels = { 'openfuyao.com/model': 'qwen-qwen3-8b' };
    await new Pods(cluster, namespace).run({ name: 'a', ip: '10.99.0.61', labels }).catch(() => undefined);
    const since = cluster.access.own === null ? null : cluster.markRequests();
    const process = await run(name, ['listen', 'health', 'admin', 'metrics']);
    await ready(process);
    if (since !== null) await expectAllRights(since, 'hermes-router', name);
    await cluster.mustHelm('uninstall', 'hermes-router', '-n', namespace);
    await until('nothing is left', async () => (await remains(cluster, namespace, 'hermes-router')).length === 0);
  });
});

describe('prefill and decode', () => {
  it('come with a leader that looks for the Pods of its group and for nothing else', async (context) => {
    cluster.needsOwn(context);
    await cluster.mustHelm('install', 'vllm-pd', disaggregated, '-n', namespace, ...set('simulated.enabled=true'));
    const group = 'openfuyao.com/pdGroupID=vllm-pd-0';
    await until(
      'all three roles are admitted',
      async () => (await objects(cluster, 'pods', namespace, group)).length === 3,
    );
    const since = cluster.markRequests();
    const leader = await run('vllm-pd-0-leader', ['listen', 'admin', 'metrics']);
    await leader.address('metrics');
    await expectAllRights(since, 'vllm-pd', 'vllm-pd-leader');
    await cluster.mustHelm('uninstall', 'vllm-pd', '-n', namespace);
    await until('nothing is left', async () => (await remains(cluster, namespace, 'vllm-pd')).length === 0);
  });
});

describe('cache-indexer', () => {
  it('is installed, reads Pods and nothing else, and goes without a trace', async (context) => {
    await cluster.mustHelm('install', 'cache-indexer', indexer, '-n', namespace);
    expect(await objects(cluster, 'services', namespace)).toMatchObject([
      { metadata: { name: 'cache-indexer-service' } },
    ]);
    cluster.needsOwn(context);
    const since = cluster.markRequests();
    const process = await run('cache-indexer', ['listen']);
    await ready(process, 'cache-indexer');
    await expectAllRights(since, 'cache-indexer', 'cache-indexer');
    await cluster.mustHelm('uninstall', 'cache-indexer', '-n', namespace);
    await until('nothing is left', async () => (await remains(cluster, namespace, 'cache-indexer')).length === 0);
  });
});

describe('infernex', () => {
  it.each([
    ['engines that answer by themselves', set('vllm.simulated.enabled=true')],
    ['prefill and decode apart', ['-f', join(infernex, 'values-pd.yaml'), ...set('vllm-pd.simulated.enabled=true')]],
  ])('with %s puts the gateway beside the release, and the rest into its namespace', async (_, values) => {
    const gateways = await cluster.namespace();
    const here = set(`global.namespace=${namespace}`);
    await cluster.mustHelm('install', '-n', gateways, 'infernex', infernex, ...here, ...values);
    const [route] = await objects<{ spec: { parentRefs: unknown[] } }>(cluster, 'httproutes', namespace);
    expect(route.spec.parentRefs).toMatchObject([{ name: 'inference-gateway', namespace: gateways }]);
    const left = await remains(cluster, gateways, 'infernex');
    expect(left).toEqual(['gateway.gateway.networking.k8s.io/inference-gateway']);
    // The pool selects the engines that the release makes.
    const pods = async () => objects(cluster, 'pods', namespace, 'openfuyao.com/model=qwen-qwen3-8b');
    await until('the engines are admitted', async () => (await pods()).length >= 2);
    await cluster.mustHelm('uninstall', '-n', gateways, 'infernex');
    await until('nothing is left', async () => (await remains(cluster, namespace, 'infernex')).length === 0);
    expect(await remains(cluster, gateways, 'infernex')).toEqual([]);
  });

  it('is packed with its parts', async () => {
    const folder = mkdtempSync(join(cluster.access.dir, 'packed-'));
    const said = await cluster.mustHelm('package', infernex, '-d', folder);
    expect(said).toContain('infernex-0.1.0.tgz');
    await cluster.mustHelm('template', 'infernex', join(folder, 'infernex-0.1.0.tgz'), '-n', namespace);
  });
});

describe('helm test', () => {
  it.each([
    ['a router', router, [], '/v1/models'],
    ['a picker', router, set('inferencepool.enabled=true'), '/readyz'],
    ['cache-indexer', indexer, [], '/readyz'],
  ])('asks %s through its Service', async (_, path, values, question) => {
    const made = loadAll(await cluster.mustHelm('template', 'r', path, '-n', 'ns', ...values)) as {
      kind: string;
      metadata: { name: string; annotations?: Record<string, string> };
      spec: { containers: { args: string[]; env: { name: string; value: string }[] }[] };
    }[];
    const pod = made.find(({ kind, metadata }) => kind === 'Pod' && metadata.annotations?.['helm.sh/hook'] === 'test');
    const url = new URL(pod?.spec.containers[0].env.find(({ name }) => name === 'URL')?.value ?? '');
    expect(url.pathname).toBe(question);
    const services = made.filter(({ kind }) => kind === 'Service').map(({ metadata }) => `${metadata.name}.ns`);
    expect(services).toContain(url.hostname);
    const [{ args: script }] = pod?.spec.containers ?? [];
    const ask = (at: string) => execNode(['-e', ...script], { ...process.env, URL: at });
    expect(await ask(`http://${engine.address}/v1/models`)).toBe(0);
    expect(await ask(`http://${engine.address}/nowhere`)).toBe(1);
  });
});

/** Node with these arguments; its exit code. */
const execNode = (args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> =>
  new Promise((resolve) => {
    spawn(process.execPath, [...args], { env, stdio: 'ignore' }).once('close', (code) => resolve(code ?? -1));
  });

/** Every right of a release is used by its process, and no other is asked for. */
async function expectAllRights(since: ReturnType<typeof cluster.markRequests>, release: string, account: string) {
  const granted = await rightsOf(cluster, namespace, release);
  const user = `system:serviceaccount:${namespace}:${account}`;
  const rights = () => comparedRights(cluster.requests(since, { user }), granted);
  await until(`all rights are used; now ${JSON.stringify(rights())}`, () => rights().unused.length === 0).catch(() => undefined); // prettier-ignore
  expect(rights()).toEqual({ unused: [], missing: [] });
}
