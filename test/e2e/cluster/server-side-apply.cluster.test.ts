import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settled, until } from '../testkit/until.ts';
import { startCluster } from './kit/index.ts';
import { enginesOn } from './testkit/engines.ts';
import { Line } from './testkit/line.ts';
import { conditions, Operator, placeFor, quick, read, type Place } from './testkit/operator.ts';
import { policy, staticGroup } from './testkit/resources.ts';

const cluster = startCluster();
const engines = enginesOn(cluster, 1);
let place: Place;
let line: Line;
let operator: Operator;

beforeEach(async (context) => {
  cluster.needsOwn(context);
  place = await placeFor(cluster);
  line = await Line.open(cluster, place.kubeconfig);
  operator = await Operator.ready({
    kubeconfig: line.kubeconfig,
    flags: quick,
  });
});
afterEach(async () => {
  await operator.stop();
  await line.close();
});

const object = () => read(cluster, 'rp', place.namespace, 'p');
const said = async () => conditions(await object());
const programmed = () => until('the policy is programmed', async () => (await said()).Programmed === 'True/Programmed');
const spec = (seconds: number): string => policy('p', `{backendRefs: [{name: g}], timeouts: {connect: ${seconds}s}}`);
/** As a pipeline applies what it keeps in a repository. */
const serverSide = (text: string, ...more: string[]): Promise<string> =>
  cluster.apply(text, '-n', place.namespace, '--server-side', ...more);

/** Status writes of the router since a mark, by their answers. */
function writes(mark: ReturnType<typeof cluster.markRequests>): number[] {
  const user = `system:serviceaccount:${place.namespace}:hermes-router`;
  const resource = 'routingpolicies/status';
  return cluster.requests(mark, { user, resource }).map(({ code }) => code);
}

describe('who writes what of an object', () => {
  it('user and router apply beside each other and never quarrel', async () => {
    const mark = cluster.markRequests();
    await serverSide(`${staticGroup('g', [engines[0].address])}---${spec(1)}`);
    await programmed();
    // Each edit meets a status write: the one of the edit before.
    for (let seconds = 2; seconds < 10; seconds++) await serverSide(spec(seconds));
    await programmed();
    // 409: an edit came between what the write is of and the write, which is then made of the newer version.
    expect(writes(mark).filter((code) => code !== 200 && code !== 409)).toEqual([]);
    expect(writes(mark).at(-1)).toBe(200);
    const shown = ['get', 'rp', 'p', '-n', place.namespace, '-o', 'json', '--show-managed-fields'];
    const { metadata } = JSON.parse(await cluster.mustKubectl(shown)) as {
      metadata: { generation: number; managedFields: Record<string, unknown>[] };
    };
    expect(metadata.generation).toBe(9);
    const managers = metadata.managedFields.map(({ manager, operation, subresource }) => [
      manager,
      operation,
      subresource,
    ]);
    expect(managers.sort()).toEqual([
      ['hermes-router', 'Apply', 'status'],
      ['kubectl', 'Apply', undefined],
    ]);
  });

  it('what somebody else says of the object stays', async () => {
    await serverSide(`${staticGroup('g', [engines[0].address])}---${spec(1)}`);
    await programmed();
    const condition =
      '{type: Reviewed, status: "True", reason: Reviewed, message: fine, observedGeneration: 1, lastTransitionTime: "2026-11-21T00:00:00Z"}';
    const foreign = `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: p}
status: {conditions: [${condition}]}
`;
    await serverSide(foreign, '--subresource=status', '--field-manager=reviewer');
    const mark = cluster.markRequests();
    await serverSide(spec(2));
    await until('the router has written again', () => writes(mark).length > 0);
    await programmed();
    const types = (await object()).status?.conditions?.map(({ type }) => type).sort();
    expect(types).toEqual(['Accepted', 'Programmed', 'ResolvedRefs', 'Reviewed']);
  });

  it('an object that was made anew never gets the status of the one before', async () => {
    await serverSide(`${staticGroup('g', [engines[0].address])}---${spec(1)}`);
    await programmed();
    line.hold();
    const mark = cluster.markRequests();
    await serverSide(spec(2));
    // It looks at what has changed twice a second: after this the write is on its way.
    await settled('the router has said what it wants to say', () => line.heldBytes, 1200);
    expect(line.heldBytes).toBeGreaterThan(0);
    await cluster.mustKubectl(['delete', 'rp', 'p', '-n', place.namespace]);
    await serverSide(spec(1));
    line.release();
    await programmed();
    expect(writes(mark)).toContain(409);
    expect((await object()).status?.observedGeneration).toBe(1);
  });
});
