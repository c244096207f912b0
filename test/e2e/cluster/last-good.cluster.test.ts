import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from '../testkit/client.ts';
import { until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { conditions, Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const engines = enginesOn(cluster, 1);
let place: Place;
let replicas: Operator[];

beforeEach(async () => {
  place = await placeFor(cluster);
  replicas = await start();
  await cluster.apply(`${staticGroup('g', [engines[0].address])}---${policy('p')}`, '-n', place.namespace);
});
afterEach(() => Promise.all(replicas.map((replica) => replica.stop())));

const start = (): Promise<Operator[]> =>
  Promise.all(['a', 'b'].map((name) => Operator.ready({ kubeconfig: place.kubeconfig, name, flags: quick })));
const apply = (spec: string) => cluster.apply(policy('p', spec), '-n', place.namespace);
const object = () => read(cluster, 'rp', place.namespace, 'p');
const said = async () => conditions(await object());

interface Revision {
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly Readonly<Record<string, unknown>>[];
  };
  readonly revision: number;
  readonly data: { readonly kind: string; readonly spec: { readonly timeouts?: { readonly connect: string } } };
}

/** The revisions of policies, as kubectl shows them. */
async function revisions(): Promise<Revision[]> {
  const list = await cluster.mustKubectl(['get', 'controllerrevisions', '-n', place.namespace, '-o', 'json']);
  const { items } = JSON.parse(list) as { items: Revision[] };
  return items.filter(({ data }) => data.kind === 'RoutingPolicy');
}

const kept = (generation: number) =>
  until(`generation ${generation} is kept, and no other`, async () => {
    const found = await revisions();
    return found.length === 1 && found[0].revision === generation && found[0];
  });

/** Parameters of plugins are checked by the router only. */
const broken =
  '{backendRefs: [{name: g}], strategy: {type: Profile, profile: {scorers: [{type: scorer-least-load, weight: 1, parameters: {nonsense: 1}}], picker: {type: picker-min-random}}}}';

async function expectServed(): Promise<void> {
  for (const { proxy } of replicas) {
    const client = new Client(proxy);
    expect((await client.chat('m')).status).toBe(200);
    await client.close();
  }
}

describe('the last good version', () => {
  it('is kept in a revision that belongs to the policy, the newest alone', async () => {
    const first = await kept(1);
    const { uid } = (await object()).metadata;
    expect(first.metadata.ownerReferences).toEqual([
      { apiVersion: 'hermes-router.io/v1alpha1', kind: 'RoutingPolicy', name: 'p', uid },
    ]);
    await apply('{backendRefs: [{name: g}], timeouts: {connect: 2s}}');
    expect((await kept(2)).data.spec.timeouts?.connect).toBe('2s');
    await apply(broken);
    await until('it is refused', async () => (await said()).Programmed === 'False/LastGoodInForce');
    expect((await revisions()).map(({ revision }) => revision)).toEqual([2]);
  });

  it('is in force again after all replicas have ended and started', async () => {
    await kept(1);
    await apply(broken);
    await until('it is refused', async () => (await said()).Programmed === 'False/LastGoodInForce');
    const since = (await object()).status?.conditions?.find(({ type }) => type === 'Accepted')?.lastTransitionTime;
    await Promise.all(replicas.map((replica) => replica.stop()));
    replicas = await start();
    await expectServed();
    await until('somebody leads', async () => {
      return (await Promise.all(replicas.map((replica) => replica.leads()))).includes(true);
    });
    expect((await said()).Programmed).toBe('False/LastGoodInForce');
    const still = (await object()).status?.conditions?.find(({ type }) => type === 'Accepted')?.lastTransitionTime;
    expect(still).toBe(since);
    await apply('{backendRefs: [{name: g}]}');
    await until('it is accepted again', async () => (await said()).Accepted === 'True/Accepted');
    await kept(3);
  });
});
