import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { Operator, placeFor } from './testkit/operator.ts';
import { policy } from './testkit/resources.ts';

const cluster = startCluster();

beforeAll(() => cluster.installCrds());
afterAll(() => cluster.close());

it('the cluster’s garbage collector takes the last good version of a policy that was deleted', async () => {
  const { namespace, kubeconfig } = await placeFor(cluster);
  const operator = await Operator.ready({ kubeconfig });
  const revisions = async (): Promise<number> => {
    const list = ['get', 'controllerrevisions', '-n', namespace, '-o', 'name'];
    return (await cluster.mustKubectl(list)).split('\n').filter((line) => line !== '').length;
  };
  await cluster.apply(policy('p'), '-n', namespace);
  await until('it is kept', async () => (await revisions()) === 1);
  await cluster.mustKubectl(['delete', 'rp', 'p', '-n', namespace]);
  // The collector looks for new kinds every half minute.
  await until('it is gone', async () => (await revisions()) === 0, 90_000);
  await operator.stop();
  expect(operator.process.stdout).not.toContain('"level":"error"');
});
