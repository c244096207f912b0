// config/ on a real API server: what a user applies, under the strictest pod security, with rights for what is needed.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { everything } from './testkit/release.ts';

const config = join(import.meta.dirname, '../../../config');
const folders = readdirSync(config, { withFileTypes: true }).flatMap((one) => (one.isDirectory() ? one.name : []));
const cluster = startCluster();
let namespace: string;

beforeAll(async () => {
  await cluster.installCrds();
  // Of the Prometheus operator; a cluster of somebody's may have newer ones.
  if (cluster.access.own !== null) {
    const monitoring = join(import.meta.dirname, 'crds/monitoring.yaml');
    await cluster.mustKubectl(['apply', '--server-side', '--force-conflicts', '-f', monitoring]);
    await cluster.mustKubectl(['wait', '--for=condition=Established', '--timeout=60s', '-f', monitoring]);
  }
  namespace = await cluster.namespace();
});
afterAll(() => cluster.close());

interface Placed {
  kind: string;
  metadata: { name: string; namespace?: string };
  subjects?: { namespace: string }[];
  spec?: { template?: { spec: { containers: { args: string[] }[] } } };
}

describe('config/', () => {
  it.each(folders)('%s would apply as it stands', async (folder) => {
    const args = ['apply', '-k', join(config, folder), '--dry-run=server', '--validate=strict'];
    expect(await cluster.kubectl(args)).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it.each(folders.filter((folder) => folder !== 'crd'))(
    '%s is applied, its pods are admitted, and it goes without a trace but the CRDs',
    async (folder) => {
      const here = await cluster.namespace();
      const overlay = cluster.overlay(folder, here);
      expect(await cluster.kubectl(['apply', '-k', overlay])).toMatchObject({ code: 0, stderr: '' });
      const deployments = await cluster.mustKubectl(['get', 'deployments', '-n', here, '-o', 'name']);
      // The manager alone has no service account yet.
      for (const name of deployments.split('\n').filter((line) => line !== '' && folder !== 'manager'))
        await cluster.mustKubectl(['wait', '--for=jsonpath={.status.replicas}', '--timeout=60s', '-n', here, name]);
      const all = ['delete', '-k', overlay, '--wait=false'];
      const withCrds = folder === 'default' || folder === 'cluster-wide';
      const said = await cluster.mustKubectl(withCrds ? [...all, '-l', 'app.kubernetes.io/name=hermes-router'] : all);
      expect(said).not.toContain('customresourcedefinition');
      await until('nothing is left', async () => (await everything(cluster, here)).length === 0, 60_000);
      const everywhere = ['get', 'clusterroles,clusterrolebindings', '-o', 'name'];
      if (folder !== 'samples') expect(await cluster.mustKubectl(everywhere)).not.toContain('/hermes-router');
    },
  );

  it('names every object of the router after it, in the namespace of the overlay', async () => {
    const items = loadAll(await cluster.mustKubectl(['kustomize', cluster.overlay('default', namespace)])) as Placed[];
    const placed = items.filter(({ metadata }) => metadata.namespace !== undefined);
    expect(placed.map(({ kind }) => kind).sort()).toEqual(
      ['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Role', 'RoleBinding', 'RoleBinding', 'Service', 'Service', 'ServiceAccount'], // prettier-ignore
    );
    for (const { metadata } of placed) expect(metadata).toMatchObject({ namespace });
    for (const { metadata } of placed) expect(metadata.name).toMatch(/^hermes-router/);
  });

  it('serves all namespaces where it is installed cluster-wide, wherever that is', async () => {
    const text = await cluster.mustKubectl(['kustomize', cluster.overlay('cluster-wide', namespace)]);
    const items = loadAll(text) as Placed[];
    const bindings = items.filter(({ kind }) => kind.endsWith('Binding'));
    expect(bindings.map(({ kind }) => kind).sort()).toEqual(['ClusterRoleBinding', 'RoleBinding', 'RoleBinding']);
    for (const { subjects } of bindings) expect(subjects).toEqual([expect.objectContaining({ namespace })]);
    const [container] = items.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec.containers ?? [];
    expect(container.args).toContain('--all-namespaces');
  });

  it('makes pods that the strictest pod security admits', async () => {
    const label = (mode: string): string => `pod-security.kubernetes.io/${mode}=restricted`;
    await cluster.mustKubectl(['label', 'namespace', namespace, label('enforce'), label('warn')]);
    const { code, stderr } = await cluster.applyConfig('default', namespace);
    expect(code).toBe(0);
    expect(stderr).not.toContain('would violate PodSecurity');
    await cluster.mustKubectl([
      ...['wait', '--for=jsonpath={.status.replicas}=2', '--timeout=60s', '-n', namespace, 'deployment/hermes-router'],
    ]);
    expect((await cluster.mustKubectl(['get', 'pods', '-n', namespace, '-o', 'name'])).trim().split('\n')).toHaveLength(
      2,
    );
  });

  it('has samples that apply in the same namespace and are listed', async () => {
    expect(await cluster.applyConfig('samples', namespace)).toMatchObject({ code: 0, stderr: '' });
    const found = await cluster.mustKubectl(['get', 'hermes', '-n', namespace, '-o', 'name']);
    expect(found.trim().split('\n').sort()).toEqual([
      'backendgroup.hermes-router.io/qwen3-8b',
      'routingpolicy.hermes-router.io/qwen3-8b',
    ]);
  });
});

describe('the rights of the router', () => {
  beforeAll(async () => {
    expect(await cluster.applyConfig('rbac', namespace)).toMatchObject({ code: 0 });
  });

  it.each([
    ['list', 'routingpolicies'],
    ['watch', 'backendgroups'],
    ['patch', 'routingpolicies', '--subresource=status'],
    ['get', 'secrets'],
    ['update', 'leases'],
  ])('reach to %s %s in its namespace, and not in another', async (...right) => {
    expect(await mayI(namespace, ...right)).toBe('yes');
    expect(await mayI('kube-system', ...right)).toBe('no');
  });

  it.each([
    ['update', 'routingpolicies'],
    ['delete', 'backendgroups'],
    ['list', 'secrets'],
    ['create', 'pods'],
    ['delete', 'leases'],
    ['get', 'nodes'],
  ])('do not reach to %s %s', async (...right) => {
    expect(await mayI(namespace, ...right)).toBe('no');
  });

  /** As the service account itself sees it, with a token of its own. */
  async function mayI(within: string, ...right: readonly string[]): Promise<string> {
    const kubeconfig = await cluster.serviceAccountKubeconfig(namespace, 'hermes-router');
    return (await cluster.kubectl(['auth', 'can-i', ...right, '-n', within], { kubeconfig })).stdout.trim();
  }
});
