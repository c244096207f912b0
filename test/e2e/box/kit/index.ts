import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCluster, type Cluster } from '../../cluster/kit/index.ts';

export { until } from '../../testkit/until.ts';
export { ClientPod, type LoadReport } from './client.ts';
export { engines, image, list, podSpec } from './workloads.ts';
export { startCluster, type Cluster };

export const project = join(import.meta.dirname, '../../../..');
export const chart = (name: string): string => join(project, 'charts', name);

/** Whether the node is this machine, and the cluster nobody's: then a test may do what it would not do to others'. */
export const inBox = process.env.BOX_DIR !== undefined;

/** A fresh namespace in which the strictest pod security is enforced; it goes at the end of the suite. */
export async function strictNamespace(cluster: Cluster): Promise<string> {
  const namespace = await cluster.namespace();
  await enforceRestricted(cluster, namespace);
  return namespace;
}

export async function enforceRestricted(cluster: Cluster, namespace: string): Promise<void> {
  await cluster.mustKubectl(['label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted']);
}

/** Waits until a Deployment is as it should be. */
export async function rolledOut(cluster: Cluster, namespace: string, ...names: readonly string[]): Promise<void> {
  for (const name of names)
    await cluster.mustKubectl(['rollout', 'status', '-n', namespace, '--timeout=120s', `deployment/${name}`]);
}

/** Objects of a kind in a namespace, all or those with labels. */
export async function objects<T>(cluster: Cluster, kind: string, namespace: string, selector = ''): Promise<T[]> {
  const args = ['get', kind, '-n', namespace, '-o', 'json', ...(selector === '' ? [] : ['-l', selector])];
  return (JSON.parse(await cluster.mustKubectl(args)) as { items: T[] }).items;
}

/** The CRDs of the project are there, however they came. */
export async function withCrds(cluster: Cluster): Promise<void> {
  await cluster.mustKubectl(['apply', '--server-side', '--force-conflicts', '-k', join(project, 'config/crd')]);
  await cluster.mustKubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', ...crds]);
}

export const crds = ['routingpolicies.hermes-router.io', 'backendgroups.hermes-router.io'];

/** The BackendGroup and the RoutingPolicy of config/samples: Pods app=vllm, model Qwen/Qwen3-8B. */
export const samples = ['backendgroup', 'routingpolicy']
  .map((name) => readFileSync(join(project, 'config/samples', `${name}.yaml`), 'utf8'))
  .join('---\n');
export const model = 'Qwen/Qwen3-8B';
