import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { EndpointStates, Flag } from '../router/states.ts';
import { Fleet } from './fleet.ts';
import type { FleetEvent } from './report.ts';
import type { GroupTarget } from './targets.ts';
import { addressOf, FakeProbe, groupOf, idleMetrics, refused, wellModels } from './testkit.ts';

let clock: ManualClock;
let states: EndpointStates;
let probe: FakeProbe;
let fleet: Fleet;
let events: FleetEvent[];
let changes: string[];
let restarts: number[];

beforeEach(() => {
  clock = new ManualClock(1_000);
  states = new EndpointStates(64);
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
    random: () => 0.5,
  });
});

const ready = (): string[] => fleet.members('ns/g').flatMap(({ name, ready: is }) => (is ? [name] : []));
const reasons = (): string[] => fleet.members('ns/g').map(({ name, reason }) => `${name} ${reason}`);
const types = (): string[] => events.map(({ type, endpoint }) => `${endpoint} ${type}`);
const slotOf = (n: number): number => fleet.endpoints('ns/g')[n - 1].slot;
const asked = (n: number): number => probe.requests.filter(({ url }) => url.includes(addressOf(n))).length;
const foreign = { body: '{"data":[{"id":"other"}]}' };
const startedAt = (seconds: number) => ({ body: `${idleMetrics}process_start_time_seconds ${seconds}\n` });

/** A group of two, of which discovery holds those ready that are given. */
const found = (...numbers: number[]): GroupTarget => {
  const group = groupOf(2);
  const endpoints = group.endpoints.map((seed, i) =>
    numbers.includes(i + 1) ? seed : { ...seed, discoveredReady: false },
  );
  return { ...group, endpoints };
};

describe('an endpoint that discovery holds not ready', () => {
  it('is there and counts, but gets neither requests nor probes', () => {
    fleet.reconcile([found(1)]);
    clock.advance(60_000);
    expect(fleet.endpoints('ns/g')).toHaveLength(2);
    expect(reasons()).toEqual(['e1 Ready', 'e2 NotReady']);
    expect(fleet.summary('ns/g')).toMatchObject({ total: 2, ready: 1, draining: 0, ejected: 0 });
    expect([states.isReady(slotOf(2)), asked(2)]).toEqual([false, 0]);
  });

  it('is probed at once when it is ready, and starts slowly beside an old one', () => {
    fleet.reconcile([found(1)]);
    clock.advance(30_000);
    fleet.reconcile([found(1, 2)]);
    clock.advance(10);
    expect(ready()).toEqual(['e1', 'e2']);
    expect(['/health', '/metrics'].map((path) => probe.count(path, addressOf(2)))).toEqual([1, 1]);
    expect(states.warmth[slotOf(2)]).toBeCloseTo(0.1, 1);
    clock.advance(5_000);
    expect(probe.count('/v1/models', addressOf(2))).toBe(1);
  });

  it('keeps its slot, its books and the very same endpoint over a spell', () => {
    probe.set(addressOf(2), '/metrics', { body: 'vllm:num_requests_waiting 7\n' });
    fleet.reconcile([found(1, 2)]);
    clock.advance(20_000);
    const before = fleet.endpoints('ns/g');
    const slot = slotOf(2);
    states.inFlight[slot] = 3;
    fleet.reconcile([found(1)]);
    expect([reasons()[1], states.isReady(slot)]).toEqual(['e2 NotReady', false]);
    clock.advance(20_000);
    fleet.reconcile([found(1, 2)]);
    expect(fleet.endpoints('ns/g')).toBe(before);
    expect([states.inFlight[slot], states.waiting[slot], states.warmth[slot], restarts]).toEqual([3, 7, 1, []]);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('goes on being asked for its models after the spell', () => {
    fleet.reconcile([found(1, 2)]);
    clock.advance(5_000);
    fleet.reconcile([found(1)]);
    clock.advance(120_000);
    const before = probe.count('/v1/models', addressOf(2));
    fleet.reconcile([found(1, 2)]);
    clock.advance(35_000);
    expect(probe.count('/v1/models', addressOf(2)) - before).toBe(2);
  });

  it.each(['/health', '/metrics', '/v1/models'])('takes no notice of an answer on %s that comes late', (path) => {
    probe.set(addressOf(2), path, 'hangs');
    fleet.reconcile([found(1, 2)]);
    while (probe.count(path, addressOf(2)) === 0) clock.advance(1);
    fleet.reconcile([found(1)]);
    const before = asked(2);
    events.length = 0;
    clock.advance(60_000);
    expect([asked(2) - before, types(), reasons()[1]]).toEqual([0, [], 'e2 NotReady']);
  });

  it('never has two probes of a kind under way when it comes back before an answer', () => {
    probe.setAll(addressOf(2), 'hangs');
    fleet.reconcile([found(1, 2)]);
    while (probe.count('/health', addressOf(2)) === 0 || probe.count('/metrics', addressOf(2)) === 0) clock.advance(1);
    for (let i = 0; i < 5; i++) {
      fleet.reconcile([found(1)]);
      fleet.reconcile([found(1, 2)]);
    }
    clock.advance(100);
    expect(['/health', '/metrics'].map((path) => probe.count(path, addressOf(2)))).toEqual([1, 1]);
    clock.advance(5_000);
    expect(probe.count('/health', addressOf(2))).toBeGreaterThan(1);
  });

  it('is probed again when it comes back after the answer', () => {
    probe.setAll(addressOf(2), 'hangs');
    fleet.reconcile([found(1, 2)]);
    while (probe.count('/health', addressOf(2)) === 0 || probe.count('/metrics', addressOf(2)) === 0) clock.advance(1);
    fleet.reconcile([found(1)]);
    clock.advance(5_000);
    fleet.reconcile([found(1, 2)]);
    clock.advance(10);
    expect(['/health', '/metrics'].map((path) => probe.count(path, addressOf(2)))).toEqual([2, 2]);
  });

  it('is not asked because a request failed there', () => {
    fleet.reconcile([found(1, 2)]);
    clock.advance(5_000);
    fleet.reconcile([found(1)]);
    const before = asked(2);
    fleet.report(slotOf(2), 'connect_failure');
    clock.advance(5_000);
    expect(asked(2)).toBe(before);
  });

  it('is not said to get requests again when its ejection ends', () => {
    fleet.reconcile([found(1, 2)]);
    clock.advance(5_000);
    for (let i = 0; i < 5; i++) fleet.report(slotOf(2), 'timeout');
    fleet.reconcile([found(1)]);
    clock.advance(20_000);
    expect([types(), reasons()[1]]).toEqual([['e2 EndpointEjected'], 'e2 NotReady']);
    fleet.reconcile([found(1, 2)]);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('stays out after the spell if its probes failed before, until one succeeds', () => {
    probe.setAll(addressOf(2), refused);
    fleet.reconcile([found(1, 2)]);
    clock.advance(5_000);
    fleet.reconcile([found(1)]);
    fleet.reconcile([found(1, 2)]);
    expect(reasons()[1]).toBe('e2 Unhealthy');
    probe.revive(addressOf(2));
    clock.advance(2_500);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it('is noticed to have been started anew during the spell', () => {
    probe.set(addressOf(2), '/metrics', startedAt(100));
    fleet.reconcile([found(1, 2)]);
    clock.advance(20_000);
    fleet.reconcile([found(1)]);
    probe.set(addressOf(2), '/metrics', startedAt(200));
    clock.advance(20_000);
    fleet.reconcile([found(1, 2)]);
    clock.advance(50);
    expect([restarts, states.warmth[slotOf(2)]]).toEqual([[slotOf(2)], 0.1]);
  });

  it('lends its last numbers to no mean and its scrapes to no budget', () => {
    probe.set(addressOf(2), '/metrics', { body: `${idleMetrics}vllm:kv_cache_usage_perc 1\n` });
    fleet.reconcile([found(1, 2)]);
    clock.advance(5_000);
    expect(fleet.summary('ns/g')?.kvCachePercent).toBe(25);
    fleet.reconcile([found(1)]);
    expect(fleet.summary('ns/g')?.kvCachePercent).toBe(0);
    const many = groupOf(400);
    fleet.reconcile([{ ...many, endpoints: many.endpoints.map((seed) => ({ ...seed, discoveredReady: false })) }]);
    expect(fleet.summary('ns/g')?.scrapeSlowed).toBe(false);
  });

  it('drains like any other when it is gone, and may come back as it was, and ready', () => {
    fleet.reconcile([found(1)]);
    states.inFlight[slotOf(2)] = 1;
    fleet.reconcile([groupOf(1)]);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Draining']);
    fleet.reconcile([found(1)]);
    clock.advance(10_000);
    expect([reasons()[1], asked(2)]).toEqual(['e2 NotReady', 0]);
    fleet.reconcile([groupOf(1)]);
    fleet.reconcile([found(1, 2)]);
    expect(ready()).toEqual(['e1', 'e2']);
  });
});

describe('a Pod that is made anew under its name', () => {
  it('is a new endpoint with clean books, while the old one ends its requests', () => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(20_000);
    const slot = slotOf(2);
    states.inFlight[slot] = 2;
    const target = groupOf(2);
    const anew = { ...target.endpoints[1], address: '10.0.0.99:8000' };
    fleet.reconcile([{ ...target, endpoints: [target.endpoints[0], anew] }]);
    expect(slotOf(2)).not.toBe(slot);
    expect([states.inFlight[slotOf(2)], states.has(slot, Flag.draining)]).toEqual([0, true]);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Ready', 'e2 Draining']);
    states.inFlight[slot] = 0;
    clock.advance(2_000);
    expect([restarts, reasons()]).toEqual([[slot], ['e1 Ready', 'e2 Ready']]);
  });
});

describe('while discovery is blind', () => {
  const goBlind = (): void => {
    fleet.reconcile([groupOf(2)]);
    clock.advance(4_000);
    fleet.setDiscoveryStale(true);
  };

  it('throws an endpoint out that missed one probe and serves another model since', () => {
    goBlind();
    probe.set(addressOf(2), '/health', { fault: 'timeout' });
    const before = probe.count('/health', addressOf(2));
    while (probe.count('/health', addressOf(2)) === before) clock.advance(1);
    probe.revive(addressOf(2));
    probe.set(addressOf(2), '/v1/models', foreign);
    clock.advance(2_500);
    expect(ready()).toEqual(['e1']);
  });

  it('bears with one that missed a probe and is too busy to name its models once', () => {
    goBlind();
    probe.set(addressOf(2), '/health', { fault: 'timeout' });
    probe.set(addressOf(2), '/v1/models', { fault: 'timeout' });
    const before = probe.count('/health', addressOf(2));
    while (probe.count('/health', addressOf(2)) === before) clock.advance(1);
    probe.set(addressOf(2), '/health', { body: '' });
    clock.advance(2_500);
    expect(ready()).toEqual(['e1', 'e2']);
    probe.set(addressOf(2), '/v1/models', wellModels);
    clock.advance(10_000);
    expect([ready(), types()]).toEqual([['e1', 'e2'], []]);
  });

  it('takes no notice of who is there once discovery has held the endpoint not ready', () => {
    goBlind();
    fleet.report(slotOf(2), 'connect_failure');
    probe.set(addressOf(2), '/v1/models', foreign);
    const before = probe.count('/v1/models', addressOf(2));
    while (probe.count('/v1/models', addressOf(2)) === before) clock.advance(1);
    fleet.reconcile([found(1)]);
    clock.advance(5_000);
    expect([reasons()[1], types(), states.has(slotOf(2), Flag.healthy)]).toEqual(['e2 NotReady', [], true]);
  });

  it('asks who is there when a request could not connect though probes succeed', () => {
    goBlind();
    probe.set(addressOf(2), '/v1/models', foreign);
    fleet.report(slotOf(2), 'connect_failure');
    clock.advance(2_500);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Unhealthy']);
  });

  it('asks who is there when a process answers that is younger than the one before', () => {
    probe.set(addressOf(2), '/metrics', startedAt(100));
    goBlind();
    probe.set(addressOf(2), '/metrics', startedAt(200));
    probe.set(addressOf(2), '/v1/models', foreign);
    clock.advance(1_500);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Unhealthy']);
  });

  it('believes no other models of an endpoint, and throws it out for them', () => {
    goBlind();
    changes = [];
    probe.set(addressOf(2), '/v1/models', foreign);
    clock.advance(40_000);
    expect([fleet.models('ns/g'), changes.includes('ns/g models')]).toEqual([['m'], false]);
    expect(reasons()).toEqual(['e1 Ready', 'e2 Unhealthy']);
  });

  it('learns adapters as before', () => {
    goBlind();
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[{"id":"m"},{"id":"sql","parent":"m"}]}' });
    clock.advance(40_000);
    expect([fleet.models('ns/g'), ready()]).toEqual([
      ['m', 'sql'],
      ['e1', 'e2'],
    ]);
  });

  it('takes an endpoint of which nothing was known yet for what it says', () => {
    probe.set(addressOf(1), '/v1/models', { fault: 'timeout' });
    fleet.reconcile([groupOf(1)]);
    fleet.setDiscoveryStale(true);
    clock.advance(1_000);
    probe.revive(addressOf(1));
    clock.advance(10_000);
    expect([fleet.models('ns/g'), ready()]).toEqual([['m'], ['e1']]);
  });

  it('recognises nobody by an empty list', () => {
    probe.set(addressOf(2), '/v1/models', { body: '{"data":[]}' });
    goBlind();
    probe.setAll(addressOf(2), refused);
    clock.advance(5_000);
    probe.revive(addressOf(2));
    probe.set(addressOf(2), '/v1/models', foreign);
    clock.advance(10_000);
    expect(ready()).toEqual(['e1']);
  });

  it('sends no request to a foreign engine after it is found out, and forgets what was cached there', () => {
    goBlind();
    const slot = slotOf(2);
    probe.setAll(addressOf(2), refused);
    clock.advance(5_000);
    probe.revive(addressOf(2));
    probe.set(addressOf(2), '/v1/models', foreign);
    for (let i = 0; i < 600; i++) {
      clock.advance(1_000);
      expect(states.isReady(slot)).toBe(false);
    }
    // The API server is back: the Pod is gone, and another has taken its place under another address.
    fleet.reconcile([groupOf(1)]);
    fleet.setDiscoveryStale(false);
    clock.advance(5_000);
    expect([reasons(), restarts]).toEqual([['e1 Ready'], [slot]]);
  });
});
