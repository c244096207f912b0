import type { TestProject } from 'vitest/node';
import { existingCluster } from '../../cluster/kit/control-plane.ts';
import type {} from '../../cluster/kit/global-setup.ts';

/** The suites run on the cluster of KUBECONFIG, which run.ts makes. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kubeconfig = process.env.KUBECONFIG ?? '';
  if (kubeconfig === '')
    throw new Error('run these suites by `make e2e-cluster`, or set KUBECONFIG to a cluster with a node');
  const cluster = await existingCluster(kubeconfig);
  project.provide('cluster', cluster.access);
  return cluster.close;
}
