import { describe, expect, it } from 'vitest';
import {
  backend,
  endpoint,
  endpoints,
  group,
  policy,
  profile,
  promptOf,
  readyStates,
  request,
  seeded,
} from '../../test/fixtures/fleet.ts';
import type { ProfileSpec } from '../policies/definition.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import { firstAttempt, type Attempts, type Decision } from './decision.ts';
import type { Endpoint } from './endpoint.ts';
import type { Scorer, WeightedScorer } from './plugin.ts';
import type { Backend, RoutingPolicy } from './policy.ts';
import { SchedulingProfile } from './profile.ts';
import { Router } from './router.ts';
import { Flag, type EndpointStates } from './states.ts';

const anyEndpoint: ProfileSpec = { picker: { type: 'picker-min-random' } };
const leastLoad: ProfileSpec = { scorers: [{ type: 'scorer-least-load' }] };
const auto: ProfileSpec = { scorers: [{ type: 'scorer-auto' }] };

interface World {
  router: Router;
  states: EndpointStates;
  policy: RoutingPolicy;
}

/** A router before these backends; `spec` says how it picks within one. */
function world(backends: Backend[], spec: ProfileSpec = anyEndpoint, random = seeded(1)): World {
  const states = readyStates(
    Math.max(0, ...backends.flatMap((each) => each.group.endpoints.map(({ slot }) => slot + 1))),
  );
  return {
    states,
    policy: policy({ backends, profile: profile(spec, states, random) }),
    router: new Router({ states, random }),
  };
}

function fleet(count: number, from = 0, weight = 1): Backend {
  return backend({ weight, group: group({ name: `g${from}`, endpoints: endpoints(count, from) }) });
}

function decide({ router, policy: routed }: World, over: Partial<Attempts> = {}, asked = request()): Decision {
  const decision = router.decide(routed, asked, { ...firstAttempt, ...over });
  if (decision === null) throw new Error('no endpoint was found');
  return decision;
}

/** How often each slot is picked in so many decisions that end at once. */
function picks(setup: World, times: number, slots: number): number[] {
  const found = Array<number>(slots).fill(0);
  for (let i = 0; i < times; i++) {
    const { endpoint: picked, reservation } = decide(setup);
    found[picked.slot] += 1;
    reservation.release();
  }
  return found;
}

/** Expects a count of `times` draws at a probability within five standard deviations: by chance one run in 1.7 million fails. */
function expectShare(count: number, times: number, probability: number): void {
  const deviation = Math.sqrt(times * probability * (1 - probability));
  expect(Math.abs(count - times * probability)).toBeLessThanOrEqual(5 * deviation);
}

describe('Router.decide', () => {
  it('names the backend and endpoint, and has taken the place there', () => {
    const setup = world([fleet(1)]);
    const decision = decide(setup, {}, request({ prompt: promptOf('x'.repeat(400)) }));
    expect(decision).toMatchObject({
      backend: setup.policy.backends[0],
      promptTokens: 100,
      cachedTokens: 0,
      breakdown: null,
    });
    expect(decision.endpoint.slot).toBe(0);
    expect(setup.states.inFlight[0]).toBe(1);
    expect(setup.states.queuedTokens[0]).toBe(100);
    decision.reservation.release();
    expect(setup.states.inFlight[0]).toBe(0);
  });

  const nobody: [string, (setup: World) => void][] = [
    ['unhealthy', ({ states }) => states.set(0, Flag.healthy, false)],
    ['ejected', ({ states }) => states.set(0, Flag.ejected, true)],
    ['draining', ({ states }) => states.set(0, Flag.draining, true)],
    ['asleep', ({ states }) => states.set(0, Flag.sleeping, true)],
  ];
  it.each(nobody)('is null where the only endpoint is %s, and reserves nothing', (_name, make) => {
    const setup = world([fleet(1)]);
    make(setup);
    expect(setup.router.decide(setup.policy, request())).toBeNull();
    expect(setup.states.inFlight[0]).toBe(0);
  });

  it('is null without a profile, without backends, and where all weights are 0', () => {
    const setup = world([fleet(1)]);
    expect(setup.router.decide(policy({ backends: setup.policy.backends }), request())).toBeNull();
    expect(setup.router.decide({ ...setup.policy, backends: [] }, request())).toBeNull();
    expect(setup.router.decide({ ...setup.policy, backends: [fleet(1, 0, 0)] }, request())).toBeNull();
  });

  it('sends nothing to endpoints that are not ready, all to the others', () => {
    const setup = world([fleet(3)]);
    setup.states.set(1, Flag.ejected, true);
    const [first, second, third] = picks(setup, 1000, 3);
    expect(second).toBe(0);
    expectShare(first, 1000, 0.5);
    expect(first + third).toBe(1000);
  });

  it('shares requests out by weight', () => {
    const setup = world([fleet(1, 0, 95), fleet(1, 1, 5)]);
    expectShare(picks(setup, 20_000, 2)[1], 20_000, 0.05);
  });

  it("shares a backend's weight out when it has no ready endpoint", () => {
    const setup = world([fleet(1, 0, 50), fleet(1, 1, 30), fleet(1, 2, 10)]);
    setup.states.set(0, Flag.healthy, false);
    const [first, second, third] = picks(setup, 20_000, 3);
    expect(first).toBe(0);
    expectShare(second, 20_000, 0.75);
    expect(second + third).toBe(20_000);
  });

  it('never picks a backend of weight 0, not even at the edge of chance', () => {
    for (const point of [0, 1 - 2 ** -53]) {
      const setup = world([fleet(1, 0, 0), fleet(1, 1, 1), fleet(1, 2, 0)], anyEndpoint, () => point);
      expect(decide(setup).endpoint.slot).toBe(1);
    }
  });

  it('prefers backends that serve the model, by its rewritten name where it is rewritten', () => {
    const other = backend({ group: group({ name: 'other', models: ['other'], endpoints: endpoints(1, 0) }) });
    const same = backend({ group: group({ name: 'same', models: ['m'], endpoints: endpoints(1, 1) }) });
    const rewritten = backend({
      rewriteModel: 'm-fp8',
      group: group({ name: 'fp8', models: ['m-fp8'], endpoints: endpoints(1, 2) }),
    });
    const [first, second, third] = picks(world([other, same, rewritten]), 1000, 3);
    expect(first).toBe(0);
    expectShare(second, 1000, 0.5);
    expect(second + third).toBe(1000);
  });

  it('tells scorers the model that the engine will be asked for', () => {
    const seen: string[] = [];
    const { parts } = profile(anyEndpoint, readyStates(1));
    const scorer: Scorer = {
      score(_request, { model }, out) {
        seen.push(model);
        out.fill(0);
      },
    };
    const scorers: WeightedScorer[] = [{ type: 'spy', scorer, direction: 'cost', weight: 1 }];
    for (const rewriteModel of ['m-fp8', null]) {
      const setup = world([{ ...fleet(1), rewriteModel }]);
      decide({ ...setup, policy: { ...setup.policy, profile: new SchedulingProfile({ ...parts, scorers }) } });
    }
    expect(seen).toEqual(['m-fp8', 'm']);
  });

  it('lets an engine say that it does not know the model where no backend is known to serve it', () => {
    const other = backend({ group: group({ models: ['other'], endpoints: endpoints(1) }) });
    expect(decide(world([other])).endpoint.slot).toBe(0);
  });

  it('explains all candidates when asked', () => {
    const setup = world([fleet(3)], leastLoad);
    setup.states.inFlight[0] = 4;
    const { breakdown } = decide(setup, { explain: true });
    expect(breakdown?.map(({ endpoint: name, score }) => [name, score])).toEqual([
      ['e0', 4],
      ['e1', 0],
      ['e2', 0],
    ]);
  });
});

describe('further tries', () => {
  it('stay with the backend while it has another endpoint, then move on, then end', () => {
    const setup = world([fleet(3, 0, 1), fleet(2, 3, 1_000_000)]);
    const first = setup.policy.backends[0];
    const tried: Endpoint[] = [first.group.endpoints[1]];
    let last: Backend = first;
    const slots: number[] = [];
    for (;;) {
      const decision = setup.router.decide(setup.policy, request(), {
        ...firstAttempt,
        tried,
        backend: last,
      });
      if (decision === null) break;
      tried.push(decision.endpoint);
      slots.push(decision.endpoint.slot);
      last = decision.backend;
    }
    expect(new Set(slots.slice(0, 2))).toEqual(new Set([0, 2]));
    expect(new Set(slots.slice(2))).toEqual(new Set([3, 4]));
    expect(slots).toHaveLength(4);
  });

  it('leave a backend whose other endpoints are not ready', () => {
    const setup = world([fleet(2, 0), fleet(1, 2)]);
    const first = setup.policy.backends[0];
    setup.states.set(1, Flag.ejected, true);
    expect(decide(setup, { tried: [first.group.endpoints[0]], backend: first }).endpoint.slot).toBe(2);
  });

  it('are known beforehand to have somewhere to go', () => {
    const setup = world([fleet(2, 0), fleet(1, 2, 0)]);
    const [first, second] = setup.policy.backends[0].group.endpoints;
    expect(setup.router.hasOther(setup.policy, [])).toBe(true);
    expect(setup.router.hasOther(setup.policy, [first])).toBe(true);
    // The third belongs to a backend of weight 0.
    expect(setup.router.hasOther(setup.policy, [first, second])).toBe(false);
    setup.states.set(1, Flag.ejected, true);
    expect(setup.router.hasOther(setup.policy, [first])).toBe(false);
  });
});

describe('a subset', () => {
  const some = new Set(['10.0.0.1:8000', '10.0.0.4:8000', '10.0.0.99:8000']);

  it('alone is picked from, over all backends', () => {
    const setup = world([fleet(3), fleet(3, 3)]);
    const slots = Array.from({ length: 100 }, () => decide(setup, { only: some }).endpoint.slot);
    expect(new Set(slots)).toEqual(new Set([1, 4]));
  });

  it('that is empty, or holds nobody ready, ends in null', () => {
    const setup = world([fleet(3)]);
    expect(setup.router.decide(setup.policy, request(), { ...firstAttempt, only: new Set() })).toBeNull();
    setup.states.set(1, Flag.ejected, true);
    expect(setup.router.decide(setup.policy, request(), { ...firstAttempt, only: some })).toBeNull();
  });

  it('is where further tries go, too', () => {
    const setup = world([fleet(3), fleet(3, 3)]);
    const first = decide(setup, { only: some }).endpoint;
    expect(setup.router.hasOther(setup.policy, [first], some)).toBe(true);
    const second = decide(setup, { only: some, tried: [first] }).endpoint;
    expect([first.slot, second.slot].sort()).toEqual([1, 4]);
    expect(setup.router.hasOther(setup.policy, [first, second], some)).toBe(false);
    expect(setup.router.hasOther(setup.policy, [first, second])).toBe(true);
  });
});

describe('fallbacks', () => {
  const names = (setup: World, limit = 9): string[] => setup.router.fallbacks(limit).map(({ name }) => name);

  it('are the next best of the backend that was decided for, and nothing is reserved there', () => {
    const setup = world([fleet(4), fleet(2, 4, 0)], leastLoad);
    setup.states.inFlight.set([3, 1, 2, 0]);
    expect(decide(setup).endpoint.slot).toBe(3);
    expect(names(setup)).toEqual(['e1', 'e2', 'e0']);
    expect(names(setup, 2)).toEqual(['e1', 'e2']);
    expect([...setup.states.inFlight]).toEqual([3, 1, 2, 1, 0, 0]);
  });

  it('are ready, within the subset, and not tried before', () => {
    const setup = world([fleet(5)], leastLoad);
    setup.states.set(4, Flag.ejected, true);
    const only = new Set([0, 1, 2, 4].map((slot) => `10.0.0.${slot}:8000`));
    const tried = [setup.policy.backends[0].group.endpoints[0]];
    const { endpoint: picked } = decide(setup, { only, tried });
    expect([picked.name, ...names(setup)].sort()).toEqual(['e1', 'e2']);
  });

  it('of gains are those of the highest sums', () => {
    const setup = world([fleet(3)], { scorers: [{ type: 'queue-scorer' }] });
    setup.states.waiting.set([5, 0, 2]);
    decide(setup);
    expect(names(setup)).toEqual(['e2', 'e0']);
  });

  it('hold endpoints that sit this one out last', () => {
    const setup = world([fleet(4)], leastLoad);
    setup.states.warmth.set([0, 1, 0, 1]);
    setup.states.inFlight.set([0, 1, 0, 7]);
    expect(decide(setup).endpoint.slot).toBe(1);
    expect(names(setup)[0]).toBe('e3');
    expect(names(setup).slice(1).sort()).toEqual(['e0', 'e2']);
  });

  it('are none before a decision, after one that found nobody, and after an explanation', () => {
    const setup = world([fleet(3)]);
    expect(names(setup)).toEqual([]);
    decide(setup);
    expect(names(setup)).toHaveLength(2);
    setup.router.explain(setup.policy, request());
    expect(names(setup)).toEqual([]);
    decide(setup);
    setup.router.decide(setup.policy, request(), { ...firstAttempt, only: new Set() });
    expect(names(setup)).toEqual([]);
  });
});

describe('filters', () => {
  const inZone = (zone: string): ProfileSpec => ({
    filters: [{ type: 'filter-by-label', parameters: { label: 'zone', values: [zone] } }],
  });
  const zoned = (slot: number, zone: string): Endpoint => endpoint(slot, { labels: { zone } });

  it('leave only the endpoints that they all keep', () => {
    const mixed = backend({ group: group({ endpoints: [zoned(0, 'a'), zoned(1, 'b'), zoned(2, 'b')] }) });
    const setup = world([mixed], {
      filters: [
        ...(inZone('b').filters ?? []),
        { type: 'filter-by-label', parameters: { label: 'zone', values: ['b', 'c'] } },
      ],
    });
    const [first, second, third] = picks(setup, 200, 3);
    expect(first).toBe(0);
    expect(second).toBeGreaterThan(0);
    expect(third).toBeGreaterThan(0);
  });

  it('that keep nobody end in null', () => {
    const setup = world([backend({ group: group({ endpoints: [zoned(0, 'a')] }) })], inZone('b'));
    expect(setup.router.decide(setup.policy, request())).toBeNull();
  });

  it('take a backend out of the draw, and out of further tries, when they keep none of its endpoints', () => {
    const a = backend({ group: group({ name: 'a', endpoints: [zoned(0, 'b'), zoned(1, 'a')] }), weight: 1 });
    const b = backend({ group: group({ name: 'b', endpoints: [zoned(2, 'b')] }), weight: 1 });
    const none = backend({ group: group({ name: 'none', endpoints: [zoned(3, 'a')] }), weight: 1000 });
    const setup = world([none, a, b], inZone('b'));
    expect(picks(setup, 100, 4)[3]).toBe(0);
    expect(decide(setup, { tried: [a.group.endpoints[0]], backend: a }).endpoint.slot).toBe(2);
  });
});

describe('slow start', () => {
  it('offers a cold endpoint its share of requests, though it looks ideal', () => {
    const setup = world([fleet(2)], leastLoad);
    setup.states.inFlight[0] = 100;
    setup.states.warmth[1] = 0.25;
    expectShare(picks(setup, 10_000, 2)[1], 10_000, 0.25);
  });

  it('serves from a fleet of nothing but cold endpoints', () => {
    const setup = world([fleet(3)], anyEndpoint);
    setup.states.warmth.fill(0);
    for (const count of picks(setup, 3000, 3)) expectShare(count, 3000, 1 / 3);
  });

  it('keeps the others in their order and with their own slots', () => {
    const setup = world([fleet(4)], leastLoad);
    setup.states.warmth[0] = 0;
    setup.states.warmth[2] = 0;
    setup.states.inFlight.set([0, 9, 0, 7]);
    const { endpoint: picked, breakdown } = decide(setup, { explain: true });
    expect(picked.slot).toBe(3);
    expect(breakdown?.map(({ endpoint: name, score }) => [name, score])).toEqual([
      ['e1', 9],
      ['e3', 7],
    ]);
  });
});

describe('between two scrapes', () => {
  const strategies: [string, ProfileSpec][] = [
    ['scorer-auto', auto],
    ['scorer-least-load', leastLoad],
    ['scorer-lmetric', { scorers: [{ type: 'scorer-lmetric' }] }],
    ['scorer-aggregate-kv-cache-aware', { scorers: [{ type: 'scorer-aggregate-kv-cache-aware' }] }],
    ['queue-scorer', { scorers: [{ type: 'queue-scorer' }] }],
  ];
  it.each(strategies)('%s does not herd: requests spread over engines that look alike', (_name, spec) => {
    const setup = world([fleet(8)], spec);
    for (let slot = 0; slot < 8; slot++) {
      setup.states.scrapeStarts(slot);
      setup.states.scrapeSucceeds(slot, { waiting: 2, running: 4, usage: 0.5 }, 1);
    }
    for (let i = 0; i < 80; i++) decide(setup);
    expect([...setup.states.inFlight]).toEqual(Array(8).fill(10));
  });
});

describe('prefix hits', () => {
  function cachingWorld(count: number): World & { index: ApproximateIndex } {
    const index = new ApproximateIndex();
    const setup = world([backend({ group: group({ endpoints: endpoints(count), prefixSource: index }) })], auto);
    return { ...setup, index };
  }
  const long = (tail: string): ReturnType<typeof request> =>
    request({ prompt: promptOf('shared '.repeat(2000) + tail) });

  it('draw a sibling to the engine that computes the prefix, even while the first is in flight', () => {
    const setup = cachingWorld(8);
    const first = decide(setup, {}, long('one'));
    const second = decide(setup, {}, long('two'));
    expect(second.endpoint).toBe(first.endpoint);
    expect(second.cachedTokens).toBeGreaterThan(3000);
    expect(second.promptTokens - second.cachedTokens).toBe(second.reservation.uncachedTokens);
    expect(setup.states.queuedTokens[first.endpoint.slot]).toBe(
      first.reservation.uncachedTokens + second.reservation.uncachedTokens,
    );
  });

  it('give way when the engine that holds the prefix is crowded', () => {
    const setup = cachingWorld(2);
    const { endpoint: holder } = decide(setup, {}, long('one'));
    setup.states.inFlight[holder.slot] = 1000;
    expect(decide(setup, {}, long('two')).endpoint).not.toBe(holder);
  });

  it('are neither asked for nor recorded by a profile that does not read them', () => {
    const index = new ApproximateIndex();
    const setup = world([backend({ group: group({ endpoints: endpoints(1), prefixSource: index }) })], leastLoad);
    decide(setup, {}, long('one'));
    expect(index.size).toBe(0);
    expect(decide(setup, {}, long('one')).cachedTokens).toBe(0);
  });
});
