import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chart, ClientPod, engines, list, model, objects, podSpec, rolledOut, samples, startCluster, strictNamespace, withCrds } from './kit/index.ts'; // prettier-ignore

const cluster = startCluster();
let namespace: string;
let client: ClientPod;

beforeAll(async () => {
  await withCrds(cluster);
  namespace = await strictNamespace(cluster);
  client = await ClientPod.start(cluster, namespace);
  await cluster.apply(list(engines({ name: 'engines', replicas: 1, model, labels: { app: 'vllm' } })), '-n', namespace);
  await cluster.apply(samples, '-n', namespace);
  await cluster.mustHelm('install', 'hermes-router', chart('hermes-router'), '-n', namespace);
  await cluster.mustHelm('install', 'cache-indexer', chart('cache-indexer'), '-n', namespace);
  await rolledOut(cluster, namespace, 'hermes-router', 'cache-indexer', 'engines');
});
afterAll(() => cluster.close());

/** Runs a script of Node in a container, since there is no shell; what it prints. */
const inContainer = (deployment: string, script: string): Promise<string> =>
  cluster.mustKubectl(['exec', '-n', namespace, `deployment/${deployment}`, '--', '/usr/local/bin/node', '-e', script]);

const state = `
const { readFileSync, writeFileSync } = require('node:fs');
const fields = Object.fromEntries(readFileSync('/proc/1/status', 'utf8').split('\\n').map((line) => line.split(/:\\s*/)));
const refused = (path) => { try { writeFileSync(path, ''); return 'written'; } catch (error) { return error.code; } };
console.log(JSON.stringify({
  user: fields.Uid.split('\\t')[0], group: fields.Gid.split('\\t')[0],
  capabilities: [fields.CapEff, fields.CapPrm, fields.CapBnd], noNewPrivileges: fields.NoNewPrivs, seccomp: fields.Seccomp,
  writes: ['/written', '/tmp/written', '/app/written'].map(refused),
}))`;

describe.each(['hermes-router', 'cache-indexer'])('a running %s', (name) => {
  it('is nobody, may do nothing and writes nowhere', async () => {
    const none = '0000000000000000';
    expect(JSON.parse(await inContainer(name, state))).toEqual({
      user: '65532',
      group: '65532',
      capabilities: [none, none, none],
      noNewPrivileges: '1',
      // With a filter.
      seccomp: '2',
      writes: ['EROFS', 'EROFS', 'EROFS'],
    });
  });

  it('has a token of its own service account, which may not read secrets', async () => {
    const token = await inContainer(
      name,
      "console.log(require('node:fs').readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8'))",
    );
    // By the token alone: the administrator's certificate would come first.
    const by = [`--token=${token.trim()}`, `--server=${cluster.server}`, '--insecure-skip-tls-verify'];
    const can = async (where: string, ...what: string[]): Promise<string> => {
      const asked = ['auth', 'can-i', ...what, '-n', where, ...by];
      return (await cluster.kubectl(asked, { kubeconfig: '/dev/null' })).stdout.trim();
    };
    expect(await can(namespace, 'list', 'pods')).toBe('yes');
    expect(await can('kube-system', 'list', 'pods')).toBe('no');
    expect(await can(namespace, 'list', 'secrets')).toBe('no');
    expect(await can(namespace, 'create', 'pods')).toBe('no');
  });

  it('is covered by a NetworkPolicy', async () => {
    interface Policy {
      readonly metadata: { readonly name: string };
      readonly spec: { readonly podSelector: { readonly matchLabels: Record<string, string> } };
    }
    const policies = await objects<Policy>(cluster, 'networkpolicies', namespace, `app.kubernetes.io/instance=${name}`);
    expect(policies).toHaveLength(1);
    const selector = Object.entries(policies[0].spec.podSelector.matchLabels).map((pair) => pair.join('='));
    expect(await objects(cluster, 'pods', namespace, selector.join())).not.toHaveLength(0);
  });
});

describe('the namespace', () => {
  it('takes no pod with more rights', async () => {
    const spec = { ...podSpec({}), securityContext: {} };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'root' }, spec };
    const refused = await cluster.kubectl(['apply', '-n', namespace, '-f', '-'], { stdin: JSON.stringify(pod) });
    expect(refused.stderr).toContain('violates PodSecurity "restricted:latest"');
  });
});

describe('the admin API', () => {
  it('wants the token from whoever reaches it, and shows the scores with it', async () => {
    const [pod] = await objects<{ status: { podIP: string } }>(cluster, 'pods', namespace, 'app.kubernetes.io/instance=hermes-router'); // prettier-ignore
    const ask = (headers?: Record<string, string>) =>
      client.ask('GET', `http://${pod.status.podIP}:8081/api/v1/table`, undefined, headers);
    expect((await ask()).status).toBe(401);
    expect((await ask({ authorization: 'Bearer wrong' })).status).toBe(401);
    const secret = ['get', 'secret', '-n', namespace, 'hermes-router-admin', '-o', 'jsonpath={.data.token}'];
    const token = Buffer.from(await cluster.mustKubectl(secret), 'base64').toString();
    expect((await ask({ authorization: `Bearer ${token}` })).status).toBe(200);
  });

  it('writes its token into no log', async () => {
    await client.answered('http://hermes-router', model);
    const secret = ['get', 'secret', '-n', namespace, 'hermes-router-admin', '-o', 'jsonpath={.data.token}'];
    const token = Buffer.from(await cluster.mustKubectl(secret), 'base64').toString();
    const logs = await cluster.mustKubectl([
      'logs',
      '-n',
      namespace,
      '-l',
      'app.kubernetes.io/instance=hermes-router',
      '--tail=-1',
    ]);
    expect(logs).not.toBe('');
    expect(logs).not.toContain(token);
  });
});
