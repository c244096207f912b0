// config/ on a real API server: what a user applies, under the strictest pod security, with rights for what is needed.
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCluster } from './kit/index.ts';

const config = join(import.meta.dirname, '../../../config');
const cluster = startCluster();
let namespace: string;

beforeAll(async () => {
  await cluster.installCrds();
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
  it.each(['crd', 'default', 'cluster-wide'])('%s would apply as it stands', async (folder) => {
    const args = ['apply', '-k', join(config, folder), '--dry-run=server', '--validate=strict'];
    expect(await cluster.kubectl(args)).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

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
