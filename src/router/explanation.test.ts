import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backend,
  endpoint,
  endpoints,
  group,
  pairGroup,
  policy,
  profile,
  promptOf,
  readyStates,
  request,
  seeded,
} from '../../test/fixtures/fleet.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import type { ProfileSpec, ScorerSpec } from '../policies/definition.ts';
import { firstAttempt, type Attempts } from './decision.ts';
import type { Explanation } from './explanation.ts';
import type { DecisionObserver } from './observer.ts';
import type { Backend, RoutingPolicy } from './policy.ts';
import { SchedulingProfile } from './profile.ts';
import { Router, type RouterDependencies } from './router.ts';
import { Flag, type EndpointStates } from './states.ts';

const leastLoad: ProfileSpec = { scorers: [{ type: 'scorer-least-load', weight: 2 }] };

/** Asks for every explanation and keeps what it is told, in order. */
class Witness implements DecisionObserver {
  readonly told: (string | Explanation)[] = [];
  watching = true;

  watches({ key }: RoutingPolicy): boolean {
    this.told.push(`watches ${key}`);
    return this.watching;
  }

  picked({ name }: { readonly name: string }): void {
    this.told.push(`picked ${name}`);
  }

  explained(explanation: Explanation): void {
    this.told.push(explanation);
  }
}

interface World {
  readonly states: EndpointStates;
  readonly router: Router;
  readonly policy: RoutingPolicy;
  readonly witness: Witness;
}

function world(
  backends: readonly Backend[],
  spec: ProfileSpec = leastLoad,
  over: Partial<RouterDependencies> = {},
): World {
  const slots = backends.flatMap((one) => one.group.endpoints.map(({ slot }) => slot));
  const states = readyStates(Math.max(0, ...slots) + 1);
  const random = seeded(1);
  const witness = new Witness();
  return {
    states,
    router: new Router({ states, random, observer: witness, ...over }),
    policy: policy({ backends, profile: profile(spec, states, random) }),
    witness,
  };
}

function fleet(count: number, from = 0, over: Partial<Backend> = {}): Backend {
  return backend({ group: group({ name: `g${from}`, endpoints: endpoints(count, from) }), ...over });
}

/** Explains the request as `router.explain` does. */
function explain({ router, policy: asked }: World, over: Parameters<typeof request>[0] = {}): Explanation {
  const explanation = router.explain(asked, request(over));
  if (explanation === null) throw new Error('the policy has no profile');
  return explanation;
}

/** `name: reason` of every endpoint, `*` for the picked one and nothing for a candidate. */
function outcomes({ endpoints: all }: Explanation): string[] {
  return all.map(
    ({ endpoint: name, picked, reason }) => `${name}${picked ? '*' : ''}${reason === null ? '' : `: ${reason}`}`,
  );
}

describe('Router.explain', () => {
  it('names what was picked, with every value, weight and total', () => {
    const setup = world([fleet(2)]);
    setup.states.inFlight[0] = 3;
    expect(explain(setup, { prompt: promptOf('x'.repeat(400)), requestId: 'r-1' })).toEqual({
      policy: 'ns/policy',
      model: 'm',
      requestId: 'r-1',
      attempt: 1,
      promptTokens: 100,
      effectiveProfile: 'scorer-least-load x2 → picker-min-random',
      picker: 'picker-min-random',
      best: 'lowest',
      picked: { group: 'g0', endpoint: 'e1', address: '10.0.0.1:8000', cachedTokens: 0, rewriteModel: null },
      byChance: [],
      backends: [{ group: 'g0', weight: 1, share: 1, reason: null }],
      endpoints: [
        {
          endpoint: 'e0',
          group: 'g0',
          address: '10.0.0.0:8000',
          picked: false,
          reason: null,
          cachedTokens: 0,
          score: 6,
          parts: [{ scorer: 'scorer-least-load', value: 3, weight: 2 }],
        },
        {
          endpoint: 'e1',
          group: 'g0',
          address: '10.0.0.1:8000',
          picked: true,
          reason: null,
          cachedTokens: 0,
          score: 0,
          parts: [{ scorer: 'scorer-least-load', value: 0, weight: 2 }],
        },
      ],
    });
  });

  it('says that the highest total wins where scorers are gains', () => {
    expect(explain(world([fleet(1)], { scorers: [{ type: 'queue-scorer' }] })).best).toBe('highest');
  });

  it('is null for a policy that has never been valid', () => {
    const { router, policy: asked } = world([fleet(1)]);
    expect(router.explain({ ...asked, profile: null }, request())).toBeNull();
  });

  it('has no request id where the request has none, and repeats no long model name', () => {
    const { requestId, model } = explain(world([fleet(1)]), { requestId: '', model: 'm'.repeat(1000) });
    expect([requestId, model.length]).toEqual([null, 256]);
  });

  it('tells what is cached there, and the name that a backend knows the model by', () => {
    const index = new ApproximateIndex();
    const caching = backend({ rewriteModel: 'fp8', group: group({ endpoints: endpoints(2), prefixSource: index }) });
    const setup = world([caching], { scorers: [{ type: 'scorer-auto' }] });
    const prompt = promptOf('word '.repeat(400));
    index.routed(request({ prompt }), 1);
    expect(explain(setup, { prompt }).picked).toMatchObject({ endpoint: 'e1', cachedTokens: 480, rewriteModel: 'fp8' });
  });
});

describe('endpoints that were no candidates', () => {
  const flags: [string, number, boolean][] = [
    ['Unhealthy', Flag.healthy, false],
    ['Ejected', Flag.ejected, true],
    ['Sleeping', Flag.sleeping, true],
    ['Draining', Flag.draining, true],
    ['NotReady', Flag.unready, true],
  ];
  it.each(flags)('are %s by their flags', (reason, flag, on) => {
    const setup = world([fleet(2)]);
    setup.states.set(0, flag, on);
    expect(outcomes(explain(setup))).toEqual([`e0: ${reason}`, 'e1*']);
  });

  it('have the reason of whoever knows more', () => {
    const reasonOf = (slot: number): string | null => (slot === 0 ? 'NotReadyInDiscovery' : null);
    const setup = world([fleet(3)], leastLoad, { readiness: { reasonOf } });
    setup.states.set(0, Flag.healthy, false);
    setup.states.set(1, Flag.healthy, false);
    expect(outcomes(explain(setup))).toEqual(['e0: NotReadyInDiscovery', 'e1: Unhealthy', 'e2*']);
  });

  it('say which filter has dropped them, and why', () => {
    const filters = [
      { type: 'filter-by-label', parameters: { label: 'zone', values: ['a', 'b'] } },
      { type: 'filter-by-label', parameters: { label: 'gpu', values: ['h100'] } },
    ];
    const labelled: Record<string, string>[] = [{ zone: 'c', gpu: 'h100' }, { zone: 'b' }, { zone: 'a', gpu: 'h100' }];
    const members = labelled.map((labels, slot) => endpoint(slot, { labels }));
    expect(outcomes(explain(world([backend({ group: group({ endpoints: members }) })], { filters })))).toEqual([
      'e0: filter-by-label: zone is c, not a or b',
      'e1: filter-by-label: no label gpu, not h100',
      'e2*',
    ]);
  });

  it('say which filter has dropped them, where it does not say why', () => {
    const setup = world([fleet(2)]);
    const { profile: made } = setup.policy;
    if (made === null) throw new Error('the policy has a profile');
    const filters = [{ keep: (_request: unknown, { slot }: { readonly slot: number }) => slot > 0 }];
    const filtered = {
      ...setup.policy,
      profile: new SchedulingProfile({ ...made.parts, filters, filterTypes: ['odd'] }),
    };
    expect(outcomes(explain({ ...setup, policy: filtered }))).toEqual(['e0: odd', 'e1*']);
  });

  it('belong to a backend that was not drawn, or could not be', () => {
    const other = backend({ group: group({ name: 'other', models: ['x'], endpoints: endpoints(1, 1) }) });
    const dead = fleet(1, 2);
    const idle = fleet(1, 3, { weight: 0 });
    const empty = backend({ group: group({ name: 'empty', models: ['m'] }) });
    const setup = world([fleet(1, 0, { weight: 3 }), other, dead, idle, empty, fleet(1, 4)], leastLoad, {
      random: () => 0,
    });
    setup.states.set(2, Flag.ejected, true);
    const explanation = explain(setup);
    expect(outcomes(explanation)).toEqual([
      'e0*',
      'e1: its backend: does not serve the model',
      'e2: Ejected',
      'e3: its backend: has weight 0',
      'e4: another backend was drawn',
    ]);
    expect(explanation.backends.map(({ share, reason }) => reason ?? share)).toEqual([
      0.75,
      'does not serve the model',
      'no endpoint is left',
      'has weight 0',
      'has no endpoints',
      0.25,
    ]);
    expect(explanation.byChance).toEqual(['the backend was drawn by weight']);
  });

  it('sit out while they are new', () => {
    const setup = world([fleet(2)]);
    setup.states.warmth[0] = 0;
    const explanation = explain(setup);
    expect(outcomes(explanation)).toEqual(['e0: slow start: it is new and sits this one out', 'e1*']);
    expect(explanation.byChance).toEqual(['new endpoints take part in a share of decisions (slow start)']);
  });

  it('are all of them where nothing is left to pick', () => {
    const setup = world([fleet(2)]);
    setup.states.set(0, Flag.ejected, true);
    setup.states.set(1, Flag.healthy, false);
    const explanation = explain(setup);
    expect(explanation.picked).toBeNull();
    expect(explanation.byChance).toEqual([]);
    expect(outcomes(explanation)).toEqual(['e0: Ejected', 'e1: Unhealthy']);
  });
});

describe('a subset', () => {
  it('is named as the reason of those that are not in it', () => {
    const setup = world([fleet(2)]);
    const only = new Set(['10.0.0.1:8000']);
    setup.router.decide(setup.policy, request(), { ...firstAttempt, only });
    const [, explanation] = setup.witness.told;
    if (typeof explanation === 'string') throw new Error('not explained');
    expect(outcomes(explanation)).toEqual(['e0: not in the subset that the gateway allows', 'e1*']);
  });
});

describe('pairs', () => {
  const pd = (scorers: readonly ScorerSpec[]): ProfileSpec => ({ filters: [{ type: 'filter-by-pd-label' }], scorers });
  const bucket = pd([{ type: 'scorer-pd-bucket' }]);
  const groups = (): Backend => {
    const a = pairGroup({ name: 'a', from: 0, prefills: 2, decodes: 1 });
    const b = pairGroup({ name: 'b', from: 4, prefills: 1, decodes: 1, leaders: 2, tpSize: 4 });
    return backend({ group: group({ name: 'pd', endpoints: [...a, ...b] }) });
  };

  it('are told with the roles, groups, costs and charges of all members', () => {
    const setup = world([groups()], pd([{ type: 'scorer-pd-bucket', weight: 2 }]), { random: () => 0.999 });
    const prompt = promptOf('x'.repeat(400));
    // A prompt of half the separating length prefers group a, whose engines are small; its load then speaks against it.
    expect(setup.router.decide(setup.policy, request({ prompt }))?.handover?.prefill.name).toBe('a-p0');
    const found = explain(setup, { prompt });
    const value = 123.5245 / (123.5245 + 1e-6) + 2 * (2 / 6 - 1 / 2) * 0.5;
    expect(found.endpoints[0]).toEqual({
      endpoint: 'a-p0',
      group: 'pd',
      address: '10.0.0.0:8000',
      role: 'prefill',
      pdGroup: 'a',
      picked: false,
      reason: null,
      cachedTokens: 0,
      charge: 2 * 123.5245,
      score: expect.closeTo(2 * value) as number,
      parts: [{ scorer: 'scorer-pd-bucket', value: expect.closeTo(value) as number, weight: 2 }],
    });
    expect(found.endpoints[2]).toMatchObject({ endpoint: 'a-d2', role: 'decode', charge: 200, score: 0 });
    expect(found.endpoints[3]).toMatchObject({ endpoint: 'a-l3', role: 'leader', reason: 'another group was picked' });
    expect(found.picked).toMatchObject({ group: 'pd', handover: { prefill: 'b-p0', decode: 'b-d1' } });
    expect(found).toMatchObject({
      effectiveProfile: 'filter-by-pd-label → scorer-pd-bucket x2 → picker-min-random',
      picker: 'picker-min-random',
      best: 'lowest',
    });
  });

  it('cost what prefiller and decoder cost, and the lowest sum of one group is picked', () => {
    const setup = world([groups()], pd([{ type: 'scorer-pd-kv-cache-aware' }]));
    setup.states.usage.set([0.5, 0.25, 0.125, 0, 0.5, 0.75]);
    const found = explain(setup);
    const scores = new Map(found.endpoints.map(({ endpoint: name, score }) => [name, score]));
    expect(['a-p0', 'a-p1', 'a-d2', 'b-p0', 'b-d1'].map((name) => scores.get(name))).toEqual([
      1.5, 1.25, 0.125, 1.5, 0.75,
    ]);
    expect(found.endpoints.map(({ charge }) => charge)).toEqual(Array(8).fill(undefined));
    expect(outcomes(found)).toEqual([
      'a-p0',
      'a-p1*',
      'a-d2*',
      'a-l3*',
      'b-p0',
      'b-d1',
      'b-l2: another group was picked',
      'b-l3: another group was picked',
    ]);
    expect(found.byChance).toEqual([]);
  });

  it('leave leaders without a score, and say that the less busy one was picked', () => {
    const setup = world([groups()], pd([{ type: 'scorer-pd-kv-cache-aware' }]));
    setup.states.usage.fill(1, 0, 3);
    setup.states.inFlight[6] = 1;
    const found = explain(setup);
    expect(outcomes(found).slice(6)).toEqual(['b-l2: another leader of its group was picked', 'b-l3*']);
    expect(found.endpoints.slice(6).map(({ score, parts, cachedTokens }) => [score, parts, cachedTokens])).toEqual([
      [null, [], null],
      [null, [], null],
    ]);
  });

  it('tell what the prefiller has cached', () => {
    const index = new ApproximateIndex();
    const { group: made } = groups();
    const caching = backend({ group: { ...made, prefixSource: index } });
    const setup = world([caching], pd([{ type: 'scorer-pd-kv-cache-aware' }]));
    const prompt = promptOf('word '.repeat(400));
    index.routed(request({ prompt }), 1);
    const found = explain(setup, { prompt });
    expect(found.picked).toMatchObject({ cachedTokens: 480, handover: { prefill: 'a-p1', decode: 'a-d2' } });
    expect(found.endpoints.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 480, null, null, 0, null, null, null]);
  });

  it('are told to be by chance where they are equals', () => {
    const setup = world([groups()], {
      filters: [{ type: 'filter-by-pd-label' }],
      picker: { type: 'picker-random-pd-bucket' },
    });
    setup.states.inFlight[3] = 1;
    const { byChance, picked } = explain(setup);
    expect(byChance).toEqual([
      'the pair is one of 3 equals',
      ...(picked?.endpoint.startsWith('b') === true ? ['the leader is one of 2 equals'] : []),
    ]);
  });

  const lacks: [string, (setup: World) => void, string[]][] = [
    [
      'a prefiller',
      ({ states }) => states.set(4, Flag.ejected, true),
      ['b-p0: Ejected', 'b-d1: its group b has no ready prefill', 'b-l2: its group b has no ready prefill'],
    ],
    [
      'both sides',
      ({ states }) => {
        states.set(4, Flag.ejected, true);
        states.set(5, Flag.draining, true);
      },
      ['b-p0: Ejected', 'b-d1: Draining', 'b-l2: its group b has no ready prefill and no ready decode'],
    ],
    [
      'a leader',
      ({ states }) => {
        states.set(6, Flag.ejected, true);
        states.set(7, Flag.ejected, true);
      },
      ['b-p0: its group b has no ready leader', 'b-d1: its group b has no ready leader', 'b-l2: Ejected'],
    ],
    [
      'a warm prefiller',
      ({ states }) => {
        states.warmth[4] = 0;
      },
      [
        'b-p0: slow start: it or its group is new and sits this one out',
        'b-d1: slow start: it or its group is new and sits this one out',
        'b-l2: another group was picked',
      ],
    ],
  ];
  it.each(lacks)('of a group that lacks %s are out, and it is said why', (_lack, make, expected) => {
    const setup = world([groups()], bucket);
    make(setup);
    expect(outcomes(explain(setup)).slice(4, 7)).toEqual(expected);
  });

  it('are told to be new by chance, leaders aside', () => {
    const setup = world([groups()], bucket);
    setup.states.warmth[3] = 0;
    const text = 'new endpoints take part in a share of decisions (slow start)';
    expect(explain(setup).byChance).not.toContain(text);
    setup.states.warmth[1] = 0.5;
    expect(explain(setup).byChance).toContain(text);
  });

  it('name labels that do not fit, and leaders outside the subset', () => {
    const setup = world([groups(), backend({ group: group({ name: 'other', endpoints: [endpoint(8)] }) })], bucket);
    const only = new Set(['10.0.0.3:8000', '10.0.0.6:8000']);
    setup.router.decide(setup.policy, request(), { ...firstAttempt, only });
    const [, explanation] = setup.witness.told;
    if (typeof explanation === 'string') throw new Error('not explained');
    expect(outcomes(explanation).slice(7)).toEqual([
      'b-l3: not in the subset that the gateway allows',
      'e8: filter-by-pd-label: no label openfuyao.com/pdRole, not prefill, decode or leader',
    ]);
    expect(explanation.backends[1].reason).toBe('no endpoint is left');
    expect(explanation.endpoints[8]).not.toHaveProperty('role');
  });

  it('are none where no group is whole', () => {
    const setup = world([groups()], bucket);
    setup.states.set(2, Flag.ejected, true);
    const all = explain(setup);
    setup.states.set(5, Flag.ejected, true);
    const nobody = explain(setup);
    expect(all.picked).not.toBeNull();
    expect(nobody.picked).toBeNull();
    expect(nobody.endpoints.every(({ reason, picked }) => reason !== null && !picked)).toBe(true);
  });

  it.each([bucket, pd([{ type: 'scorer-pd-kv-cache-aware' }])])('are explained without a trace', (spec) => {
    const setup = world([groups()], spec);
    const before = [...new Uint8Array(setup.states.flags.buffer)];
    explain(setup);
    expect([...new Uint8Array(setup.states.flags.buffer)]).toEqual(before);
    expect(explain(setup).endpoints.map(({ charge }) => charge ?? 0)).toEqual(Array(8).fill(0));
  });
});

describe('chance', () => {
  const cases: [string, ProfileSpec, string[]][] = [
    ['decides among equals', { picker: { type: 'picker-min-random' } }, ['the endpoint is one of 3 equals']],
    ['has no say in a round', { picker: { type: 'picker-round-robin' } }, []],
  ];
  it.each(cases)('%s', (_name, spec, byChance) => {
    expect(explain(world([fleet(3)], spec)).byChance).toEqual(byChance);
  });
});

describe('what an observer is told', () => {
  const decide = ({ router, policy: asked }: World, attempts?: Attempts) => router.decide(asked, request(), attempts);

  it('is the decision with its explanation, made before the place is reserved', () => {
    const setup = world([fleet(1)]);
    decide(setup);
    decide(setup);
    expect(setup.witness.told.map((one) => (typeof one === 'string' ? one : one.endpoints[0].score))).toEqual([
      'watches ns/policy',
      0,
      'picked e0',
      'watches ns/policy',
      2,
      'picked e0',
    ]);
  });

  it('is what the decision has picked', () => {
    const setup = world([fleet(5)], { picker: { type: 'picker-min-random' } });
    for (let i = 0; i < 50; i++) {
      const decision = decide(setup);
      const [, explanation, picked] = setup.witness.told.splice(0);
      expect(picked).toBe(`picked ${decision?.endpoint.name}`);
      expect(explanation).toMatchObject({ picked: { endpoint: decision?.endpoint.name } });
    }
  });

  it('is no explanation when it did not ask for one', () => {
    const setup = world([fleet(1)]);
    setup.witness.watching = false;
    decide(setup);
    expect(setup.witness.told).toEqual(['watches ns/policy', 'picked e0']);
  });

  it('is an explanation alone where there was nothing to pick', () => {
    const setup = world([fleet(1)]);
    setup.states.set(0, Flag.ejected, true);
    expect(decide(setup)).toBeNull();
    expect(setup.witness.told).toEqual(['watches ns/policy', expect.objectContaining({ picked: null })]);
  });

  it('says that a further try stays with its backend and leaves out what was tried', () => {
    const setup = world([fleet(2, 0), fleet(1, 2)]);
    const [first] = setup.policy.backends;
    decide(setup, { ...firstAttempt, tried: [first.group.endpoints[0]], backend: first });
    const explanation = setup.witness.told[1];
    if (typeof explanation === 'string') throw new Error('not explained');
    expect(explanation.attempt).toBe(2);
    expect(explanation.byChance).toEqual([]);
    expect(outcomes(explanation)).toEqual([
      'e0: tried before',
      'e1*',
      'e2: its backend: further tries stay with their backend',
    ]);
  });

  it('leaves a decision as it would have been', () => {
    const spec = { scorers: [{ type: 'scorer-auto' }] };
    const watched = world([fleet(6), fleet(2, 6)], spec);
    const alone = world([fleet(6), fleet(2, 6)], spec);
    alone.witness.watching = false;
    const slots = (setup: World) => Array.from({ length: 200 }, () => decide(setup)?.endpoint.slot);
    expect(slots(watched)).toEqual(slots(alone));
  });
});

describe('a hypothetical request', () => {
  const strategies: [string, ProfileSpec][] = [
    ['Auto', { scorers: [{ type: 'scorer-auto' }] }],
    ['KVAware', { scorers: [{ type: 'scorer-aggregate-kv-cache-aware' }] }],
    ['SessionAffinity', { scorers: [{ type: 'scorer-session-affinity' }] }],
    ['Random', {}],
    ['RoundRobin', { picker: { type: 'picker-round-robin' } }],
  ];

  /** Everything that decisions leave behind. */
  function trace(states: EndpointStates, index: ApproximateIndex, texts: readonly string[], count: number): string {
    const { flags, capacity } = states;
    const hits = texts.map((text) => {
      const out = new Float64Array(count);
      const candidates = { length: count, slots: Int32Array.from({ length: count }, (_, i) => i), promptTokens: 1e6 };
      index.match(request({ prompt: promptOf(text) }), candidates as never, out);
      return [...out];
    });
    return JSON.stringify([[...new Uint8Array(flags.buffer)], capacity, hits, index.size, index.bytes]);
  }

  it.each(strategies)('with %s changes nothing, and is placed as the request that follows it', (_name, spec) => {
    const texts = fc.array(
      fc.string({ maxLength: 40 }).map((word) => `${word} shared words `.repeat(30)),
      { maxLength: 8 },
    );
    const load = fc.array(fc.nat(20), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(texts, load, fc.integer(), fc.string(), (sent, loads, seed, user) => {
        const index = new ApproximateIndex();
        const states = readyStates(4);
        states.inFlight.set(loads);
        states.warmth[3] = 0.5;
        let chance = seeded(seed);
        const random = (): number => chance();
        const told: string[] = [];
        const observer: DecisionObserver = {
          watches: () => told.push('watches') > 0,
          picked: () => told.push('picked'),
          explained: () => told.push('explained'),
        };
        const router = new Router({ states, random, observer });
        const members = [endpoints(2), endpoints(2, 2)];
        const asked = policy({
          backends: members.map((list) => backend({ group: group({ endpoints: list, prefixSource: index }) })),
          profile: profile(spec, states, random),
        });
        for (const text of sent) router.decide(asked, request({ prompt: promptOf(text) }));
        const next = request({ prompt: promptOf(`${sent[0] ?? ''} and more`), user });
        told.length = 0;
        const before = trace(states, index, sent, 4);
        chance = seeded(seed + 1);
        const would = router.explain(asked, next);
        router.explain(asked, next);
        expect(trace(states, index, sent, 4)).toBe(before);
        expect(told).toEqual([]);
        chance = seeded(seed + 1);
        expect(router.decide(asked, next)?.endpoint.name).toBe(would?.picked?.endpoint);
      }),
      { numRuns: 60 },
    );
  });
});
