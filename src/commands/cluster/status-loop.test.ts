import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import { ClusterState } from '../../controller/cluster-state.ts';
import { viewOf } from '../../controller/peers/replica-view.ts';
import { RevisionWriter } from '../../controller/revisions/revision-writer.ts';
import { FakeApi, pass, silentLog } from '../../controller/status/status.fixture.ts';
import { StatusWriter } from '../../controller/status/status-writer.ts';
import { WriteBudget } from '../../controller/status/write-budget.ts';
import { keepResource, type WatchedResource } from '../../controller/watched.ts';
import type { Clock } from '../../router/clock.ts';
import { TableStore } from '../../router/table.ts';
import { StatusLoop } from './status-loop.ts';

const good = { backendRefs: [{ name: 'g' }] };
const bad = { ...good, nonsense: 1 };

function policy(name: string, generation: number, spec: object): WatchedResource {
  const metadata = { name, namespace: 'default', uid: `uid-${name}`, generation, resourceVersion: String(generation) };
  const watched = keepResource({ kind: 'RoutingPolicy', routerClass: 'hermes', allowExternalTargets: false })({
    metadata,
    spec,
  });
  if (watched === null) throw new Error('of another class');
  return watched;
}

let clock: ManualClock;
let api: FakeApi;
let state: ClusterState;
let loop: StatusLoop;
let ready: boolean;

/** The loop of one replica that leads; `time` is what it reads the time from. */
function leading(time: Clock, told: (id: string) => void = () => {}): StatusLoop {
  const options = { client: api, clock: time, log: silentLog };
  const made = new StatusLoop({
    assembly: {
      store: new TableStore(),
      verdicts: [],
      caches: new Map(),
      fleet: { members: () => [], summary: () => null },
    },
    resources: { state, revisions: () => Promise.resolve([]) },
    peers: { gather: () => Promise.resolve([viewOf({ replica: 'r', ready: true, policies: [] })]) },
    writer: new StatusWriter({ ...options, budget: new WriteBudget(time, 5), interval: 30_000 }),
    revisions: new RevisionWriter({ ...options, budget: new WriteBudget(time, 5) }),
    ready: () => ready,
    clock: time,
    log: silentLog,
    onStatus: ({ watched }) => told(watched.id),
  });
  made.lead();
  return made;
}

beforeEach(() => {
  clock = new ManualClock();
  api = new FakeApi(clock);
  state = new ClusterState();
  ready = true;
});

const sent = (): string[] =>
  api.requests.map(({ request }) => {
    const body = JSON.stringify(request.body);
    const revision = /"revision":(\d+)/.exec(body)?.[1];
    return revision === undefined ? `${request.method} status` : `${request.method} revision ${revision}`;
  });

describe('the status loop', () => {
  it('keeps a version that was good for less time than passes between two looks', async () => {
    loop = leading(clock);
    await pass(clock, 300);
    state.set(policy('p', 1, good));
    state.set(policy('p', 2, bad));
    loop.touch('RoutingPolicy default/p');
    await pass(clock, 1000);
    expect(sent()).toEqual(['POST revision 1', 'PATCH status']);
    const [status] = [...api.statuses.values()].filter((one) => one !== undefined);
    expect(status).toMatchObject({ observedGeneration: 2 });
    expect(JSON.stringify(status)).toContain('LastGoodInForce');
  });

  it('says nothing before a table is in force, and all soon after', async () => {
    ready = false;
    const broken = policy('p', 2, bad);
    state.set(broken);
    loop = leading(clock);
    await pass(clock, 20_000);
    expect(sent()).toEqual([]);
    const before = policy('p', 1, good);
    if (before.resource === null) throw new Error('not valid');
    state.remember(broken.uid, { resource: before.resource, generation: 1, created: 0 });
    ready = true;
    await pass(clock, 600);
    expect(JSON.stringify([...api.statuses.values()])).toContain('LastGoodInForce');
  });

  it('keeps nothing of a policy that was never valid', async () => {
    state.set(policy('p', 1, bad));
    loop = leading(clock);
    await pass(clock, 1000);
    expect(sent()).toEqual(['PATCH status']);
  });

  it('neither of the two writes holds up the other', async () => {
    for (let i = 0; i < 100; i++) state.set(policy(`p${i}`, 1, good));
    loop = leading(clock);
    await pass(clock, 4000);
    const kinds = sent().map((one) => one.split(' ')[1]);
    expect(kinds.filter((kind) => kind === 'status').length).toBeGreaterThan(18);
    expect(kinds.filter((kind) => kind === 'revision').length).toBeGreaterThan(18);
  });

  it('passes over an object that went while a look is under way, and lets others have their turn', async () => {
    for (let i = 0; i < 10; i++) state.set(policy(`p${i}`, 1, good));
    const told: string[] = [];
    // Every look at the time takes 2 ms of it.
    const slow: Clock = {
      now: () => {
        clock.advance(2);
        return clock.now();
      },
      after: (milliseconds, callback) => clock.after(milliseconds, callback),
    };
    loop = leading(slow, (id) => {
      told.push(id);
      if (told.length === 1) setImmediate(() => state.remove('RoutingPolicy default/p9'));
    });
    await pass(clock, 1000);
    expect(new Set(told).size).toBe(9);
    expect(told).not.toContain('RoutingPolicy default/p9');
  });
});
