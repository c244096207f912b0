import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backend, endpoints, group, pairGroup, profile, promptOf, request, seeded } from '../../test/fixtures/fleet.ts';
import { topologyOf } from '../../test/fixtures/pairs.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import type { Endpoint } from './endpoint.ts';
import { PairGrouping } from './pair-grouping.ts';
import {
  anyPair,
  bucket,
  chosen,
  decide,
  groupOf,
  kvAware,
  sharing,
  specs,
  tryDecide,
  world,
} from './pairing.fixture.ts';
import type { World } from './pairing.fixture.ts';
import type { BackendGroup } from './policy.ts';
import { Flag } from './states.ts';

const byRouter = { topology: topologyOf() };
const above = (disaggregateAbove: number, over: Partial<BackendGroup> = {}): Partial<BackendGroup> => ({
  topology: topologyOf({ disaggregateAbove }),
  prefixSource: new ApproximateIndex(),
  ...over,
});

/** Prefillers in slots 0 and 1, decoders in 2 and 3; and the same from 4 on. No leaders. */
const twoOfEach = (over: Partial<BackendGroup> = byRouter) =>
  sharing(
    over,
    pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 2, leaders: 0 }),
    pairGroup({ name: 'b', from: 4, prefills: 2, decodes: 2, leaders: 0 }),
  );

const oneOfEach = (over: Partial<BackendGroup> = byRouter) =>
  sharing(over, pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 0 }));

const member = (setup: World, slot: number): Endpoint => {
  const found = setup.policy.backends[0].group.endpoints.find((one) => one.slot === slot);
  if (found === undefined) throw new Error(`no endpoint has slot ${slot}`);
  return found;
};

/** 1000 tokens that share nothing with those of another name. */
const prompt = (name: string) => request({ prompt: promptOf(`${name} `.padEnd(4000, `${name}.`)) });

const reasonsOf = (setup: World, about = request()): Record<string, string | null> =>
  Object.fromEntries(
    (setup.router.explain(setup.policy, about)?.endpoints ?? []).map(({ endpoint, reason }) => [endpoint, reason]),
  );

describe('where the router hands over', () => {
  it('the endpoint is the decoder, and no leader is needed', () => {
    const stages = { prefill: 7, decode: 8 };
    const setup = world([oneOfEach({ topology: topologyOf({ stages }) })]);
    const decision = decide(setup, {}, prompt('x'));
    expect(chosen(decision)).toEqual(['a-d1', 'a-p0', 'a-d1']);
    expect(decision.handover).toMatchObject({ by: 'Router', stages });
    expect(decision.endpoint).toBe(decision.handover?.decode);
    expect([...setup.states.inFlight]).toEqual([1, 1]);
    expect([...setup.states.queuedTokens]).toEqual([1000, 0]);
    expect(setup.router.fallbacks(3)).toEqual([]);
    decision.reservation.prefilled();
    expect([[...setup.states.inFlight], [...setup.states.ownWaiting]]).toEqual([[0, 1], [0, 1]]); // prettier-ignore
    decision.reservation.release();
    expect([...setup.states.inFlight, ...setup.states.queuedTokens]).toEqual([0, 0, 0, 0]);
  });

  it('a leader that is there gets nothing, and is told to get nothing', () => {
    const members = pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 1 });
    const setup = world([sharing(byRouter, members)]);
    for (let i = 0; i < 10; i++) expect(chosen(decide(setup))).toEqual(['a-d1', 'a-p0', 'a-d1']);
    expect(setup.states.inFlight[2]).toBe(0);
    expect(reasonsOf(setup)).toMatchObject({ 'a-l2': 'the router hands over by itself, so leaders get no requests' });
  });

  it("the group's own labels win over those of the profile", () => {
    const grouping = new PairGrouping({ role: 'r', group: 'g', prefill: 'P', decode: 'D', leader: 'L' });
    const relabelled = pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1, leaders: 0 }).map((one, i) => ({
      ...one,
      labels: { r: i === 0 ? 'D' : 'P', g: 'x' },
    }));
    const stray = endpoints(1, 2);
    const setup = world([sharing({ topology: topologyOf({ grouping }) }, relabelled, stray)]);
    expect(chosen(decide(setup))).toEqual(['a-p0', 'a-d1', 'a-p0']);
    expect(reasonsOf(setup)).toMatchObject({ e2: 'topology: no label r, not P, D or L' });
  });

  it.each([
    ['prefiller', [0, 1]],
    ['decoder', [2, 3]],
  ])('a group without a ready %s is out', (role, slots) => {
    const setup = world([twoOfEach()]);
    for (const slot of slots) setup.states.set(slot, Flag.ejected, true);
    for (let i = 0; i < 20; i++) expect(groupOf(decide(setup).endpoint)).toBe('b');
    const lacking = role === 'prefiller' ? 'prefill' : 'decode';
    expect(Object.values(reasonsOf(setup))).toContain(`its group a has no ready ${lacking}`);
    expect(setup.router.hasOther(setup.policy, [])).toBe(true);
    expect(setup.router.hasOther(setup.policy, [member(setup, 6), member(setup, 7)])).toBe(false);
    expect(setup.router.hasOther(setup.policy, [member(setup, 4), member(setup, 5)])).toBe(false);
  });

  it('a subset restricts the decoders', () => {
    const setup = world([twoOfEach()]);
    const only = new Set(['10.0.0.3:8000', '10.0.0.4:8000']);
    for (let i = 0; i < 10; i++) expect(decide(setup, { only }).endpoint.slot).toBe(3);
    expect(tryDecide(setup, { only: new Set(['10.0.0.4:8000']) })).toBeNull();
    expect(setup.router.hasOther(setup.policy, [], only)).toBe(true);
    expect(setup.router.hasOther(setup.policy, [member(setup, 3)], only)).toBe(false);
  });

  it('it is saturated once no group has room on either side, whatever a leader says', () => {
    const setup = world([twoOfEach()]);
    const { states } = setup;
    for (const slot of [0, 1, 4, 5]) states.usage[slot] = 0.9;
    expect(setup.router.isSaturated(setup.policy)).toBe(true);
    states.usage[5] = 0;
    expect(setup.router.isSaturated(setup.policy)).toBe(false);
    for (const slot of [6, 7]) states.usage[slot] = 0.9;
    expect(setup.router.isSaturated(setup.policy)).toBe(true);
    expect(setup.router.isSaturated(setup.policy, undefined, new Set(['10.0.0.9:1']))).toBe(false);
  });

  it('both sides hold the prompt from then on', () => {
    const prefixSource = new ApproximateIndex();
    const setup = world([oneOfEach({ ...byRouter, prefixSource })], kvAware);
    const asked = prompt('x');
    decide(setup, {}, asked).reservation.release();
    const again = world([oneOfEach({ ...above(2000), prefixSource })], kvAware);
    const { cachedTokens, handover } = decide(again, {}, asked);
    expect(handover).toBeNull();
    expect(cachedTokens).toBeGreaterThan(900);
    expect(decide(setup, {}, asked).cachedTokens).toBe(cachedTokens);
  });
});

describe('a pair that was named', () => {
  const pair = { prefill: '10.0.0.5:8000', decode: '10.0.0.6:8000' };

  it.each(specs)('is the pair, by %s, however busy', (_name, spec) => {
    const setup = world([twoOfEach()], spec);
    setup.states.waiting.fill(50, 4, 8);
    setup.states.warmth.fill(0.01, 5, 7);
    for (let i = 0; i < 20; i++) expect(chosen(decide(setup, { pair }))).toEqual(['b-d2', 'b-p1', 'b-d2']);
  });

  it.each([
    ['of two groups', { ...pair, decode: '10.0.0.2:8000' }],
    ['the wrong way round', { prefill: pair.decode, decode: pair.prefill }],
    ['that nobody knows', { ...pair, prefill: '10.9.9.9:1' }],
  ])('is nothing where it is one %s', (_name, named) => {
    expect(tryDecide(world([twoOfEach()]), { pair: named })).toBeNull();
  });

  it.each([[5], [6]])('is nothing while slot %i of it is not ready, or tried before', (slot) => {
    const setup = world([twoOfEach()]);
    expect(tryDecide(setup, { pair, tried: [member(setup, slot)] })).toBeNull();
    setup.states.set(slot, Flag.draining, true);
    expect(tryDecide(setup, { pair })).toBeNull();
  });
});

describe('a prompt that is computed already', () => {
  it('is read by another decoder of the same group, and costs its prefiller nothing more', () => {
    const setup = world([twoOfEach()], bucket);
    const [prefilled, broken] = [member(setup, 1), member(setup, 2)];
    setup.states.set(1, Flag.ejected, true);
    setup.states.warmth[3] = 0;
    for (let i = 0; i < 10; i++) {
      const decision = decide(setup, { prefilled, tried: [prefilled, broken] }, prompt('x'));
      expect(chosen(decision)).toEqual(['a-d3', 'a-p1', 'a-d3']);
    }
    expect([...setup.states.inFlight]).toEqual([0, 0, 0, 10, 0, 0, 0, 0]);
    expect([...setup.states.queuedTokens]).toEqual(Array(8).fill(0));
    setup.states.warmth[3] = 1;
    setup.states.set(1, Flag.ejected, false);
    const charges = setup.router.explain(setup.policy, request())?.endpoints.map(({ charge = 0 }) => charge);
    expect(charges?.map((charge) => charge > 0)).toEqual([false, false, false, true, false, false, false, false]);
  });

  it('is lost where no decoder of the group is left, or its prefiller has gone', () => {
    const setup = world([twoOfEach()]);
    const tried = [member(setup, 2), member(setup, 3)];
    expect(tryDecide(setup, { prefilled: member(setup, 0), tried })).toBeNull();
    expect(tryDecide(setup, { prefilled: endpoints(1, 9)[0] })).toBeNull();
  });

  it('goes to a decoder by the pair that was picked even where one could do without', () => {
    const setup = world([oneOfEach(above(5000))], kvAware);
    expect(decide(setup, {}, prompt('x')).handover).toBeNull();
    expect(decide(setup, { prefilled: member(setup, 0) }, prompt('x')).handover).not.toBeNull();
  });
});

describe('a threshold', () => {
  it('leaves prompts to a decoder alone as long as it would compute no more than that', () => {
    const setup = world([oneOfEach(above(1000))]);
    const { endpoint, handover, promptTokens, cachedTokens, reservation } = decide(setup, {}, prompt('x'));
    expect([endpoint.name, handover, promptTokens, cachedTokens]).toEqual(['a-d1', null, 1000, 0]);
    expect([...setup.states.queuedTokens]).toEqual([0, 1000]);
    expect([...setup.states.inFlight]).toEqual([0, 1]);
    reservation.release();
    expect([...setup.states.inFlight, ...setup.states.queuedTokens]).toEqual([0, 0, 0, 0]);
    const longer = world([oneOfEach(above(999))]);
    expect(chosen(decide(longer, {}, prompt('x')))).toEqual(['a-d1', 'a-p0', 'a-d1']);
  });

  it('counts what decoders have cached: by a pair at first, then by the decoder that was handed it', () => {
    const setup = world([twoOfEach(above(100))]);
    const asked = prompt('x');
    const first = decide(setup, {}, asked);
    expect(first.handover).not.toBeNull();
    for (let i = 0; i < 5; i++) {
      const next = decide(setup, {}, asked);
      expect([next.handover, next.endpoint]).toEqual([null, first.endpoint]);
      expect(next.cachedTokens).toBeGreaterThanOrEqual(900);
    }
    expect(decide(setup, {}, prompt('y')).handover).not.toBeNull();
  });

  it('of 0 takes pairs whenever anything is to be computed', () => {
    const setup = world([oneOfEach(above(0))]);
    expect(decide(setup, {}, request({ prompt: promptOf('abcd') })).handover).not.toBeNull();
  });

  it('takes the cheapest of those decoders, at random among equals', () => {
    const setup = world([twoOfEach(above(1000))], kvAware);
    setup.states.usage.set([0, 0, 0.5, 0, 0, 0, 0, 0.5]);
    const slots: number[] = [];
    for (let i = 0; i < 200; i++) {
      const { endpoint, reservation } = decide(setup, {}, prompt(`${i}`));
      slots.push(endpoint.slot);
      reservation.release();
    }
    expect(new Set(slots)).toEqual(new Set([3, 6]));
    // Each of 200 picks is one of two equals: 5 standard deviations.
    expect(Math.abs(slots.filter((slot) => slot === 3).length - 100)).toBeLessThan(5 * Math.sqrt(50));
  });

  it('is left to the leader where there is one', () => {
    const members = pairGroup({ name: 'a', from: 0, prefills: 1, decodes: 1 });
    const topology = topologyOf({ handover: 'Leader', disaggregateAbove: 5000 });
    expect(chosen(decide(world([sharing({ topology }, members)])))).toEqual(['a-l2', 'a-p0', 'a-d1']);
  });

  it('is told in explanations', () => {
    const setup = world([twoOfEach(above(100))], kvAware, seeded(3));
    const asked = prompt('x');
    const { endpoint } = decide(setup, {}, asked);
    const found = setup.router.explain(setup.policy, asked);
    expect(found?.picked).toMatchObject({ endpoint: endpoint.name });
    expect(found?.picked).not.toHaveProperty('handover');
    expect(found?.picked?.cachedTokens).toBeGreaterThan(900);
    for (const { role, endpoint: name, picked, reason, cachedTokens } of found?.endpoints ?? []) {
      const why =
        role === 'prefill'
          ? 'no prefiller is needed: a decoder has at most 100 tokens of the prompt to compute'
          : 'would have to compute more than 100 tokens by itself';
      const isPick = name === endpoint.name;
      expect([name, picked, reason, cachedTokens === null]).toEqual([name, isPick, isPick ? null : why, !isPick]);
    }
    const breakdown = decide(setup, { explain: true }, asked).breakdown;
    expect(breakdown).toHaveLength(8);
    const short = setup.router.explain(setup.policy, request({ prompt: promptOf('short') }));
    expect(short?.byChance).toEqual(['the decoder is one of 3 equals']);
  });
});

describe('further tries', () => {
  it('say in explanations why others were out of the question', () => {
    const seen: Record<string, string | null>[] = [];
    const setup = world([twoOfEach()]);
    const watching = world([twoOfEach()], anyPair, seeded(2), {
      watches: () => true,
      picked: () => undefined,
      explained: ({ endpoints: told }) =>
        seen.push(Object.fromEntries(told.map(({ endpoint, reason }) => [endpoint, reason]))),
    });
    const prefilled = member(watching, 0);
    decide(watching, { prefilled, tried: [member(watching, 2)] });
    decide(watching, { pair: { prefill: member(setup, 5).address, decode: member(setup, 6).address } });
    expect(seen[0]).toMatchObject({
      'a-p0': null,
      'a-p1': 'a-p0 has computed the prompt already',
      'a-d2': 'tried before',
      'a-d3': null,
      'b-p0': 'a-p0 has computed the prompt already',
      'b-d2': 'KV blocks never leave the group of a-p0',
    });
    expect(seen[1]).toMatchObject({ 'a-p0': 'not in the pair that was named', 'b-p1': null, 'b-d2': null });
  });
});

describe('a policy with both kinds of backends', () => {
  const mixed = (random = seeded(5)): World => {
    const single = backend({ group: group({ name: 'single', endpoints: endpoints(2, 8) }), weight: 95 });
    const setup = world([single, { ...oneOfEach(), weight: 5 }], {}, random);
    const pairProfile = profile(kvAware, setup.states, random);
    return { ...setup, policy: { ...setup.policy, pairProfile } };
  };

  it('goes by weight, to single endpoints and to pairs', () => {
    const setup = mixed();
    const times = 4000;
    let paired = 0;
    for (let i = 0; i < times; i++) {
      const { handover, endpoint, reservation } = decide(setup);
      expect(handover === null).toBe(endpoint.name.startsWith('e'));
      if (handover !== null) paired += 1;
      reservation.release();
    }
    expect(Math.abs(paired - times * 0.05)).toBeLessThan(5 * Math.sqrt(times * 0.05 * 0.95));
  });

  it('goes on with the one while the other is down, and is saturated when neither has room', () => {
    const setup = mixed();
    for (const slot of [8, 9]) setup.states.set(slot, Flag.ejected, true);
    for (let i = 0; i < 20; i++) expect(decide(setup).handover).not.toBeNull();
    expect(setup.router.hasOther(setup.policy, [member(setup, 8)])).toBe(true);
    setup.states.usage[0] = 1;
    expect(setup.router.isSaturated(setup.policy)).toBe(true);
    setup.states.set(0, Flag.ejected, true);
    expect(tryDecide(setup)).toBeNull();
    expect(setup.router.hasOther(setup.policy, [])).toBe(false);
  });

  it('explains each by its own profile', () => {
    const setup = mixed();
    const found = Array.from({ length: 60 }, () => setup.router.explain(setup.policy, request()));
    const profiles = new Set(found.map((each) => each?.effectiveProfile));
    expect(profiles).toEqual(
      new Set(['picker-min-random', 'filter-by-pd-label → scorer-pd-kv-cache-aware x1 → picker-min-random']),
    );
    const roles = found[0]?.endpoints.map(({ endpoint, role }) => [endpoint, role]);
    expect(roles).toEqual([['e8', undefined], ['e9', undefined], ['a-p0', 'prefill'], ['a-d1', 'decode']]); // prettier-ignore
  });
});

describe.each(specs)('whatever the fleet, %s that the router hands over', (_name, spec) => {
  const scene = fc.record({
    shapes: fc.array(fc.record({ prefills: fc.nat(2), decodes: fc.nat(2) }), { minLength: 1, maxLength: 4 }),
    out: fc.array(fc.nat(31), { maxLength: 6 }),
    threshold: fc.constantFrom(-1, 0, 100, 1000),
    names: fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1, maxLength: 12 }),
    acts: fc.array(fc.record({ which: fc.nat(), act: fc.constantFrom('prefilled', 'firstByte', 'release') }), {
      maxLength: 30,
    }),
    seed: fc.integer(),
  });

  it('is whole, of one group and ready; the books end empty, and explanations foresee it', () => {
    fc.assert(
      fc.property(scene, ({ shapes, out, threshold, names, acts, seed }) => {
        const lists = shapes.map((each, i) => pairGroup({ ...each, name: `g${i}`, from: 8 * i, leaders: 0 }));
        let chance = seeded(seed);
        const setup = world([sharing(above(threshold), ...lists)], spec, () => chance());
        const { states, router, policy } = setup;
        for (const slot of out) if (slot < states.capacity) states.set(slot, Flag.healthy, false);
        const held = names.flatMap((name, i) => {
          chance = seeded(seed + i);
          const said = router.explain(policy, prompt(name))?.picked ?? null;
          chance = seeded(seed + i);
          const decision = tryDecide(setup, {}, prompt(name));
          expect(decision?.endpoint.name ?? null).toBe(said?.endpoint ?? null);
          expect(decision?.handover?.prefill.name).toBe(said?.handover?.prefill);
          return decision === null ? [] : [decision];
        });
        for (const { endpoint, handover, promptTokens, cachedTokens } of held) {
          expect(states.isReady(endpoint.slot)).toBe(true);
          if (handover === null) expect(promptTokens - cachedTokens).toBeLessThanOrEqual(threshold);
          else {
            expect(endpoint).toBe(handover.decode);
            expect(groupOf(handover.prefill)).toBe(groupOf(endpoint));
            expect(states.isReady(handover.prefill.slot)).toBe(true);
          }
        }
        for (const { which, act } of acts) {
          const reservation = held[which % Math.max(1, held.length)]?.reservation;
          if (act === 'prefilled') reservation?.prefilled();
          else if (act === 'firstByte') reservation?.firstByte();
          else reservation?.release();
        }
        for (const { reservation } of held) reservation.release();
        for (const column of [
          states.inFlight,
          states.ownWaiting,
          states.unseenWaiting,
          states.newWaiting,
          states.queuedTokens,
        ])
          expect([...column].every((value) => value === 0)).toBe(true);
        for (const { charge = 0 } of router.explain(policy, request())?.endpoints ?? []) expect(charge).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
