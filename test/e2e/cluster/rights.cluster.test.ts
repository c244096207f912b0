// Every right of config/rbac is used, and no other is missed: the API server's audit log tells.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wallClock } from '../../../src/commands/wall-clock.ts';
import { EventRecorder, type EventNote } from '../../../src/controller/kube/events.ts';
import { HttpKubeClient } from '../../../src/controller/kube/http-client.ts';
import { fromKubeconfig } from '../../../src/controller/kube/kubeconfig-file.ts';
import { createLog } from '../../../src/observability/log.ts';
import { ManualClock } from '../../fixtures/manual-clock.ts';
import { until } from '../testkit/until.ts';
import { comparedRights, startCluster } from './kit/index.ts';
import { Operator, placeFor, read, type Place } from './testkit/operator.ts';
import { discoveredGroup, policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const log = createLog(() => undefined);
let place: Place;

beforeAll(async () => {
  await cluster.installCrds();
  place = await placeFor(cluster);
});
afterAll(() => cluster.close());

describe('the rights of config/rbac', () => {
  it('are all used by the router, and no other is asked for', async (context) => {
    cluster.needsOwn(context);
    const since = cluster.markRequests();
    const user = `system:serviceaccount:${place.namespace}:hermes-router`;
    const rights = () => comparedRights(cluster.requests(since, { user }));
    const apply = (...texts: string[]) => cluster.apply(texts.join('---'), '-n', place.namespace);
    const pods = '{type: Pods, pods: {selector: {matchLabels: {app: e}}, targetPorts: [{number: 8000}]}}';
    const key = 'connection: {apiKeySecretRef: {name: key, key: token}}';
    await apply(
      discoveredGroup('pods', pods),
      discoveredGroup('service', '{type: Service, service: {name: e, port: 8000}}'),
      discoveredGroup('pool', '{type: InferencePool, inferencePool: {name: e}}'),
      staticGroup('g', ['127.0.0.1:9'], key),
      policy('p'),
    );
    const flags = ['--allow-external-targets', '--peer-service', 'hermes-router-peers'];
    const operator = await Operator.ready({ kubeconfig: place.kubeconfig, flags });
    try {
      await until('the status is written', async () => (await generation()) === 1);
      // Another last good version takes the place of the first.
      await apply(policy('p', '{backendRefs: [{name: g}, {name: pods}]}'));
      await until('the change is told', async () => (await generation()) === 2);
      await noteTwice(await read(cluster, 'rp', place.namespace, 'p'));
      await until(`all rights are used; now ${JSON.stringify(rights())}`, () => rights().unused.length === 0).catch(
        () => undefined,
      );
      expect(rights()).toEqual({ unused: [], missing: [] });
    } finally {
      await operator.kill();
    }
  });

  const generation = async (): Promise<unknown> =>
    (await read(cluster, 'rp', place.namespace, 'p')).status?.observedGeneration;

  /** What the router does with an event that comes again within a minute, without the minute. */
  async function noteTwice(policyNow: unknown): Promise<void> {
    const client = new HttpKubeClient({
      connection: fromKubeconfig([place.kubeconfig], wallClock, log),
      clock: wallClock,
      version: 'test',
    });
    const clock = new ManualClock();
    const events = new EventRecorder({
      client,
      controller: 'hermes-router.io/controller',
      instance: 'test',
      clock,
      log,
    });
    const note: EventNote = {
      ...{ type: 'Normal', reason: 'Accepted', action: 'Reconcile', note: 'In force.' },
      regarding: policyNow as EventNote['regarding'],
    };
    const list = () => cluster.api('GET', `/apis/events.k8s.io/v1/namespaces/${place.namespace}/events`);
    const mine = async () =>
      (await list()).body.items.find((one: { reportingInstance?: string }) => one.reportingInstance === 'test');
    events.record(note);
    await until('the event is written', async () => (await mine()) !== undefined);
    events.record(note);
    await until('it is continued', async () => {
      clock.advance(60_000);
      return (await mine()).series?.count === 2;
    });
    events.close();
    client.close();
  }
});
