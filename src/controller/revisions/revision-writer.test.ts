import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { decodeResource } from '../../api/decode.ts';
import { FakeApi, pass, silentLog } from '../status/status.fixture.ts';
import { WriteBudget } from '../status/write-budget.ts';
import { RevisionWriter } from './revision-writer.ts';
import { revisionName, toRevision, type Kept } from './revision.ts';

const path = '/apis/apps/v1/namespaces/default/controllerrevisions';
let clock: ManualClock;
let api: FakeApi;
let writer: RevisionWriter;

function kept(generation: number, uid = 'u1'): Kept {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'RoutingPolicy',
    metadata: { name: 'p' },
    spec: { backendRefs: [{ name: 'g' }] },
  });
  if (!decoded.ok) throw new Error('not valid');
  return { uid, generation, resource: decoded.resource };
}

const sent = () =>
  api.requests.map(({ request }) => {
    const generation = request.method === 'POST' ? Object(request.body).revision : request.path.split('-').at(-1);
    return `${request.method} ${generation}`;
  });

beforeEach(() => {
  clock = new ManualClock();
  api = new FakeApi(clock);
  writer = new RevisionWriter({ client: api, clock, log: silentLog, budget: new WriteBudget(clock, 5) });
});

it('creates the revision of a version once, however often it is asked to keep it', async () => {
  writer.lead([]);
  for (let i = 0; i < 20; i++) {
    writer.keep(kept(1));
    await pass(clock, 500);
  }
  expect(api.requests.map(({ request }) => request)).toEqual([{ method: 'POST', path, body: toRevision(kept(1)) }]);
});

it('does not send again what is under way', async () => {
  writer.lead([]);
  api.hold = true;
  for (let i = 0; i < 5; i++) {
    writer.keep(kept(1));
    await pass(clock, 500);
  }
  api.release();
  await pass(clock, 5000);
  expect(sent()).toEqual(['POST 1']);
});

it('creates none that is there when it comes to lead', async () => {
  writer.lead([JSON.parse(JSON.stringify(toRevision(kept(1)))), { rubbish: 1 }]);
  writer.keep(kept(1));
  await pass(clock, 1000);
  expect(sent()).toEqual([]);
});

it('removes the older one after the newer is there', async () => {
  writer.lead([toRevision(kept(1))]);
  api.hold = true;
  writer.keep(kept(2));
  await pass(clock, 2000);
  expect(sent()).toEqual(['POST 2']);
  api.release();
  await pass(clock, 2000);
  expect(sent()).toEqual(['POST 2', 'DELETE 1']);
  expect(api.requests[1].request.path).toBe(`${path}/${revisionName(kept(1))}`);
  writer.keep(kept(2));
  await pass(clock, 2000);
  expect(sent()).toHaveLength(2);
});

it('takes a name that is there already for the same version', async () => {
  writer.lead([]);
  api.everyAnswer = 409;
  writer.keep(kept(1));
  await pass(clock, 1000);
  writer.keep(kept(1));
  await pass(clock, 10_000);
  expect(sent()).toEqual(['POST 1']);
});

it('takes one that is gone for removed', async () => {
  writer.lead([toRevision(kept(1)), toRevision(kept(2))]);
  api.everyAnswer = 404;
  writer.keep(kept(2));
  await pass(clock, 1000);
  writer.keep(kept(2));
  await pass(clock, 60_000, 1000);
  expect(sent()).toEqual(['DELETE 1']);
});

it('keeps the newest of versions that follow fast', async () => {
  writer.lead([]);
  for (const generation of [1, 2, 3]) writer.keep(kept(generation));
  await pass(clock, 5000);
  expect(sent()).toEqual(['POST 3']);
});

it('tries again with backoff what is refused, and goes on with the others', async () => {
  writer.lead([]);
  api.everyAnswer = 403;
  writer.keep(kept(1));
  await pass(clock, 10_000);
  expect(sent()).toHaveLength(4);
  api.everyAnswer = 200;
  await pass(clock, 10_000);
  expect(sent()).toHaveLength(5);
  expect(writer.results.get('refused')).toBe(4);
});

it('stays within the budget', async () => {
  writer.lead([]);
  for (let i = 0; i < 100; i++) writer.keep(kept(1, `u${i}`));
  await pass(clock, 4900);
  expect(api.requests).toHaveLength(25);
  await pass(clock, 20_000);
  expect(api.requests).toHaveLength(100);
});

it('writes nothing without leading, nor of objects that are gone', async () => {
  writer.keep(kept(1));
  await pass(clock, 1000);
  writer.lead([]);
  writer.keep(kept(1));
  writer.forget('u1');
  writer.keep(kept(1, 'u2'));
  writer.resign();
  await pass(clock, 1000);
  expect(sent()).toEqual([]);
});
