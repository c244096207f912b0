import type { TestProject } from 'vitest/node';
import { anyCluster, type Access } from './control-plane.ts';

declare module 'vitest' {
  interface ProvidedContext {
    cluster: Access;
  }
}

/** One cluster for all suites of a run; it goes when the run ends. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await anyCluster();
  project.provide('cluster', cluster.access);
  return cluster.close;
}
