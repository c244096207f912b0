import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { Load } from '../testkit/load.ts';
import { quietPort } from '../testkit/ports.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { conditions, Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const engines = enginesOn(cluster, 2);
let place: Place;
let replicas: Operator[];
let clients: Client[];

beforeEach(async () => {
  place = await placeFor(cluster);
  const ports = await Promise.all([quietPort(), quietPort(), quietPort()]);
  const admins = ports.map((port) => `127.0.0.1:${port}`);
  const flags = [...quick, '--peers', admins.join(',')];
  replicas = await Promise.all(
    admins.map((admin, i) => Operator.ready({ kubeconfig: place.kubeconfig, name: `replica-${i}`, flags, admin })),
  );
  clients = replicas.map(({ proxy }) => new Client(proxy));
  const addresses = engines.map(({ address }) => address);
  await cluster.apply(`${staticGroup('g', addresses)}---${policy('p')}`, '-n', place.namespace);
  await until('the policy is programmed', async () => (await said()).Programmed === 'True/Programmed', 30_000);
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(replicas.map((replica) => replica.kill()));
});

const object = () => read(cluster, 'rp', place.namespace, 'p');
const said = async () => conditions(await object());

async function leader(): Promise<number> {
  return until('somebody leads', async () => {
    const leading = await Promise.all(
      replicas.map(async (replica) => replica.process.running && (await replica.leads().catch(() => false))),
    );
    const found = leading.indexOf(true);
    return found < 0 ? null : { found };
  }).then(({ found }) => found);
}

/** One client that asks without a break. */
const steady = (client: Client): Load =>
  new Load(1, async () => {
    const { status } = await client.chat('m');
    return status === 200 ? null : `status ${status}`;
  });

async function expectNothingLost(loads: readonly Load[]): Promise<void> {
  for (const load of loads) {
    await load.stop();
    expect(load.done).toBeGreaterThan(0);
    expect(load.failures).toEqual([]);
  }
}

interface Lead {
  readonly holder: string;
  /** Milliseconds since 1970, as the replicas wrote them. */
  readonly acquired: number;
  readonly renewed: number;
}

async function lead(): Promise<Lead> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${place.namespace}/leases/hermes-router-hermes`;
  const { body } = await cluster.api('GET', path);
  const { spec } = (typeof body === 'string' ? JSON.parse(body) : body) as {
    spec: { holderIdentity?: string; acquireTime?: string; renewTime?: string };
  };
  const time = (text = ''): number => Date.parse(text);
  return { holder: spec.holderIdentity ?? '', acquired: time(spec.acquireTime), renewed: time(spec.renewTime) };
}

/** The next one's lead. */
const leadAfter = (before: Lead): Promise<Lead> =>
  until('another leads', async () => {
    const now = await lead();
    return now.holder !== '' && now.holder !== before.holder && now;
  }, 30_000); // prettier-ignore

/** Changes the policy, waits until its status speaks of the change, and returns when that was written: whole seconds. */
async function statusOfChange(connect: string): Promise<number> {
  await cluster.apply(
    policy('p', `{backendRefs: [{name: g}], timeouts: {connect: ${connect}}}`),
    '-n',
    place.namespace,
  );
  await until('the status follows', async () => 'Accepted' in (await said()), 30_000);
  const { metadata } = (await object()) as unknown as {
    metadata: { managedFields: { subresource?: string; time: string }[] };
  };
  return Math.max(
    ...metadata.managedFields.flatMap((by) => (by.subresource === 'status' ? [Date.parse(by.time)] : [])),
  );
}

const trafficOf = async (): Promise<{ requestsPerMinute?: number; observedReplicas?: number }> =>
  (await object()).status?.traffic ?? {};

describe('three replicas', () => {
  it('have one leader and one status, which is of all of them', async () => {
    const leading = await Promise.all(replicas.map((replica) => replica.leads()));
    expect(leading.filter(Boolean)).toHaveLength(1);
    for (const client of clients) for (let i = 0; i < 20; i++) expect((await client.chat('m')).status).toBe(200);
    const status = await until('all traffic is in the status', async () => {
      const { status: now } = await object();
      const traffic = now?.traffic as { requestsPerMinute?: number } | undefined;
      // More than any two of them have seen; a status that is 10 % behind is not written again.
      return (traffic?.requestsPerMinute ?? 0) > 40 && now;
    });
    expect(status).toMatchObject({ programmedReplicas: 3, traffic: { observedReplicas: 3 } });
    const { endpoints } = status.scores as { endpoints: { name: string; group: string; sharePercent: number }[] };
    expect(endpoints.map(({ name }) => name).sort()).toEqual(['e0', 'e1']);
    expect(endpoints.reduce((sum, { sharePercent }) => sum + sharePercent, 0)).toBe(100);
  });

  it('are programmed only when the last of them runs the change', async () => {
    const slow = replicas[(await leader()) === 0 ? 1 : 0];
    slow.process.signal('SIGSTOP');
    await cluster.apply(policy('p', '{backendRefs: [{name: g}], match: {models: [x]}}'), '-n', place.namespace);
    await until('the change is accepted', async () => (await said()).Accepted === 'True/Accepted', 30_000);
    expect((await said()).Programmed).toMatch(/\/Pending$/);
    slow.process.signal('SIGCONT');
    await until('it is programmed', async () => (await said()).Programmed === 'True/Programmed', 30_000);
  });

  it('go on without a leader that is killed, and have another within 15 seconds', async () => {
    const dead = await leader();
    const others = clients.filter((_client, i) => i !== dead);
    const loads = others.map((client) => steady(client));
    const killedAt = Date.now();
    await replicas[dead].kill();
    const last = await lead();
    const [written, next] = await Promise.all([statusOfChange('2s'), leadAfter(last)]);
    // A Lease runs out after 11 seconds, seen at most two later.
    expect(next.acquired - last.renewed).toBeLessThanOrEqual(15_000);
    expect(written - killedAt).toBeLessThanOrEqual(15_000);
    expect(await leader()).not.toBe(dead);
    await until(
      'the status is of the two that are left',
      async () => (await trafficOf()).observedReplicas === 2,
      30_000,
    );
    await expectNothingLost(loads);
  });

  it('take over within three seconds when the leader is told to stop, while it still ends what it has accepted', async () => {
    const old = await leader();
    const loads = clients.filter((_client, i) => i !== old).map((client) => steady(client));
    const accepted = await Promise.all(Array.from({ length: 5 }, () => clients[old].stream('m', { max_tokens: 700 })));
    await Promise.all(accepted.map((stream) => stream.next()));
    const before = await lead();
    const toldAt = Date.now();
    replicas[old].process.signal('SIGTERM');
    const [written, next] = await Promise.all([statusOfChange('3s'), leadAfter(before)]);
    expect(next.acquired - toldAt).toBeLessThanOrEqual(3_000);
    expect(written - toldAt).toBeLessThanOrEqual(3_000);
    await Promise.all(accepted.map((stream) => stream.drain()));
    expect(accepted.map(({ broken, events }) => [broken, events.at(-1)])).toEqual(
      accepted.map(() => [false, '[DONE]']),
    );
    expect(await replicas[old].process.exit).toBe(0);
    await expectNothingLost(loads);
  });
});
