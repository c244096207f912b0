import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backend,
  endpoint,
  endpoints,
  group,
  pairGroup,
  promptOf,
  request,
  seeded,
} from '../../test/fixtures/fleet.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import type { Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import {
  anyPair,
  bucket,
  chosen,
  decide,
  filters,
  fleet,
  groupOf,
  kvAware,
  specs,
  tryDecide,
  twoGroups,
  world,
  type World,
} from './pairing.fixture.ts';
import { Flag } from './states.ts';

describe('a decision for a pair', () => {
  it('is for the leader and says whom it is to hand the request over to', () => {
    const setup = world([fleet(pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1 }))]);
    const decision = decide(setup, {}, request({ prompt: promptOf('x'.repeat(400)) }));
    expect(chosen(decision)).toEqual(['a-l2', 'a-p0', 'a-d1']);
    expect(decision).toMatchObject({ promptTokens: 100, cachedTokens: 0, breakdown: null });
    expect([...setup.states.inFlight]).toEqual([1, 1, 1]);
    expect([...setup.states.queuedTokens]).toEqual([100, 0, 0]);
    decision.reservation.release();
    expect([...setup.states.inFlight]).toEqual([0, 0, 0]);
  });

  it('has no pair where the profile asks for none', () => {
    expect(decide(world([backend({ group: group({ endpoints: endpoints(1) }) })], {})).handover).toBeNull();
  });

  it('goes to the least busy leader of the group, by chance among equals', () => {
    const setup = world([fleet(pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 3 }))]);
    setup.states.inFlight[3] = 5;
    for (let i = 0; i < 61; i++) decide(setup);
    expect([...setup.states.inFlight.subarray(2, 5)]).toEqual([22, 22, 22]);
  });

  it('tells where the prompt is cached, and remembers that the prefiller has computed it', () => {
    const index = new ApproximateIndex();
    const members = [
      ...pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1 }),
      ...pairGroup({ name: 'b', from: 3, prefills: 1, decodes: 1 }),
    ];
    const setup = world([backend({ group: group({ endpoints: members, prefixSource: index }) })], kvAware);
    const long = (tail: string) => request({ prompt: promptOf('shared '.repeat(2000) + tail) });
    const first = decide(setup, {}, long('one'));
    first.reservation.release();
    for (let i = 0; i < 20; i++) {
      const next = decide(setup, {}, long(String(i)));
      expect(chosen(next)).toEqual(chosen(first));
      expect(next.cachedTokens).toBeGreaterThan(3000);
      expect(setup.states.queuedTokens[next.handover?.prefill.slot ?? -1]).toBe(next.promptTokens - next.cachedTokens);
      next.reservation.release();
    }
  });

  it('has a breakdown of all prefillers and decoders when it is asked for', () => {
    const setup = world([twoGroups()], kvAware);
    setup.states.usage.set([0.5, 0, 0.25]);
    const { breakdown } = decide(setup, { explain: true });
    expect(breakdown?.map(({ endpoint: name, address, score }) => [name, address, score])).toEqual([
      ['a-p0', '10.0.0.0:8000', 1.5],
      ['a-p1', '10.0.0.1:8000', 1],
      ['b-p0', '10.0.0.4:8000', 1],
      ['b-p1', '10.0.0.5:8000', 1],
      ['a-d2', '10.0.0.2:8000', 0.25],
      ['b-d2', '10.0.0.6:8000', 0],
    ]);
    expect(breakdown?.[0].parts).toEqual([{ scorer: 'scorer-pd-kv-cache-aware', value: 1.5, weight: 1 }]);
  });

  const down: [string, number[]][] = [
    ['prefiller', [0, 1]],
    ['decoder', [2]],
    ['leader', [3]],
  ];
  it.each(down)('leaves out a group without a ready %s', (_role, slots) => {
    const setup = world([twoGroups()]);
    for (const slot of slots) setup.states.set(slot, Flag.ejected, true);
    for (let i = 0; i < 20; i++) expect(groupOf(decide(setup).endpoint)).toBe('b');
    setup.states.set(6, Flag.ejected, true);
    expect(tryDecide(setup)).toBeNull();
  });

  it('passes over members that are not ready', () => {
    const setup = world([twoGroups()]);
    setup.states.set(0, Flag.draining, true);
    for (let i = 0; i < 40; i++) expect(decide(setup).handover?.prefill.slot).not.toBe(0);
  });

  it('passes over endpoints without a role or a group', () => {
    const strays = [endpoint(3, { labels: { 'openfuyao.com/pdRole': 'prefill' } }), endpoint(4)];
    const setup = world([fleet(strays, pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1 }))]);
    for (let i = 0; i < 20; i++) expect(chosen(decide(setup))).toEqual(['a-l2', 'a-p0', 'a-d1']);
  });

  it('passes over members that another filter drops', () => {
    const spec = {
      ...anyPair,
      filters: [{ type: 'filter-by-label', parameters: { label: 'openfuyao.com/tpSize', values: ['2'] } }, ...filters],
    };
    const members = [
      ...pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, tpSize: 1 }),
      ...pairGroup({ name: 'b', from: 3, prefills: 1, decodes: 1, tpSize: 2 }),
    ];
    for (let i = 0; i < 20; i++) expect(groupOf(decide(world([fleet(members)], spec)).endpoint)).toBe('b');
  });

  it('goes to a backend that has a whole group', () => {
    const halves = fleet(
      pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 0 }),
      pairGroup({ name: 'b', from: 3, prefills: 0, decodes: 2 }),
    );
    const whole = fleet(pairGroup({ name: 'c', from: 6, prefills: 1, decodes: 1 }));
    const setup = world([halves, whole]);
    for (let i = 0; i < 20; i++) expect(decide(setup).backend).toBe(whole);
  });
});

describe('a subset', () => {
  it('restricts the leaders, and with them the groups', () => {
    const setup = world([twoGroups()]);
    for (let i = 0; i < 20; i++) {
      expect(chosen(decide(setup, { only: new Set(['10.0.0.7:8000']) }))[0]).toBe('b-l3');
    }
  });

  it('allows nothing where it names prefillers only, or nothing', () => {
    const setup = world([twoGroups()]);
    expect(tryDecide(setup, { only: new Set(['10.0.0.0:8000']) })).toBeNull();
    expect(tryDecide(setup, { only: new Set() })).toBeNull();
    expect(setup.router.hasOther(setup.policy, [], new Set())).toBe(false);
  });
});

describe('a further try', () => {
  it('finds another group, or another leader, while there is one', () => {
    const setup = world([
      fleet(
        pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 2 }),
        pairGroup({ name: 'b', from: 4, prefills: 1, decodes: 1 }),
      ),
    ]);
    const tried: Endpoint[] = [];
    while (setup.router.hasOther(setup.policy, tried)) tried.push(decide(setup, { tried }).endpoint);
    expect(tried.map(({ slot }) => slot).sort()).toEqual([2, 3, 6]);
    expect(tryDecide(setup, { tried })).toBeNull();
  });

  it('has nowhere to go where no other group is whole', () => {
    const setup = world([twoGroups()]);
    const leader = setup.policy.backends[0].group.endpoints[3];
    expect(setup.router.hasOther(setup.policy, [leader])).toBe(true);
    setup.states.set(6, Flag.ejected, true);
    expect(setup.router.hasOther(setup.policy, [leader])).toBe(false);
    expect(setup.router.hasOther(setup.policy, [leader], new Set(['10.0.0.7:8000']))).toBe(false);
  });
});

describe('fallbacks', () => {
  const three = (): World =>
    world([
      fleet(
        pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 3 }),
        pairGroup({ name: 'b', from: 5, prefills: 1, decodes: 1, leaders: 3 }),
      ),
    ]);

  it('are the other leaders of the same group, the least busy first', () => {
    const setup = three();
    setup.states.inFlight.set([0, 0, 7, 0, 4, 0, 0, 7, 0, 4]);
    for (let i = 0; i < 20; i++) {
      const decision = decide(setup);
      const [first] = decision.endpoint.name;
      expect([decision.endpoint, ...setup.router.fallbacks(5)].map(({ name }) => name)).toEqual([
        `${first}-l3`,
        `${first}-l4`,
        `${first}-l2`,
      ]);
      decision.reservation.release();
    }
  });

  it('are within the subset and ready', () => {
    const setup = three();
    const { endpoint: leader } = decide(setup, { only: new Set(['10.0.0.2:8000', '10.0.0.3:8000']) });
    expect([leader, ...setup.router.fallbacks(5)].map(({ slot }) => slot).sort()).toEqual([2, 3]);
    setup.states.set(3, Flag.ejected, true);
    setup.states.set(4, Flag.ejected, true);
    decide(setup, { only: new Set(['10.0.0.2:8000', '10.0.0.3:8000', '10.0.0.4:8000']) });
    expect(setup.router.fallbacks(5)).toEqual([]);
  });
});

describe('slow start', () => {
  it('gives a group that is new from end to end its share of decisions', () => {
    const setup = world([twoGroups()], bucket);
    setup.states.inFlight.fill(50);
    setup.states.warmth.fill(0.25, 4, 7);
    const times = 4000;
    let cold = 0;
    for (let i = 0; i < times; i++) {
      const decision = decide(setup);
      if (groupOf(decision.endpoint) === 'b') cold += 1;
      decision.reservation.release();
    }
    // Where it takes part it is one of two equals.
    const share = 0.25 / 2;
    expect(Math.abs(cold - times * share)).toBeLessThan(5 * Math.sqrt(times * share * (1 - share)));
  });

  it('leaves out a group whose only decoder sits this one out', () => {
    const setup = world([twoGroups()]);
    setup.states.warmth[6] = 0;
    for (let i = 0; i < 20; i++) expect(groupOf(decide(setup).endpoint)).toBe('a');
  });

  it('serves from a fleet whose groups are all cold, and does not mind cold leaders', () => {
    const setup = world([twoGroups()]);
    setup.states.warmth.fill(0);
    expect(decide(setup).handover).not.toBeNull();
    setup.states.warmth.fill(1);
    setup.states.warmth[3] = 0;
    expect(new Set(Array.from({ length: 40 }, () => groupOf(decide(setup).endpoint)))).toEqual(new Set(['a', 'b']));
  });
});

describe.each(specs)('whatever the fleet, %s', (_name, spec) => {
  const shape = fc.record({
    prefills: fc.nat(3),
    decodes: fc.nat(3),
    leaders: fc.nat(2),
    tpSize: fc.constantFrom(1, 2, 4, 8),
  });
  const scene = fc.record({
    shapes: fc.array(shape, { minLength: 1, maxLength: 6 }),
    out: fc.array(fc.nat(47), { maxLength: 8 }),
    loads: fc.array(fc.nat(9), { minLength: 48, maxLength: 48 }),
    tokens: fc.nat(5000),
    seed: fc.integer(),
  });

  function made({
    shapes,
    out,
    loads,
    seed,
  }: {
    shapes: object[];
    out: number[];
    loads: number[];
    seed: number;
  }): World {
    const lists = shapes.map((each, i) => pairGroup({ prefills: 0, decodes: 0, ...each, name: `g${i}`, from: 8 * i }));
    const setup = world([fleet(...lists)], spec, seeded(seed));
    const { states } = setup;
    for (let slot = 0; slot < states.capacity; slot++) {
      states.waiting[slot] = loads[slot];
      states.usage[slot] = loads[slot] / 10;
      if (out.includes(slot)) states.set(slot, Flag.healthy, false);
    }
    return setup;
  }

  it('is of one group, ready in every part, and there whenever a whole group is', () => {
    fc.assert(
      fc.property(scene, (asked) => {
        const setup = made(asked);
        const { states } = setup;
        const ready = setup.policy.backends[0].group.endpoints.filter(({ slot }) => states.isReady(slot));
        const roles = new Map<string, Set<string>>();
        for (const { labels } of ready) {
          const id = labels['openfuyao.com/pdGroupID'];
          roles.set(id, (roles.get(id) ?? new Set()).add(labels['openfuyao.com/pdRole']));
        }
        const whole = [...roles.values()].some(({ size }) => size === 3);
        expect(setup.router.hasOther(setup.policy, [])).toBe(whole);
        for (let i = 0; i < 4; i++) {
          const decision = tryDecide(setup, {}, request({ prompt: promptOf('x'.repeat(asked.tokens)) }));
          expect(decision !== null).toBe(whole);
          if (decision === null) return;
          const { endpoint: leader, handover } = decision;
          if (handover === null) throw new Error('a pair has a handover');
          const parts = [leader, handover.prefill, handover.decode];
          expect(new Set(parts.map(groupOf)).size).toBe(1);
          expect(parts.map(({ labels }) => labels['openfuyao.com/pdRole'])).toEqual(['leader', 'prefill', 'decode']);
          expect(parts.every(({ slot }) => states.isReady(slot))).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('is what an explanation has said it would be', () => {
    fc.assert(
      fc.property(scene, fc.nat(20), (asked, before) => {
        const backends = made(asked).policy.backends;
        let chance = seeded(asked.seed);
        const setup = world(backends, spec, () => chance());
        setup.states.waiting.set(asked.loads.slice(0, setup.states.capacity));
        setup.states.warmth[0] = 0.5;
        for (let i = 0; i < before; i++) tryDecide(setup);
        chance = seeded(asked.seed + 1);
        const picked = setup.router.explain(setup.policy, request())?.picked;
        chance = seeded(asked.seed + 1);
        const decision = tryDecide(setup);
        const said = picked && [picked.endpoint, picked.handover?.prefill, picked.handover?.decode];
        expect(decision === null ? null : chosen(decision)).toEqual(said);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves the books empty when all have ended, in whatever order', () => {
    const acts = fc.array(fc.record({ which: fc.nat(), act: fc.constantFrom('decide', 'firstByte', 'release') }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(scene, acts, (asked, steps) => {
        const setup = made({ ...asked, out: [] });
        const held: Decision[] = [];
        for (const { which, act } of steps) {
          const reservation = held[which % Math.max(1, held.length)]?.reservation;
          if (act === 'firstByte') reservation?.firstByte();
          else if (act === 'release') reservation?.release();
          else held.push(...[tryDecide(setup)].filter((decision) => decision !== null));
        }
        for (const { reservation } of held) reservation.release();
        const { states } = setup;
        for (const column of [states.inFlight, states.ownWaiting, states.unseenWaiting, states.queuedTokens])
          expect([...column].every((value) => value === 0)).toBe(true);
        const explanation = setup.router.explain(setup.policy, request());
        for (const { charge } of explanation?.endpoints ?? []) expect(charge ?? 0).toBe(0);
      }),
      { numRuns: 80 },
    );
  });
});
