import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { PolicyReport } from '../../observability/replica-report.ts';
import { policyStatus } from './policy-status.ts';
import {
  FakeApi,
  groupFacts,
  pass,
  policyFacts,
  policyTarget,
  replica,
  silentLog,
  statusPath,
  validGroupStatus,
} from './status.fixture.ts';
import { StatusWriter } from './status-writer.ts';
import { WriteBudget } from './write-budget.ts';

let clock: ManualClock;
let api: FakeApi;
let writer: StatusWriter;

function newWriter(): StatusWriter {
  const made = new StatusWriter({
    client: api,
    clock,
    log: silentLog,
    budget: new WriteBudget(clock, 5),
    interval: 30_000,
  });
  made.lead();
  return made;
}

beforeEach(() => {
  clock = new ManualClock();
  api = new FakeApi(clock);
  writer = newWriter();
});

const status = (fields: Partial<PolicyReport> = {}, previous?: RoutingPolicyStatus): RoutingPolicyStatus =>
  policyStatus(policyFacts({ replicas: [replica('r', fields)], previous }));
const meaning = (text: string) => policyStatus(policyFacts({ effectiveProfile: text }));
const written = (name: string) => api.requests.filter(({ request }) => request.path.startsWith(`${statusPath(name)}?`));
const profiles = (name: string) =>
  written(name).map(({ request }) => Object(request.body).status.effectiveProfile as string);

describe('a write', () => {
  it('is a server-side apply of the status and of nothing else, by force, for this very object', async () => {
    writer.put(policyTarget('p'), status());
    await pass(clock, 1);
    expect(api.requests.map(({ request }) => request)).toEqual([
      {
        method: 'PATCH',
        path: `${statusPath('p')}?fieldManager=hermes-router&force=true`,
        contentType: 'application/apply-patch+yaml',
        body: {
          apiVersion: 'hermes-router.io/v1alpha1',
          kind: 'RoutingPolicy',
          metadata: { name: 'p', namespace: 'default', resourceVersion: '1' },
          status: status(),
        },
      },
    ]);
    expect([...writer.results]).toEqual([['written', 1]]);
  });

  it('goes to the kind of the object', async () => {
    writer.put({ ...policyTarget('g'), kind: 'BackendGroup' }, validGroupStatus(groupFacts()));
    await pass(clock, 1);
    expect(api.requests[0].request.path).toContain('/backendgroups/g/status?');
  });

  it('is left out where the object has the status already, as a new leader finds it', async () => {
    writer.put(policyTarget('p', { status: status() }), status());
    await pass(clock, 60_000, 1000);
    expect(api.requests).toEqual([]);
  });

  it('replaces what no router of this version can have written', async () => {
    writer.put(policyTarget('p', { status: { ...status(), invented: 1 } }), status());
    await pass(clock, 1);
    expect(written('p')).toHaveLength(1);
  });

  it('is not repeated while the reflector still shows the status from before', async () => {
    for (let i = 0; i < 50; i++) {
      writer.put(policyTarget('p'), status());
      await pass(clock, 1000);
    }
    expect(written('p')).toHaveLength(1);
  });

  it('is repeated when somebody has changed what was written', async () => {
    writer.put(policyTarget('p'), status());
    await pass(clock, 1000);
    writer.put(policyTarget('p', { resourceVersion: '2', status: status() }), status());
    await pass(clock, 1000);
    expect(written('p')).toHaveLength(1);
    writer.put(policyTarget('p', { resourceVersion: '3', status: meaning('of another') }), status());
    await pass(clock, 1000);
    expect(written('p')).toHaveLength(2);
  });

  it('is not made by who does not lead, nor after leading ended', async () => {
    writer.resign();
    writer.put(policyTarget('p'), status());
    await pass(clock, 10_000);
    writer.lead();
    writer.put(policyTarget('p'), status());
    writer.resign();
    await pass(clock, 10_000);
    expect(api.requests).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe('changes of one object', () => {
  it('are coalesced: the newest is written', async () => {
    for (const text of ['a', 'b', 'c']) writer.put(policyTarget('p'), meaning(text));
    await pass(clock, 2000);
    expect(profiles('p')).toEqual(['c']);
  });

  it('wait while a write is under way, and the newest follows it', async () => {
    api.hold = true;
    writer.put(policyTarget('p'), meaning('a'));
    await pass(clock, 1000);
    for (const text of ['b', 'c']) writer.put(policyTarget('p'), meaning(text));
    await pass(clock, 1000);
    expect(profiles('p')).toEqual(['a']);
    api.release();
    await pass(clock, 1000);
    expect(profiles('p')).toEqual(['a', 'c']);
  });

  it('are not sent twice while the first is under way', async () => {
    api.hold = true;
    for (let i = 0; i < 5; i++) {
      writer.put(policyTarget('p'), meaning('a'));
      await pass(clock, 500);
    }
    api.release();
    await pass(clock, 5000);
    expect(profiles('p')).toEqual(['a']);
  });

  it('that take each other back are not written', async () => {
    writer.put(policyTarget('p', { status: meaning('a') }), meaning('b'));
    writer.put(policyTarget('p', { status: meaning('a') }), meaning('a'));
    await pass(clock, 2000);
    expect(api.requests).toEqual([]);
  });

  it('of figures are written once an interval', async () => {
    for (let second = 0; second < 120; second++) {
      writer.put(policyTarget('p'), status({ requestsPerMinute: 1000 * (second + 1) }));
      await pass(clock, 1000, 500);
    }
    const times = written('p').map(({ at }) => at);
    expect(times).toHaveLength(4);
    expect(times.slice(1).every((at, i) => at - times[i] >= 30_000)).toBe(true);
  });
});

describe('the budget', () => {
  const perSecond = () => {
    const times = api.requests.map(({ at }) => at);
    return Math.max(...times.map((start) => times.filter((at) => at >= start && at < start + 1000).length));
  };

  it('is five writes in any second, for 500 busy policies each of which has its turn in time', async () => {
    const names = Array.from({ length: 500 }, (_, i) => `p${i}`);
    const known = status({ requestsPerMinute: 100 });
    const targets = names.map((name) => policyTarget(name, { status: known }));
    for (let round = 1; round <= 42; round++) {
      const next = status({ requestsPerMinute: 100 * 1.15 ** round });
      for (const target of targets) writer.put(target, next);
      await pass(clock, 5000, 200);
    }
    expect(perSecond()).toBe(5);
    // 210 seconds are 1,050 writes: two rounds over 500 objects, none of which waits longer than a round takes.
    const times = new Map(names.map((name) => [statusPath(name), [clock.now() - 210_000]]));
    for (const { at, request } of api.requests) times.get(request.path.replace(/\?.*/, ''))?.push(at);
    const gaps = [...times.values()].flatMap((list) => list.slice(1).map((at, i) => at - list[i]));
    expect(Math.min(...[...times.values()].map((list) => list.length - 1))).toBe(2);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(105_000);
  });

  it('takes meaning before figures', async () => {
    const known = status({ requestsPerMinute: 100 });
    for (let i = 0; i < 100; i++) writer.put(policyTarget(`p${i}`, { status: known }), status({ requestsPerMinute: 900 }));
    await pass(clock, 1000, 200);
    writer.put(policyTarget('edited'), meaning('new'));
    const before = api.requests.length;
    await pass(clock, 400, 200);
    expect(api.requests.slice(before, before + 2).map(({ request }) => request.path)).toContainEqual(
      expect.stringContaining(statusPath('edited')),
    );
  }); // prettier-ignore

  it('leaves every fifth write to figures when meaning never ends', async () => {
    const known = status({ requestsPerMinute: 100 });
    for (let i = 0; i < 5; i++) writer.put(policyTarget(`busy${i}`, { status: known }), status({ requestsPerMinute: 900 }));
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 20; i++) writer.put(policyTarget(`flapping${i}`), meaning(String(round)));
      await pass(clock, 200, 200);
    }
    expect(api.requests.filter(({ request }) => request.path.includes('busy'))).toHaveLength(5);
  }); // prettier-ignore

  it('is shared by namespaces in turns: one with hundreds of changes delays those of no other', async () => {
    for (let i = 0; i < 200; i++) writer.put(policyTarget(`p${i}`), meaning('a'));
    await pass(clock, 1000);
    writer.put({ ...policyTarget('late'), namespace: 'other' }, meaning('a'));
    writer.put({ ...policyTarget('later'), namespace: 'other' }, meaning('a'));
    const sent = api.requests.length;
    await pass(clock, 1000);
    const names = api.requests.slice(sent).map(({ request }) => Object(request.body).metadata.name as string);
    expect(names.slice(0, 4).map((name) => name.replace(/[0-9]+/, ''))).toEqual(['late', 'p', 'later', 'p']);
  });

  it('is shared by all who write', async () => {
    const budget = new WriteBudget(clock, 5);
    const options = { client: api, clock, log: silentLog, budget, interval: 30_000 };
    const [one, other] = [new StatusWriter(options), new StatusWriter(options)];
    for (const each of [one, other]) each.lead();
    for (let i = 0; i < 20; i++) {
      one.put(policyTarget(`one${i}`), status());
      other.put(policyTarget(`other${i}`), status());
    }
    await pass(clock, 2000);
    expect(perSecond()).toBe(5);
    const ofOne = api.requests.filter(({ request }) => request.path.includes('/one')).length;
    expect(Math.abs(2 * ofOne - api.requests.length)).toBeLessThanOrEqual(1);
  });
});

it('an idle hour of 1,000 objects causes no write', async () => {
  const names = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  for (const name of names) writer.put(policyTarget(name), status());
  await pass(clock, 200_000, 200);
  expect(api.requests).toHaveLength(1000);
  for (let now = 0; now < 3_600_000; now += 30_000) {
    for (const name of names) {
      const previous = api.statuses.get(statusPath(name)) as RoutingPolicyStatus;
      const facts = policyFacts({ previous, now: policyFacts().now + now });
      writer.put(policyTarget(name, { status: previous, resourceVersion: '2' }), policyStatus(facts));
    }
    await pass(clock, 30_000, 10_000);
  }
  expect(api.requests).toHaveLength(1000);
  expect(writer.waiting).toBe(0);
});

describe('trouble', () => {
  /** Seconds from the start, to the nearest: an answer comes at the end of a step of the clock. */
  const seconds = (requests = api.requests) => requests.map(({ at }) => Math.round((at - 1000) / 1000));

  it('an API server that is away is asked after 1, 2, 4 … 30 s, by one write, and all is written when it is back', async () => {
    api.everyAnswer = 0;
    for (let i = 0; i < 100; i++) writer.put(policyTarget(`p${i}`), status());
    await pass(clock, 300_000, 100);
    expect(seconds().slice(0, 6)).toEqual([0, 1, 3, 7, 15, 31]);
    expect(seconds().length).toBeLessThan(16);
    api.everyAnswer = 200;
    await pass(clock, 60_000, 200);
    expect(api.statuses.size).toBe(100);
  });

  it.each([429, 500, 503, 401])('status %d counts as away', async (answer) => {
    api.everyAnswer = answer;
    for (let i = 0; i < 20; i++) writer.put(policyTarget(`p${i}`), status());
    await pass(clock, 6000);
    expect(seconds()).toEqual([0, 1, 3]);
    expect([...writer.results]).toEqual([['unavailable', 3]]);
  });

  it('of writes that were under way together is one outage', async () => {
    api.hold = true;
    for (let i = 0; i < 5; i++) writer.put(policyTarget(`p${i}`), status());
    await pass(clock, 1000, 200);
    api.everyAnswer = 0;
    api.release();
    await pass(clock, 1000, 200);
    expect(api.requests).toHaveLength(5);
    await pass(clock, 400, 200);
    expect(api.requests).toHaveLength(6);
  });

  it.each([[409, 'conflict'], [422, 'refused'], [403, 'refused']])('status %d holds up that object only, with backoff', async (answer, result) => {
    api.answers.set(statusPath('bad'), answer);
    writer.put(policyTarget('bad'), status());
    writer.put(policyTarget('good'), status());
    await pass(clock, 60_000);
    expect(written('good')).toHaveLength(1);
    expect(seconds(written('bad'))).toEqual([0, 1, 3, 7, 15, 31]);
    expect(writer.results.get(result === 'conflict' ? 'conflict' : 'refused')).toBe(6);
    api.answers.clear();
    await pass(clock, 60_000, 200);
    expect(written('bad')).toHaveLength(7);
    await pass(clock, 600_000, 1000);
    expect(written('bad')).toHaveLength(7);
  }); // prettier-ignore

  it('a refused object that is put again and again does not go round', async () => {
    api.answers.set(statusPath('bad'), 422);
    for (let second = 0; second < 60; second++) {
      writer.put(policyTarget('bad'), meaning(String(second)));
      await pass(clock, 1000, 500);
    }
    expect(written('bad').length).toBeLessThanOrEqual(6);
  });

  it('an object that is gone is not written again, nor asked for each time it is put', async () => {
    api.answers.set(statusPath('p'), 404);
    writer.put(policyTarget('p'), status());
    await pass(clock, 600_000, 1000);
    expect(written('p')).toHaveLength(1);
    for (let second = 0; second < 60; second++) {
      writer.put(policyTarget('p'), status());
      await pass(clock, 1000, 500);
    }
    expect(written('p').length).toBeLessThanOrEqual(7);
  });

  it('another object by the same name starts anew', async () => {
    api.answers.set(statusPath('p'), 404);
    writer.put(policyTarget('p'), status());
    await pass(clock, 1000);
    api.answers.clear();
    writer.put(policyTarget('p', { uid: 'another', resourceVersion: '7' }), status());
    await pass(clock, 1);
    expect(Object(written('p')[1].request.body).metadata.resourceVersion).toBe('7');
  });

  it('a write that waits builds on the version that is there when its turn comes', async () => {
    for (const name of ['first', 'p']) writer.put(policyTarget(name), status());
    writer.seen(policyTarget('p', { resourceVersion: '2' }));
    await pass(clock, 1000);
    expect(Object(written('p')[0].request.body).metadata.resourceVersion).toBe('2');
  });

  it('what waits of an object is not written to the next by its name', async () => {
    for (const name of ['first', 'p']) writer.put(policyTarget(name), status());
    writer.seen(policyTarget('p', { uid: 'another', resourceVersion: '2' }));
    await pass(clock, 10_000);
    expect(written('p')).toEqual([]);
  });

  it('what was under way for an object that is gone does not come again', async () => {
    api.hold = true;
    writer.put(policyTarget('p'), status());
    await pass(clock, 1);
    writer.seen(policyTarget('p', { uid: 'another', resourceVersion: '2' }));
    api.answers.set(statusPath('p'), 409);
    api.release();
    await pass(clock, 60_000);
    expect(written('p')).toHaveLength(1);
  });

  it('what waits of an object that is forgotten is not written', async () => {
    writer.put(policyTarget('p'), status());
    writer.forget(policyTarget('p'));
    await pass(clock, 1000);
    expect(api.requests).toEqual([]);
  });

  it('the answer to a write of an ended term says nothing: neither that it is written nor that it is to come again', async () => {
    for (const answer of [200, 500]) {
      api.hold = true;
      api.everyAnswer = answer;
      const before = written('p').length;
      writer.put(policyTarget('p'), status());
      await pass(clock, 1000);
      writer.resign();
      api.release();
      await pass(clock, 10_000);
      expect(written('p')).toHaveLength(before + 1);
      writer.lead();
    }
    api.everyAnswer = 200;
    writer.put(policyTarget('p'), status());
    await pass(clock, 1000);
    expect(written('p')).toHaveLength(3);
  });
});
