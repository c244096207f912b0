import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { EndpointStates } from '../router/states.ts';
import { Fleet } from './fleet.ts';
import type { GroupTarget } from './targets.ts';
import { addressOf, FakeProbe, groupOf, refused } from './testkit.ts';

let clock: ManualClock;
let states: EndpointStates;
let probe: FakeProbe;
let fleet: Fleet;

beforeEach(() => {
  clock = new ManualClock(1_000);
  states = new EndpointStates(64);
  probe = new FakeProbe(clock);
  fleet = new Fleet({
    states,
    clock,
    fetch: probe,
    onChange: () => undefined,
    onRestart: () => undefined,
    onEvent: () => undefined,
    random: () => 0.5,
  });
});

const ready = (): string[] => fleet.members('ns/g').flatMap(({ name, ready: is }) => (is ? [name] : []));

/** A group of two, whose first endpoint has the role. */
const withRole = (role: string): GroupTarget => {
  const group = groupOf(2, { relays: { label: 'role', value: 'leader' } });
  const endpoints = group.endpoints.map((seed, i) => (i === 0 ? { ...seed, labels: { role } } : seed));
  return { ...group, endpoints };
};

describe('an endpoint that passes requests on to engines of its group', () => {
  it('stays in while it says that some of these are not ready', () => {
    probe.set(addressOf(1), '/health', { fault: 'status' });
    fleet.reconcile([withRole('leader')]);
    clock.advance(60_000);
    expect(ready()).toEqual(['e1', 'e2']);
  });

  it.each(['refused', 'reset', 'timeout'] as const)('is out when its own probe is %s', (fault) => {
    probe.set(addressOf(1), '/health', { fault });
    fleet.reconcile([withRole('leader')]);
    clock.advance(60_000);
    expect(ready()).toEqual(['e2']);
  });

  it('is not scraped: what it tells are the numbers of others', () => {
    fleet.reconcile([withRole('leader')]);
    clock.advance(60_000);
    expect(probe.count('/metrics', addressOf(1))).toBe(0);
    expect(probe.count('/metrics', addressOf(2))).toBeGreaterThan(50);
  });

  it('is scraped from when it is an engine, and no longer when it is none', () => {
    fleet.reconcile([withRole('leader')]);
    clock.advance(5_000);
    fleet.reconcile([withRole('decode')]);
    clock.advance(10_000);
    const before = probe.count('/metrics', addressOf(1));
    expect(before).toBeGreaterThan(8);
    fleet.reconcile([withRole('leader')]);
    clock.advance(10_000);
    expect(probe.count('/metrics', addressOf(1))).toBeLessThanOrEqual(before + 1);
  });
});

it('an engine that answers its probe with an error is out', () => {
  probe.set(addressOf(1), '/health', { fault: 'status' });
  fleet.reconcile([withRole('decode')]);
  clock.advance(60_000);
  expect(ready()).toEqual(['e2']);
});

it('a leader that is gone and comes back is in again', () => {
  probe.set(addressOf(1), '/health', refused);
  fleet.reconcile([withRole('leader')]);
  clock.advance(10_000);
  expect(ready()).toEqual(['e2']);
  probe.set(addressOf(1), '/health', { fault: 'status' });
  clock.advance(10_000);
  expect(ready()).toEqual(['e1', 'e2']);
  expect(states.isReady(fleet.endpoints('ns/g')[0].slot)).toBe(true);
});
