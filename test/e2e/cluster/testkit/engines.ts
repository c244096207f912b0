import { afterAll, beforeAll } from 'vitest';
import type { SimEngine } from '../../../../src/sim/server.ts';
import { closeAll, startEngines } from '../../testkit/sim.ts';
import type { Cluster } from '../kit/index.ts';

/**
 * So many engines of model m for all tests of a suite, on a cluster that has the CRDs; both are given back at the end. To
 * be called at the top of the suite; the engines are there in its tests.
 */
export function enginesOn(cluster: Cluster, count: number): readonly SimEngine[] {
  const engines: SimEngine[] = [];
  beforeAll(async () => {
    await cluster.installCrds();
    engines.push(...(await startEngines(count, 'm')));
  });
  afterAll(async () => {
    await closeAll(engines);
    await cluster.close();
  });
  return engines;
}
