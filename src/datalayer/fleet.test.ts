import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import type { Outcome } from '../router/feedback.ts';
import { Reservation } from '../router/reservation.ts';
import { EndpointStates, Flag } from '../router/states.ts';
import { Fleet } from './fleet.ts';
import type { FleetEvent } from './report.ts';
import type { GroupTarget } from './targets.ts';
import { addressOf, FakeProbe, groupOf, idleMetrics, refused } from './testkit.ts';

/** Between two beats, so that no window of a test ends on one. */
const began = 1_050;

let clock: ManualClock;
let states: EndpointStates;
let probe: FakeProbe;
let fleet: Fleet;
let events: FleetEvent[];
let changes: string[];
let restarts: number[];

const start = (capacity = 64, maxScrapesPerSecond = 300): void => {
  clock = new ManualClock(began);
  states = new EndpointStates(capacity);
  probe = new FakeProbe(clock);
  events = [];
  changes = [];
  restarts = [];
  fleet = new Fleet({
    states,
    clock,
    fetch: probe,
    onChange: (key, change) => changes.push(`${key} ${change}`),
    onRestart: (slot) => restarts.push(slot),
    onEvent: (event) => events.push(event),
    maxScrapesPerSecond,
    random: () => 0.5,
  });
};
const ready = (): string[] => fleet.members('ns/g').flatMap(({ name, ready: is }) => (is ? [name] : []));
const reasons = (): string[] => fleet.members('ns/g').map(({ name, reason }) => `${name} ${reason}`);
const types = (): string[] => events.map(({ type, endpoint }) => `${endpoint} ${type}`);
const slotOf = (n: number): number => fleet.endpoints('ns/g')[n - 1].slot;
const fail = (n: number, times: number, outcome: Outcome = 'timeout'): void => {
  for (let i = 0; i < times; i++) fleet.report(slotOf(n), outcome);
};
const only = (...numbers: number[]): GroupTarget => {
  const group = groupOf(9);
  return { ...group, endpoints: numbers.map((n) => group.endpoints[n - 1]) };
};
const healthOf = (changes: Partial<GroupTarget['health']>): Partial<GroupTarget> => ({
  health: { ...groupOf(0).health, ...changes },
});
/** A group of another namespace. */
const elsewhere = (size: number): GroupTarget => ({ ...groupOf(size), key: 'other/g', namespace: 'other' });
const metrics = (lines: string) => ({ body: idleMetrics + lines });

beforeEach(() => start());

describe('reconcile', () => {
  it('makes endpoints that serve at once, in the order of their seeds', () => {
    fleet.reconcile([groupOf(3)]);
    expect(fleet.endpoints('ns/g').map(({ id }) => id)).toEqual(['ns/g/e1', 'ns/g/e2', 'ns/g/e3']);
    expect(ready()).toEqual(['e1', 'e2', 'e3']);
    expect(fleet.summary('ns/g')).toEqual({
      total: 3,
      shutOut: 0,
      ready: 3,
      draining: 0,
      ejected: 0,
      kvCachePercent: null,
      scrapeSlowed: false,
    });
  });

  it('gives the same frozen array while nothing has changed', () => {
    fleet.reconcile([groupOf(3)]);
    const before = fleet.endpoints('ns/g');
    fleet.reconcile([groupOf(3, { metrics: { interval: 500, timeout: 100, path: '/m', staleAfter: 1 } })]);
    expect(fleet.endpoints('ns/g')).toBe(before);
    expect(Object.isFrozen(before)).toBe(true);
  });

  it('takes a repeated endpoint once', () => {
    const group = groupOf(1);
    fleet.reconcile([{ ...group, endpoints: [group.endpoints[0], { ...group.endpoints[0], labels: { a: 'b' } }] }]);
    expect(fleet.endpoints('ns/g')).toHaveLength(1);
  });

  it('knows nothing of a group that is not there', () => {
    expect([fleet.endpoints('x'), fleet.models('x'), fleet.members('x'), fleet.summary('x')]).toEqual([
      [],
      [],
      [],
      null,
    ]);
  });

  it('leaves health and load alone when labels and intervals change', () => {
    probe.setAll(addressOf(1), refused);
    probe.set(addressOf(2), '/metrics', { body: 'vllm:num_requests_waiting 7\n' });
    fleet.reconcile([groupOf(2)]);
    clock.advance(3_000);
    expect([reasons(), states.waiting[slotOf(2)]]).toEqual([['e1 Unhealthy', 'e2 Ready'], 7]);
    const target = groupOf(2, healthOf({ interval: 5_000 }));
    fleet.reconcile([
      { ...target, endpoints: target.endpoints.map((seed) => ({ ...seed, labels: { role: 'prefill' } })) },
    ]);
    expect([reasons(), states.waiting[slotOf(2)]]).toEqual([['e1 Unhealthy', 'e2 Ready'], 7]);
    expect(fleet.endpoints('ns/g')[0].labels).toEqual({ role: 'prefill' });
  });

  it('uses a new interval from the next probe on', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(10_000);
    fleet.reconcile([groupOf(1, healthOf({ interval: 10_000 }))]);
    clock.advance(3_000);
    const before = probe.count('/health');
    clock.advance(100_000);
    expect(probe.count('/health') - before).toBe(10);
  });

  it('drops an endpoint that is gone at once, and shows it until its requests have ended', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(2_000);
    const slot = slotOf(2);
    states.inFlight[slot] = 1;
    fleet.reconcile([groupOf(1)]);
    expect(fleet.endpoints('ns/g').map(({ name }) => name)).toEqual(['e1']);
    expect([states.isReady(slot), states.has(slot, Flag.draining)]).toEqual([false, true]);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Draining']);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 1, ready: 1, draining: 1 });
    const before = probe.count('/health', addressOf(2));
    clock.advance(10_000);
    expect(probe.count('/health', addressOf(2))).toBe(before);
    expect(restarts).toEqual([]);
    changes = [];
    states.inFlight[slot] = 0;
    clock.advance(2_000);
    expect([reasons(), restarts, changes]).toEqual([['e1 Ready'], [slot], ['ns/g readiness']]);
  });

  it('takes no notice of an answer that comes after the endpoint is gone', () => {
    probe.set(addressOf(1), '/metrics', { body: 'vllm:num_requests_waiting 7\n' });
    fleet.reconcile([groupOf(1)]);
    clock.advance(0);
    const { slot } = fleet.endpoints('ns/g')[0];
    while (probe.count('/metrics') === 0) clock.advance(1);
    fleet.reconcile([]);
    clock.advance(60_000);
    expect([states.waiting[slot], types()]).toEqual([0, []]);
    expect(clock.pending).toBe(0);
  });

  it('takes an endpoint that comes back while it drains with its books', () => {
    fleet.reconcile([groupOf(2)]);
    const slot = slotOf(2);
    clock.advance(20_000);
    states.inFlight[slot] = 1;
    fleet.reconcile([groupOf(1)]);
    fleet.reconcile([groupOf(2)]);
    expect([slotOf(2), states.inFlight[slot], ready()]).toEqual([slot, 1, ['e1', 'e2']]);
    expect(states.warmth[slot]).toBe(1);
  });

  it('leaves out what has no slot, says so once, and takes it when there is one', () => {
    start(2);
    fleet.reconcile([only(1, 2, 3)]);
    fleet.reconcile([only(1, 2, 3)]);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Ready', 'e3 NoSlot']);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 3, shutOut: 1, ready: 2 });
    expect(fleet.shutOut).toBe(1);
    expect(types()).toEqual(['e3 SlotsExhausted']);
    expect(events[0].message).toMatch(/^1 of 3 endpoints are left out: all 2 endpoint slots are in use/);
    states.inFlight[slotOf(1)] = 1;
    const first = slotOf(1);
    fleet.reconcile([only(2, 3)]);
    expect(reasons()).toEqual(['e2 Ready', 'e3 NoSlot', 'e1 Draining']);
    states.inFlight[first] = 0;
    clock.advance(2_000);
    expect(reasons()).toEqual(['e2 Ready', 'e3 Ready']);
    expect(changes).toContain('ns/g endpoints');
  });

  it('shares the slots out among namespaces: one with many endpoints leaves those of the others in', () => {
    start(4);
    fleet.reconcile([groupOf(9)]);
    expect(fleet.endpoints('ns/g')).toHaveLength(4);
    fleet.reconcile([groupOf(9), elsewhere(1)]);
    expect([ready(), fleet.endpoints('other/g').length]).toEqual([['e1', 'e2', 'e3'], 1]);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 9, shutOut: 6 });
    expect(fleet.summary('other/g')).toMatchObject({ total: 1, shutOut: 0, ready: 1 });
    fleet.reconcile([groupOf(9), elsewhere(9)]);
    expect([ready(), fleet.endpoints('other/g').length]).toEqual([['e1', 'e2'], 2]);
    fleet.reconcile([groupOf(9)]);
    expect([ready(), fleet.shutOut]).toEqual([['e1', 'e2', 'e3', 'e4'], 5]);
  });

  it('shares those of a namespace out among its groups in their order, and leaves endpoints that have a slot in', () => {
    start(4);
    fleet.reconcile([only(3, 4, 5, 6)]);
    const second: GroupTarget = { ...groupOf(9), key: 'ns/h', name: 'h' };
    fleet.reconcile([only(1, 2, 3, 4, 5), second, elsewhere(1)]);
    expect(ready()).toEqual(['e3', 'e4', 'e5']);
    expect([fleet.endpoints('ns/h').length, fleet.endpoints('other/g').length]).toEqual([0, 1]);
  });

  it('lets one wait whose slot is still taken by requests of another that had too many', () => {
    start(2);
    fleet.reconcile([groupOf(9)]);
    states.inFlight.fill(1);
    fleet.reconcile([groupOf(9), elsewhere(1)]);
    expect([ready(), fleet.summary('other/g')?.shutOut]).toEqual([['e1'], 1]);
    states.inFlight.fill(0);
    clock.advance(2_000);
    expect([ready(), fleet.summary('other/g')?.ready]).toEqual([['e1'], 1]);
  });

  it('lets go before it takes, over groups', () => {
    start(2);
    const other: GroupTarget = { ...only(1, 2), key: 'ns/h', name: 'h' };
    fleet.reconcile([only(), other]);
    fleet.reconcile([only(3, 4)]);
    expect([reasons(), types()]).toEqual([['e3 Ready', 'e4 Ready'], []]);
  });
});

describe('active health', () => {
  it('throws a dead engine out with its first failed probe when it was never seen alive', () => {
    probe.setAll(addressOf(2), refused);
    fleet.reconcile([groupOf(2)]);
    clock.advance(100);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Unhealthy']);
    expect(changes).toContain('ns/g readiness');
  });

  it('throws an engine that died out within half a second of the first refusal', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    probe.setAll(addressOf(2), refused);
    const before = probe.count('/health', addressOf(2));
    while (probe.count('/health', addressOf(2)) === before) clock.advance(1);
    expect(ready()).toEqual(['e1', 'e2']);
    clock.advance(500);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Unhealthy']);
    expect(types()).toEqual(['e2 EndpointUnhealthy']);
    expect(events[0].message).toContain('refused');
  });

  it('looks at once when a request could not connect', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_200);
    probe.setAll(addressOf(2), refused);
    fail(2, 1, 'connect_failure');
    clock.advance(700);
    expect(ready()).toEqual(['e1']);
  });

  it('gives a slow engine all its failures, at the ordinary pace', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    probe.set(addressOf(2), '/health', 'hangs');
    clock.advance(4_000);
    expect(ready()).toEqual(['e1', 'e2']);
    clock.advance(3_500);
    expect(ready()).toEqual(['e1']);
  });

  it.each([1, 2])('brings an endpoint back after %i good probes', (successes) => {
    probe.set(addressOf(1), '/health', { fault: 'status' });
    fleet.reconcile([groupOf(1, healthOf({ successes }))]);
    clock.advance(1_000);
    probe.revive(addressOf(1));
    clock.advance(2_000 * successes - 1_100);
    expect(ready()).toEqual([]);
    clock.advance(300);
    expect([ready(), types()]).toEqual([['e1'], ['e1 EndpointUnhealthy', 'e1 EndpointHealthy']]);
  });

  it('probes every interval, one at a time', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(20_000);
    expect(probe.count('/health')).toBe(10);
    probe.set(addressOf(1), '/health', 'hangs');
    fleet.reconcile([groupOf(1, healthOf({ timeout: 7_000 }))]);
    clock.advance(20_500);
    expect(probe.count('/health')).toBe(13);
  });

  it('spreads the first probes of a large fleet', () => {
    start(2_000);
    fleet.reconcile([groupOf(900)]);
    clock.advance(60_000);
    const first = probe.requests.filter(({ url, at }) => url.endsWith('/health') && at < began + 2_000);
    const perTenth = Array.from(
      { length: 18 },
      (_unused, i) => first.filter(({ at }) => Math.floor((at - began) / 100) === i).length,
    );
    expect(Math.max(...perTenth)).toBeLessThanOrEqual(60);
    expect(Math.min(...perTenth)).toBeGreaterThanOrEqual(40);
  });

  it("sends the group's key with every probe", () => {
    fleet.reconcile([groupOf(1, { apiKey: 'canary' })]);
    clock.advance(3_000);
    expect(new Set(probe.requests.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer canary']));
  });
});

describe('restarts', () => {
  it('drops what is remembered of an engine that was refused once and is back', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(4_000);
    probe.setAll(addressOf(1), refused);
    clock.advance(2_100);
    probe.revive(addressOf(1));
    clock.advance(3_000);
    expect(restarts).toEqual([slotOf(1)]);
    expect(types()).toContain('e1 EndpointRestarted');
  });

  it('remembers all of an engine that was only slow', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(4_000);
    probe.setAll(addressOf(1), 'hangs');
    clock.advance(20_000);
    probe.revive(addressOf(1));
    clock.advance(5_000);
    expect([restarts, ready()]).toEqual([[], ['e1']]);
  });

  it.each([
    { says: 'a later start time is a restart', before: 100, after: 200, times: 1 },
    { says: 'the same start time is none', before: 100, after: 100, times: 0 },
    { says: 'an earlier one is another process of the same engine', before: 200, after: 100, times: 0 },
  ])('$says', ({ before, after, times }) => {
    probe.set(addressOf(1), '/metrics', metrics(`process_start_time_seconds ${before}\n`));
    fleet.reconcile([groupOf(1)]);
    clock.advance(3_000);
    probe.set(addressOf(1), '/metrics', metrics(`process_start_time_seconds ${after}\n`));
    clock.advance(3_000);
    expect(restarts).toHaveLength(times);
  });

  it('tells a restart once, though both probes and start time show it', () => {
    probe.set(addressOf(1), '/metrics', metrics('process_start_time_seconds 100\n'));
    fleet.reconcile([groupOf(1)]);
    clock.advance(4_000);
    probe.setAll(addressOf(1), refused);
    clock.advance(4_000);
    probe.set(addressOf(1), '/health', { body: '' });
    clock.advance(2_500);
    probe.set(addressOf(1), '/metrics', metrics('process_start_time_seconds 200\n'));
    clock.advance(5_000);
    expect(restarts).toHaveLength(1);
  });
});

describe('passive health', () => {
  it('ejects an engine that hangs while its health probes succeed, and takes it back by time', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fail(2, 4);
    expect(ready()).toEqual(['e1', 'e2']);
    fail(2, 1);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Ejected']);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 2, ready: 1, ejected: 1 });
    expect([fleet.counters.ejections, changes.at(-1), types()]).toEqual([1, 'ns/g readiness', ['e2 EndpointEjected']]);
    clock.advance(9_990);
    expect(ready()).toEqual(['e1']);
    clock.advance(20);
    expect([ready(), types().at(-1)]).toEqual([['e1', 'e2'], 'e2 EndpointReturned']);
  });

  it('ejects for longer the second time', () => {
    fleet.reconcile([groupOf(2)]);
    fail(2, 5);
    clock.advance(10_010);
    fail(2, 1);
    clock.advance(19_990);
    expect(ready()).toEqual(['e1']);
    clock.advance(20);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('never ejects a lone endpoint', () => {
    fleet.reconcile([groupOf(1)]);
    fail(1, 50);
    expect(ready()).toEqual(['e1']);
  });

  it('never ejects more than half of the group', () => {
    fleet.reconcile([groupOf(5)]);
    for (let n = 1; n <= 5; n++) fail(n, 5);
    expect(ready()).toEqual(['e3', 'e4', 'e5']);
  });

  it('never ejects the last one that is ready', () => {
    probe.setAll(addressOf(1), refused);
    fleet.reconcile([groupOf(2)]);
    clock.advance(1_000);
    fail(2, 5);
    expect(ready()).toEqual(['e2']);
  });

  it('counts anew for an engine that has been started anew', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fail(2, 4);
    probe.setAll(addressOf(2), refused);
    clock.advance(3_000);
    probe.revive(addressOf(2));
    clock.advance(3_000);
    fail(2, 4);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('takes back an ejected endpoint that was gone meanwhile', () => {
    fleet.reconcile([groupOf(3)]);
    fail(3, 5);
    states.inFlight[slotOf(3)] = 1;
    fleet.reconcile([groupOf(2)]);
    fleet.reconcile([groupOf(3)]);
    expect(ready()).toEqual(['e1', 'e2', 'e3']);
  });

  it('takes no notice of reports on a slot without an owner', () => {
    fleet.reconcile([groupOf(2)]);
    for (let i = 0; i < 10; i++) fleet.report(40, 'reset');
    expect(types()).toEqual([]);
  });

  it('uses a threshold that was changed', () => {
    fleet.reconcile([groupOf(2)]);
    const passive = { consecutiveFailures: 1, ejectFor: 1_000, maxEjectedPercent: 50 };
    fleet.reconcile([groupOf(2, healthOf({ passive }))]);
    fail(2, 1);
    expect(ready()).toEqual(['e1']);
    clock.advance(1_010);
    expect(ready()).toEqual(['e1', 'e2']);
  });
});

describe('slow start', () => {
  const warmth = (n: number): number => states.warmth[slotOf(n)];

  it('starts endpoints of a new group warm, also those that are ready a little later', () => {
    probe.setAll(addressOf(2), refused);
    fleet.reconcile([groupOf(2)]);
    clock.advance(5_000);
    probe.revive(addressOf(2));
    clock.advance(3_000);
    expect([ready(), warmth(1), warmth(2)]).toEqual([['e1', 'e2'], 1, 1]);
  });

  it('warms a new replica of an old group up from a tenth in ten seconds', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(11_000);
    fleet.reconcile([groupOf(2)]);
    expect([warmth(1), warmth(2)]).toEqual([1, 0.1]);
    clock.advance(5_010);
    expect(warmth(2)).toBeGreaterThan(0.5);
    expect(warmth(2)).toBeLessThan(0.6);
    clock.advance(5_300);
    expect(warmth(2)).toBe(1);
  });

  it('begins when the replica is ready for the first time, not when it is discovered', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(11_000);
    probe.setAll(addressOf(2), { fault: 'status' });
    fleet.reconcile([groupOf(2)]);
    clock.advance(30_000);
    probe.revive(addressOf(2));
    while (ready().length < 2) clock.advance(10);
    expect(warmth(2)).toBeCloseTo(0.1, 1);
  });

  it('begins when an engine that is ready has been started anew beside an old one', () => {
    probe.set(addressOf(2), '/metrics', metrics('process_start_time_seconds 100\n'));
    fleet.reconcile([groupOf(2)]);
    clock.advance(20_000);
    probe.set(addressOf(2), '/metrics', metrics('process_start_time_seconds 200\n'));
    while (restarts.length === 0) clock.advance(10);
    expect(warmth(2)).toBe(0.1);
  });

  it('spares a lone engine that has been started anew', () => {
    probe.set(addressOf(1), '/metrics', metrics('process_start_time_seconds 100\n'));
    fleet.reconcile([groupOf(1)]);
    clock.advance(20_000);
    probe.set(addressOf(1), '/metrics', metrics('process_start_time_seconds 200\n'));
    while (restarts.length === 0) clock.advance(10);
    expect(warmth(1)).toBe(1);
  });

  it('ends when the engine is started anew and nobody else is left', () => {
    probe.set(addressOf(2), '/metrics', metrics('process_start_time_seconds 100\n'));
    fleet.reconcile([groupOf(1)]);
    clock.advance(20_000);
    fleet.reconcile([groupOf(2)]);
    clock.advance(2_000);
    fleet.reconcile([only(2)]);
    probe.set(addressOf(2), '/metrics', metrics('process_start_time_seconds 200\n'));
    while (restarts.length < 2) clock.advance(10);
    clock.advance(1_000);
    expect(states.warmth[fleet.endpoints('ns/g')[0].slot]).toBe(1);
  });

  it('begins again after a restart, and not after an ejection or a slow spell', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(20_000);
    fail(2, 5);
    clock.advance(10_010);
    expect([ready(), warmth(2)]).toEqual([['e1', 'e2'], 1]);
    probe.setAll(addressOf(2), 'hangs');
    clock.advance(20_000);
    probe.revive(addressOf(2));
    clock.advance(5_000);
    expect([ready(), warmth(2)]).toEqual([['e1', 'e2'], 1]);
    probe.setAll(addressOf(2), refused);
    clock.advance(5_000);
    probe.revive(addressOf(2));
    clock.advance(2_500);
    expect(ready()).toEqual(['e1', 'e2']);
    expect(warmth(2)).toBeLessThan(0.5);
  });
});

describe('scraping', () => {
  const busy = { body: 'vllm:num_requests_waiting 3\nvllm:num_requests_running 9\nvllm:kv_cache_usage_perc 0.5\n' };

  it('writes the load down, with the time at which the scrape began', () => {
    probe.set(addressOf(1), '/metrics', busy);
    fleet.reconcile([groupOf(1)]);
    clock.advance(1_500);
    const slot = slotOf(1);
    expect([states.waiting[slot], states.running[slot], states.usage[slot]]).toEqual([3, 9, 0.5]);
    expect(states.scrapedAt[slot]).toBe(probe.requests.findLast(({ url }) => url.endsWith('/metrics'))?.at);
    expect(fleet.summary('ns/g')?.kvCachePercent).toBe(50);
  });

  it('keeps the last numbers over failed scrapes, and stops counting them when they are old', () => {
    probe.set(addressOf(1), '/metrics', busy);
    fleet.reconcile([groupOf(1)]);
    clock.advance(5_000);
    const slot = slotOf(1);
    const last = states.scrapedAt[slot];
    probe.set(addressOf(1), '/metrics', { fault: 'status' });
    clock.advance(9_000);
    expect([states.waitingNow(slot), states.has(slot, Flag.stale)]).toEqual([3, false]);
    clock.advance(3_000);
    expect([states.waitingNow(slot), ready(), types()]).toEqual([0, ['e1'], ['e1 MetricsStale']]);
    expect(fleet.members('ns/g')[0].staleSince).toBe(last);
    expect(fleet.summary('ns/g')?.kvCachePercent).toBeNull();
    probe.revive(addressOf(1));
    clock.advance(2_000);
    expect([states.has(slot, Flag.stale), fleet.members('ns/g')[0].staleSince]).toEqual([false, null]);
  });

  it('counts one failed scrape as nothing, however long the interval is', () => {
    const metrics = { interval: 30_000, timeout: 1_000, path: '/metrics', staleAfter: 10_000 };
    probe.set(addressOf(1), '/metrics', busy);
    fleet.reconcile([groupOf(1, { metrics })]);
    clock.advance(30_000);
    probe.set(addressOf(1), '/metrics', { fault: 'reset' });
    clock.advance(30_000);
    expect(states.has(slotOf(1), Flag.stale)).toBe(false);
    clock.advance(30_000);
    expect(states.has(slotOf(1), Flag.stale)).toBe(true);
  });

  it('counts failed scrapes that do not follow each other as nothing', () => {
    const metrics = { interval: 30_000, timeout: 1_000, path: '/metrics', staleAfter: 10_000 };
    fleet.reconcile([groupOf(1, { metrics })]);
    for (const answer of [busy, { fault: 'reset' }, busy, { fault: 'reset' }] as const) {
      clock.advance(100);
      probe.set(addressOf(1), '/metrics', answer);
      clock.advance(29_900);
    }
    clock.advance(100);
    expect(fleet.counters.scrapeFailures).toBe(2);
    expect(states.has(slotOf(1), Flag.stale)).toBe(false);
  });

  it('goes on counting own requests that a scrape cannot have seen', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(1_500);
    const slot = slotOf(1);
    new Reservation(states, slot, 100);
    expect(states.waitingNow(slot)).toBe(1);
    probe.set(addressOf(1), '/metrics', busy);
    clock.advance(1_000);
    expect(states.waitingNow(slot)).toBe(3);
  });

  it('ignores a value that is no number, keeps the last one, and counts it', () => {
    probe.set(addressOf(1), '/metrics', busy);
    fleet.reconcile([groupOf(1)]);
    clock.advance(1_500);
    probe.set(addressOf(1), '/metrics', { body: 'vllm:num_requests_waiting 4\nvllm:kv_cache_usage_perc 7.5\n' });
    clock.advance(1_000);
    const slot = slotOf(1);
    expect([states.waiting[slot], states.running[slot], states.usage[slot]]).toEqual([4, 9, 0.5]);
    expect([fleet.counters.samplesIgnored, fleet.counters.scrapeFailures]).toEqual([1, 0]);
  });

  it('takes a text without the queue for a failed scrape', () => {
    probe.set(addressOf(1), '/metrics', { body: '<html>' });
    fleet.reconcile([groupOf(1)]);
    clock.advance(3_000);
    expect(states.scrapedAt[slotOf(1)]).toBe(0);
    expect(fleet.counters.scrapeFailures).toBe(fleet.counters.scrapes);
  });

  it('never has two scrapes of an endpoint under way', () => {
    probe.set(addressOf(1), '/metrics', 'hangs');
    const metrics = { interval: 100, timeout: 1_000, path: '/metrics', staleAfter: 10_000 };
    fleet.reconcile([groupOf(1, { metrics })]);
    clock.advance(10_000);
    expect(probe.count('/metrics')).toBeLessThanOrEqual(10);
  });

  it('spreads the scrapes of a group over the interval', () => {
    fleet.reconcile([groupOf(50)]);
    clock.advance(60_000);
    const tenths = probe.requests
      .filter(({ url, at }) => url.endsWith('/metrics') && at >= 51_000 && at < 52_000)
      .reduce(
        (counts, { at }) => counts.with(Math.floor((at % 1_000) / 100), counts[Math.floor((at % 1_000) / 100)] + 1),
        new Array<number>(10).fill(0),
      );
    expect(Math.max(...tenths)).toBeLessThanOrEqual(8);
  });

  it('stretches the intervals over its budget, says so, and calls nothing stale for it', () => {
    start(64, 5);
    fleet.reconcile([groupOf(50)]);
    clock.advance(60_000);
    expect(fleet.counters.scrapes).toBeLessThanOrEqual(60 * 5 + 5);
    expect(fleet.counters.scrapes).toBeGreaterThan(60 * 5 * 0.9);
    expect(fleet.summary('ns/g')).toMatchObject({ scrapeSlowed: true, ready: 50 });
    expect(types()).toEqual([]);
    fleet.reconcile([groupOf(5)]);
    expect(fleet.summary('ns/g')?.scrapeSlowed).toBe(false);
  });

  it('shares its budget out among namespaces: one with many endpoints slows nobody but itself', () => {
    start(64, 5);
    fleet.reconcile([groupOf(50), elsewhere(1)]);
    clock.advance(60_000);
    expect(fleet.counters.scrapes).toBeLessThanOrEqual(60 * 5 + 5);
    expect(fleet.summary('ns/g')?.scrapeSlowed).toBe(true);
    expect(fleet.summary('other/g')?.scrapeSlowed).toBe(false);
    const asked = probe.requests.filter(({ url }) => url.endsWith('/metrics') && url.includes(addressOf(1)));
    // Once a second for one, and once in 12.5 seconds for the other, which has the same address.
    expect(asked.length).toBeGreaterThan(55);
    fleet.reconcile([groupOf(50)]);
    fleet.reconcile([elsewhere(50), groupOf(1)]);
    expect([fleet.summary('ns/g')?.scrapeSlowed, fleet.summary('other/g')?.scrapeSlowed]).toEqual([false, true]);
  });

  it('probes health at most three times as often as it scrapes', () => {
    start(64, 5);
    fleet.reconcile([{ ...groupOf(60), metrics: { ...groupOf(1).metrics, interval: 60_000 } }]);
    clock.advance(60_000);
    const before = fleet.counters.probes;
    clock.advance(60_000);
    // Intervals vary by a tenth.
    expect(fleet.counters.probes - before).toBeLessThanOrEqual(60 * 15 * 1.1);
    expect(fleet.counters.probes - before).toBeGreaterThan(60 * 15 * 0.9);
    expect(fleet.summary('ns/g')).toMatchObject({ scrapeSlowed: true, ready: 60 });
  });

  it('notices an engine that sleeps, and that it is awake again', () => {
    const asleep = 'vllm:engine_sleep_state{sleep_state="awake"} 0\n';
    probe.set(addressOf(1), '/metrics', metrics(asleep));
    fleet.reconcile([groupOf(2)]);
    clock.advance(1_500);
    expect(reasons()).toEqual(['e1 Sleeping', 'e2 Ready']);
    probe.revive(addressOf(1));
    clock.advance(1_500);
    expect([ready(), types()]).toEqual([
      ['e1', 'e2'],
      ['e1 EndpointAsleep', 'e1 EndpointAwake'],
    ]);
  });

  it('knows how large the cache is, and which adapters run', () => {
    const lines = [
      'vllm:cache_config_info{block_size="16",num_gpu_blocks="100",kv_cache_size_tokens="1600"} 1',
      'vllm:lora_requests_info{max_lora="1",running_lora_adapters="sql",waiting_lora_adapters=""} 1',
    ];
    probe.set(addressOf(1), '/metrics', metrics(`${lines.join('\n')}\n`));
    fleet.reconcile([groupOf(2)]);
    clock.advance(1_500);
    expect([fleet.cacheTokens(slotOf(1)), fleet.cacheTokens(slotOf(2)), fleet.cacheTokens(60)]).toEqual([
      1600,
      null,
      null,
    ]);
    expect([fleet.lora(slotOf(1))?.running, fleet.lora(slotOf(2)), fleet.lora(60)]).toEqual([['sql'], null, null]);
  });

  it('knows of no adapter in an engine that was away and may have a new process', () => {
    const line = 'vllm:lora_requests_info{max_lora="1",running_lora_adapters="sql",waiting_lora_adapters="sql"} 1\n';
    probe.set(addressOf(1), '/metrics', metrics(line));
    fleet.reconcile([groupOf(1)]);
    clock.advance(1_500);
    probe.setAll(addressOf(1), refused);
    clock.advance(10_000);
    expect(reasons()).toEqual(['e1 Unhealthy']);
    probe.revive(addressOf(1));
    probe.set(addressOf(1), '/metrics', 'hangs');
    clock.advance(10_000);
    expect(reasons()).toEqual(['e1 Ready']);
    expect(fleet.lora(slotOf(1))).toBeNull();
  });
});

describe('models', () => {
  it('learns what the endpoints serve, adapters too, and tells when that changes', () => {
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[{"id":"m"},{"id":"sql","parent":"m"}]}' });
    fleet.reconcile([groupOf(2)]);
    clock.advance(1_000);
    expect(fleet.models('ns/g')).toEqual(['m', 'sql']);
    expect(changes).toContain('ns/g models');
    const before = fleet.models('ns/g');
    changes = [];
    clock.advance(40_000);
    expect([fleet.models('ns/g') === before, changes]).toEqual([true, []]);
    probe.revive(addressOf(2));
    clock.advance(40_000);
    expect([fleet.models('ns/g'), changes]).toEqual([['m'], ['ns/g models']]);
  });

  it('keeps what an endpoint served while it is away, and drops it when it is gone', () => {
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[{"id":"other"}]}' });
    fleet.reconcile([groupOf(2)]);
    clock.advance(1_000);
    probe.setAll(addressOf(2), refused);
    clock.advance(60_000);
    expect(fleet.models('ns/g')).toEqual(['m', 'other']);
    fleet.reconcile([groupOf(1)]);
    expect(fleet.models('ns/g')).toEqual(['m']);
  });

  it('asks again soon where nothing is known yet', () => {
    probe.set(addressOf(1), '/v1/models', { fault: 'timeout' });
    fleet.reconcile([groupOf(1)]);
    clock.advance(1_000);
    probe.revive(addressOf(1));
    clock.advance(6_000);
    expect(fleet.models('ns/g')).toEqual(['m']);
  });

  it('does not ask an endpoint that is unhealthy, nor one that is gone', () => {
    fleet.reconcile([groupOf(1)]);
    clock.advance(4_000);
    probe.set(addressOf(1), '/health', refused);
    clock.advance(60_000);
    expect(probe.count('/v1/models')).toBe(1);
    probe.revive(addressOf(1));
    while (probe.count('/v1/models') === 1) clock.advance(1);
    fleet.reconcile([]);
    clock.advance(60_000);
    expect([probe.count('/v1/models'), clock.pending]).toEqual([2, 0]);
  });

  it('asks only once where models are declared', () => {
    fleet.reconcile([groupOf(1, { learnModels: false })]);
    clock.advance(300_000);
    expect(probe.count('/v1/models')).toBe(1);
  });
});

describe('while discovery is blind', () => {
  const blackout = (models: string | null): void => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fleet.setDiscoveryStale(true);
    probe.setAll(addressOf(2), refused);
    clock.advance(5_000);
    probe.revive(addressOf(2));
    if (models === null) probe.set(addressOf(2), '/v1/models', { fault: 'status' });
    else probe.set(addressOf(2), '/v1/models', { body: models });
    clock.advance(5_000);
  };

  it.each([
    { says: 'comes back if it serves the same models', models: '{"data":[{"id":"m"}]}', is: ['e1', 'e2'] },
    { says: 'stays out if another engine has its address', models: '{"data":[{"id":"other"}]}', is: ['e1'] },
    { says: 'stays out if it does not say', models: null, is: ['e1'] },
  ])('an endpoint that failed $says', ({ models, is }) => {
    blackout(models);
    expect(ready()).toEqual(is);
  });

  it('an endpoint that was only slow stays out, too, if another engine has its address', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fleet.setDiscoveryStale(true);
    probe.set(addressOf(2), '/health', 'hangs');
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[{"id":"other"}]}' });
    clock.advance(10_000);
    probe.set(addressOf(2), '/health', { body: '' });
    clock.advance(10_000);
    expect(ready()).toEqual(['e1']);
  });

  it('takes the endpoint back a minute after discovery sees it again, and no sooner', () => {
    blackout('{"data":[{"id":"other"}]}');
    fleet.setDiscoveryStale(false);
    for (let seconds = 0; seconds < 58; seconds++) {
      clock.advance(1_000);
      // Said again and again: it is the first time that counts.
      fleet.setDiscoveryStale(false);
      expect(ready()).toEqual(['e1']);
    }
    clock.advance(5_000);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('counts the minute anew when discovery goes blind again', () => {
    blackout('{"data":[{"id":"other"}]}');
    fleet.setDiscoveryStale(false);
    clock.advance(50_000);
    fleet.setDiscoveryStale(true);
    clock.advance(50_000);
    fleet.setDiscoveryStale(false);
    clock.advance(50_000);
    expect(ready()).toEqual(['e1']);
  });

  it('throws an endpoint out whose address has changed hands between two probes', () => {
    fleet.reconcile([groupOf(2, healthOf({ failures: 1_000 }))]);
    clock.advance(4_000);
    fleet.setDiscoveryStale(true);
    probe.setAll(addressOf(2), refused);
    clock.advance(2_100);
    expect(ready()).toEqual(['e1', 'e2']);
    probe.revive(addressOf(2));
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[{"id":"other"}]}' });
    clock.advance(2_500);
    expect(ready()).toEqual(['e1']);
  });

  it('lets an engine that was booting in if it serves what its group serves', () => {
    probe.setAll(addressOf(2), refused);
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fleet.setDiscoveryStale(true);
    probe.revive(addressOf(2));
    clock.advance(3_000);
    expect(ready()).toEqual(['e1', 'e2']);
  });
});

describe('a slot with a new owner', () => {
  it('knows nothing of the former one', () => {
    start(2);
    probe.set(addressOf(2), '/metrics', metrics('process_start_time_seconds 100\n'));
    probe.set(addressOf(3), '/metrics', metrics('process_start_time_seconds 200\n'));
    fleet.reconcile([groupOf(2)]);
    clock.advance(2_000);
    const slot = slotOf(2);
    fail(2, 4);
    fleet.reconcile([only(1, 3)]);
    restarts.length = 0;
    clock.advance(2_000);
    expect(slotOf(2)).toBe(slot);
    fail(2, 4);
    clock.advance(5_000);
    expect([ready(), restarts]).toEqual([['e1', 'e3'], []]);
  });
});

describe('close', () => {
  it('takes no notice of answers that come afterwards', () => {
    probe.setAll(addressOf(1), refused);
    fleet.reconcile([groupOf(1)]);
    while (probe.count('/health') === 0) clock.advance(1);
    fleet.close();
    clock.advance(1_000);
    expect([events, changes, fleet.counters.probeFailures]).toEqual([[], [], 0]);
  });

  it('ends all watching and leaves no timer', () => {
    fleet.reconcile([groupOf(3)]);
    clock.advance(4_000);
    fail(3, 5);
    fleet.close();
    clock.advance(5_000);
    const before = probe.requests.length;
    clock.advance(60_000);
    expect([probe.requests.length, probe.closed, clock.pending]).toEqual([before, true, 0]);
  });
});
