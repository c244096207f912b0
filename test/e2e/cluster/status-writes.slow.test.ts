import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { Load } from '../testkit/load.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { Operator, placeFor, type Place } from './testkit/operator.ts';
import { staticGroup } from './testkit/resources.ts';
import { mostWithin, programmedPolicies, shortestPauses, statusWrites, tenantPolicy } from './testkit/status-writes.ts';

const cluster = startCluster();
/** Status writes a second of one router class. */
const budget = 5;
const engines = enginesOn(cluster, 4);
let place: Place;
let operator: Operator;

beforeEach(async (context) => {
  cluster.needsOwn(context);
  place = await placeFor(cluster);
});
afterEach(() => operator.stop());

const tenants = (count: number): string[] => Array.from({ length: count }, (_, i) => `tenant-${i}`);

async function started(count: number, interval: string): Promise<void> {
  const { kubeconfig, namespace } = place;
  operator = await Operator.ready({ kubeconfig, flags: ['--allow-external-targets', '--status-interval', interval] });
  const group = staticGroup('g', engines.map(({ address }) => address)); // prettier-ignore
  await cluster.apply([group, ...tenants(count).map(tenantPolicy)].join('---'), '-n', namespace, '--server-side');
}

it('500 busy policies take five status writes a second, and none more than one in an interval', async () => {
  const seconds = 40;
  const mark = cluster.markRequests();
  await started(500, '30s');
  const client = new Client(operator.proxy);
  await until('all are in force', async () => (await operator.table()).policies.length === 500, 30_000);
  const load = new Load(4, async (turn) => {
    const { status } = await client.chat('m', {}, { headers: { 'x-tenant': `tenant-${(turn * 7919) % 500}` } });
    return status === 200 ? null : `status ${status}`;
  });
  const busyFrom = Date.now();
  await sleep(seconds * 1000);
  await load.stop();
  await client.close();
  const writes = statusWrites(cluster, mark, place.namespace);
  const whileBusy = writes.filter(({ at }) => at >= busyFrom);
  console.log(
    `${load.done} requests in ${seconds} s; ${whileBusy.length} status writes, at most ${mostWithin(writes, 1000)} within a second`,
  );
  expect(load.failures).toEqual([]);
  expect(load.done).toBeGreaterThan(500 * 5);
  expect(whileBusy.length).toBeLessThanOrEqual(budget * (seconds + 1));
  // It makes use of what it has: the figures of all would be some 17 a second.
  expect(whileBusy.length).toBeGreaterThan(budget * seconds * 0.8);
  // Measured where the writes arrive, which is less even than where they leave.
  expect(mostWithin(writes, 5000)).toBeLessThanOrEqual(budget * 5 + 2);
  expect(mostWithin(writes, 1000)).toBeLessThanOrEqual(budget + 2);
  const often = [...shortestPauses(whileBusy)].filter(([, pause]) => pause < 29_000);
  expect(often).toEqual([]);
}, 200_000);

it('200 idle policies cause none', async () => {
  await started(200, '1s');
  await until(
    'all are programmed',
    async () => (await programmedPolicies(cluster, place.namespace)).length === 200,
    90_000,
  );
  // What was on its way a moment ago is of the beginning.
  await sleep(2000);
  const mark = cluster.markRequests();
  await sleep(20_000);
  expect(statusWrites(cluster, mark, place.namespace)).toEqual([]);
}, 200_000);
