import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart, ClientPod, image, inBox, list, project, rolledOut, startCluster, strictNamespace, until, withCrds } from './kit/index.ts'; // prettier-ignore

const cluster = startCluster();
const folder = join(project, '.cache/vllm');
const name = 'vllm';

/**
 * A Deployment of a real vLLM on the CPU. No image holds it: its files are those of this machine, where `make e2e-vllm` has
 * put them, with the Python and the system below it. Strict pod security takes no such pod.
 */
function realEngine(): object {
  const python = dirname(dirname(realpathSync(join(folder, 'venv/bin/python'))));
  const scripts = join(project, 'test/e2e/vllm');
  const shared = [...new Set([folder, python, scripts, '/usr'])];
  const mounts = [
    ...shared.map((path) => ({ from: path, to: path })),
    ...['/bin', '/lib', '/lib64']
      .filter((path) => existsSync(path))
      .map((path) => ({ from: realpathSync(path), to: path })),
  ];
  const volumes = mounts.map(({ from }, i) => ({ name: `m${i}`, hostPath: { path: from, type: 'Directory' } }));
  const own = [
    { name: 'tmp', emptyDir: {} },
    { name: 'shm', emptyDir: { medium: 'Memory' } },
  ];
  const container = {
    name: 'engine',
    image,
    command: ['/bin/bash', join(scripts, 'serve.sh'), folder, '8000', '--host', '0.0.0.0'],
    env: ['HOME', 'TMPDIR']
      .map((variable) => ({ name: variable, value: '/tmp' }))
      .concat([
        { name: 'USER', value: 'root' },
        { name: 'PATH', value: '/usr/bin:/bin' },
      ]),
    ports: [{ name: 'http', containerPort: 8000 }],
    readinessProbe: { httpGet: { path: '/health', port: 'http' }, periodSeconds: 1, timeoutSeconds: 5 },
    securityContext: { runAsUser: 0 },
    volumeMounts: [
      ...mounts.map(({ to }, i) => ({ name: `m${i}`, mountPath: to, readOnly: true })),
      { name: 'tmp', mountPath: '/tmp' },
      { name: 'shm', mountPath: '/dev/shm' },
    ],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          containers: [container],
          volumes: [...volumes, ...own],
        },
      },
    },
  };
}

const own = { apiVersion: 'hermes-router.io/v1alpha1', metadata: { name } };
const pods = { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] };
const resources = [
  { ...own, kind: 'BackendGroup', spec: { discovery: { type: 'Pods', pods } } },
  { ...own, kind: 'RoutingPolicy', spec: { backendRefs: [{ name }] } },
];

describe.runIf(inBox && existsSync(join(folder, 'installed')))('a real vLLM in a pod', () => {
  let engines: string;
  let client: ClientPod;
  beforeAll(async () => {
    await withCrds(cluster);
    engines = await cluster.namespace();
    const clients = await strictNamespace(cluster);
    await cluster.apply(list(realEngine(), ...resources), '-n', engines);
    await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', engines, '--set', 'replicas=1');
    client = await ClientPod.start(cluster, clients);
    await rolledOut(cluster, engines, 'hermes-router');
    // It loads for 24 s at best.
    await cluster.mustKubectl(['rollout', 'status', '-n', engines, '--timeout=280s', `deployment/${name}`]);
  }, 300_000);
  afterAll(() => cluster.close());

  it('answers through the router of its namespace, whole and as a stream', async () => {
    const url = `http://hermes-router.${engines}`;
    await client.answered(url, 'tiny');
    const whole = await client.chat(url, 'tiny', { temperature: 0 });
    expect(JSON.parse(whole.text)).toMatchObject({ object: 'chat.completion', model: 'tiny' });
    const stream = await client.chat(url, 'tiny', { temperature: 0, stream: true });
    expect(stream.text).toMatch(/data: \[DONE\]\s*$/);
  });

  it('is in the status with what it serves', async () => {
    await until(
      'the models are learned',
      async () => {
        const jsonpath = 'jsonpath={.status.summary.models}';
        return (await cluster.mustKubectl(['get', `bg/${name}`, '-n', engines, '-o', jsonpath])).includes('tiny');
      },
      60_000,
    );
  });
});
