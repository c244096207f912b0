import { describe, expect, it } from 'vitest';
import { backend, endpoints, group, pairGroup, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import type { Endpoint } from './endpoint.ts';
import type { RoutingPolicy } from './policy.ts';
import { Router } from './router.ts';
import { defaultBounds } from './saturation.ts';
import { Flag, type EndpointStates } from './states.ts';

interface World {
  readonly states: EndpointStates;
  readonly isSaturated: (only?: readonly string[]) => boolean;
}

function world(routed: (states: EndpointStates) => RoutingPolicy): World {
  const states = readyStates(20);
  const asked = routed(states);
  const router = new Router({ states, random: () => 0 });
  return {
    states,
    isSaturated: (only) => router.isSaturated(asked, defaultBounds, only === undefined ? null : new Set(only)),
  };
}

const singles = (...lists: Endpoint[][]): World =>
  world(() => policy({ backends: lists.map((list) => backend({ group: group({ endpoints: list }) })) }));

const paired = (...lists: Endpoint[][]): World =>
  world((states) =>
    policy({
      backends: [backend({ group: group({ endpoints: lists.flat() }) })],
      profile: profile(
        { filters: [{ type: 'filter-by-pd-label' }], picker: { type: 'picker-random-pd-bucket' } },
        states,
      ),
    }),
  );

function load({ states }: World, slot: number, waiting: number, usage: number): void {
  states.waiting[slot] = waiting;
  states.usage[slot] = usage;
}

describe('a fleet', () => {
  it.each<[string, [waiting: number, usage: number][], boolean]>([
    [
      'where all wait behind a full queue',
      [
        [6, 0],
        [7, 0.1],
      ],
      true,
    ],
    [
      'whose caches are all full',
      [
        [0, 0.81],
        [0, 0.9],
      ],
      true,
    ],
    [
      'whose engines are full in different ways',
      [
        [6, 0],
        [0, 0.81],
      ],
      true,
    ],
    [
      'where one engine has room',
      [
        [6, 0.9],
        [5, 0.8],
      ],
      false,
    ],
    [
      'that is idle',
      [
        [0, 0],
        [0, 0],
      ],
      false,
    ],
  ])('%s', (_sentence, loads, saturated) => {
    const setup = singles(endpoints(2));
    loads.forEach(([waiting, usage], slot) => {
      load(setup, slot, waiting, usage);
    });
    expect(setup.isSaturated()).toBe(saturated);
  });

  it('has room where any backend has', () => {
    const setup = singles(endpoints(1), endpoints(1, 1));
    load(setup, 0, 9, 0);
    expect(setup.isSaturated()).toBe(false);
    load(setup, 1, 9, 0);
    expect(setup.isSaturated()).toBe(true);
  });

  it('has no room in a backend that takes no traffic', () => {
    const idle = backend({ weight: 0, group: group({ endpoints: endpoints(1, 1) }) });
    const busy = backend({ group: group({ endpoints: endpoints(1) }) });
    const setup = world(() => policy({ backends: [busy, idle] }));
    load(setup, 0, 9, 0);
    expect(setup.isSaturated()).toBe(true);
  });

  it('is judged by its ready engines', () => {
    const setup = singles(endpoints(2));
    load(setup, 0, 9, 0);
    setup.states.set(1, Flag.ejected, true);
    expect(setup.isSaturated()).toBe(true);
    setup.states.set(0, Flag.ejected, true);
    expect(setup.isSaturated()).toBe(false);
  });

  it('is judged by the engines that the gateway allows', () => {
    const setup = singles(endpoints(2));
    load(setup, 0, 9, 0);
    expect(setup.isSaturated(['10.0.0.0:8000'])).toBe(true);
    expect(setup.isSaturated(['10.0.0.1:8000'])).toBe(false);
    expect(setup.isSaturated([])).toBe(false);
  });

  it('counts what was sent there since the scrape', () => {
    const setup = singles(endpoints(1));
    setup.states.unseenWaiting[0] = 6;
    expect(setup.isSaturated()).toBe(true);
  });
});

describe('a fleet of pairs', () => {
  const full = (setup: World, ...slots: number[]): void => {
    for (const slot of slots) load(setup, slot, 9, 0);
  };
  // Slots of each group: two prefillers, a decoder, a leader.
  const groups = () =>
    paired(
      pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 1 }),
      pairGroup({ name: 'b', from: 4, prefills: 2, decodes: 1 }),
    );

  it('has room while one group has room on both sides', () => {
    const setup = groups();
    full(setup, 0, 1, 2, 4);
    expect(setup.isSaturated()).toBe(false);
    full(setup, 5);
    expect(setup.isSaturated()).toBe(true);
  });

  it('has none where the room of one side and that of the other are in different groups', () => {
    const setup = groups();
    full(setup, 0, 1, 6);
    expect(setup.isSaturated()).toBe(true);
  });

  it('does not care for the load of a leader', () => {
    const setup = groups();
    full(setup, 3, 7);
    expect(setup.isSaturated()).toBe(false);
  });

  it('is not saturated but down where no group has a ready leader, or an allowed one', () => {
    const setup = groups();
    full(setup, 0, 1, 2, 4, 5, 6);
    expect(setup.isSaturated()).toBe(true);
    expect(setup.isSaturated(['10.0.0.0:8000'])).toBe(false);
    setup.states.set(3, Flag.ejected, true);
    setup.states.set(7, Flag.ejected, true);
    expect(setup.isSaturated()).toBe(false);
  });
});
