import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { Load } from '../testkit/load.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { Operator, placeFor } from './testkit/operator.ts';
import { staticGroup } from './testkit/resources.ts';
import { programmedPolicies, shortestPauses, statusWrites, tenantPolicy } from './testkit/status-writes.ts';

const cluster = startCluster();
const engines = enginesOn(cluster, 2);

it('busy policies are written once in every --status-interval, idle ones never', async (context) => {
  cluster.needsOwn(context);
  const interval = 2000;
  const busy = ['busy-0', 'busy-1', 'busy-2'];
  const idle = Array.from({ length: 8 }, (_, i) => `idle-${i}`);
  const { namespace, kubeconfig } = await placeFor(cluster);
  const operator = await Operator.ready({ kubeconfig, flags: ['--allow-external-targets', '--status-interval', '2s'] });
  const client = new Client(operator.proxy);
  const texts = [staticGroup('g', engines.map(({ address }) => address)), ...[...busy, ...idle].map(tenantPolicy)]; // prettier-ignore
  await cluster.apply(texts.join('---'), '-n', namespace);
  await until('all are programmed', async () => (await programmedPolicies(cluster, namespace)).length === 11, 30_000);
  const mark = cluster.markRequests();
  const load = new Load(2, async (turn) => {
    const headers = { 'x-tenant': busy[turn % busy.length] };
    const { status } = await client.chat('m', {}, { headers });
    return status === 200 ? null : `status ${status}`;
  });
  await sleep(5 * interval);
  await load.stop();
  const pauses = shortestPauses(statusWrites(cluster, mark, namespace));
  await client.close();
  await operator.stop();
  expect(load.failures).toEqual([]);
  for (const name of busy) {
    const pause = pauses.get(`routingpolicies/status ${name}`) ?? 0;
    // Measured where the writes arrive: one may be on its way for longer than the next.
    expect(pause).toBeGreaterThan(interval - 200);
    expect(pause).toBeLessThan(Infinity);
  }
  for (const name of idle) expect(pauses.has(`routingpolicies/status ${name}`)).toBe(false);
});
