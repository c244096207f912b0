import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { met, unmet } from '../conditions.ts';
import { silentView, type ReplicaView } from '../peers/replica-view.ts';
import { noon, policyFacts, replica, report, score, validPolicyStatus } from './status.fixture.ts';
import type { PolicyFacts } from './policy-status.ts';

const condition = (facts: Partial<PolicyFacts>, type: string) =>
  validPolicyStatus(policyFacts(facts)).conditions?.find((one) => one.type === type);

describe('Programmed', () => {
  const r = (name: string, generation: number, ready = true) => replica(name, { generation }, ready);
  const cases: [string, Partial<PolicyFacts>, string, number, RegExp][] = [
    ['is True when every ready replica runs this generation', { generation: 2, inForce: 2, replicas: [r('a', 2), r('b', 2)] }, 'True Programmed', 2, /runs generation 2$/],
    ['waits for a replica that is behind', { generation: 2, inForce: 2, replicas: [r('a', 2), r('b', 1)] }, 'False Pending', 1, /^1 of 2 ready replicas run generation 2$/],
    ['waits for a replica that has not heard of the policy', { replicas: [r('a', 1), { replica: 'b', state: 'ready', policies: new Map() }] }, 'False Pending', 1, /^1 of 2/],
    ['does not wait for one that is not ready', { generation: 2, inForce: 2, replicas: [r('a', 2), r('b', 1, false)] }, 'True Programmed', 1, /runs/],
    ['counts one whose watch is ahead', { generation: 2, inForce: 2, replicas: [r('a', 2), r('b', 3)] }, 'True Programmed', 2, /runs/],
    ['is Unknown when only silent replicas are missing', { replicas: [r('a', 1), silentView('b')] }, 'Unknown Pending', 1, /1 of 2 .*not answering at the admin address: b/],
    ['is False when others are behind, too', { generation: 2, inForce: 2, replicas: [r('a', 2), r('c', 1), silentView('b')] }, 'False Pending', 1, /1 of 3 .*: b/],
    ['is Unknown while no replica is ready', { replicas: [r('a', 1, false)] }, 'Unknown Pending', 0, /no replica/],
    ['says which generation stays in force, and since when the newer is refused', { generation: 4, inForce: 3, replicas: [r('a', 3)], conditions: [unmet('Accepted', 'Invalid', 'weight')] }, 'False LastGoodInForce', 0, /generation 3 stays .*generation 4.* 2026-11-21T12:00:00Z/],
    ['says that a policy that was never valid refuses its requests', { inForce: null, effectiveProfile: null, conditions: [unmet('Accepted', 'Invalid', 'x')] }, 'False Pending', 1, /503 policy_invalid/],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, facts, wanted, replicas, message) => {
    const status = validPolicyStatus(policyFacts(facts));
    const found = status.conditions?.find(({ type }) => type === 'Programmed');
    expect(`${found?.status} ${found?.reason}`).toBe(wanted);
    expect(found?.message).toMatch(message);
    expect(status.programmedReplicas).toBe(replicas);
  });

  it('names the moment of the refusal however late it is composed again', () => {
    const facts = policyFacts({ generation: 4, inForce: 3, conditions: [unmet('Accepted', 'Invalid', 'weight')] });
    const first = validPolicyStatus(facts);
    const later = validPolicyStatus({ ...facts, now: noon + 3_600_000, previous: first });
    expect(later).toEqual(first);
  });
});

describe('conditions', () => {
  it('come in a fixed order, of this generation, whatever was decided first', () => {
    const conditions = [met('ResolvedRefs', 'r'), met('Accepted', 'a')];
    const status = validPolicyStatus(policyFacts({ generation: 7, inForce: 7, conditions }));
    expect(status.conditions?.map(({ type }) => type)).toEqual(['Accepted', 'ResolvedRefs', 'Programmed']);
    expect(status.conditions?.every(({ observedGeneration }) => observedGeneration === 7)).toBe(true);
  });

  it('keep their time while the status stays, and get another when it changes', () => {
    const first = validPolicyStatus(policyFacts());
    const changed = policyFacts({ previous: first, now: noon + 60_000, generation: 2, conditions: [met('Accepted', 'other words'), unmet('ResolvedRefs', 'BackendGroupNotFound', 'x')] }); // prettier-ignore
    const times = validPolicyStatus(changed).conditions?.map(({ lastTransitionTime }) => lastTransitionTime);
    expect(times).toEqual(['2026-11-21T12:00:00Z', '2026-11-21T12:01:00Z', '2026-11-21T12:01:00Z']);
  });

  it('do not take over the time of a default that no router wrote', () => {
    const previous = { conditions: [{ type: 'ResolvedRefs', status: 'Unknown' as const, reason: 'Pending', message: '', lastTransitionTime: '1970-01-01T00:00:00Z' }] }; // prettier-ignore
    expect(condition({ conditions: [met('Accepted', 'a')], previous }, 'ResolvedRefs')).toMatchObject({
      status: 'Unknown',
      lastTransitionTime: '2026-11-21T12:00:00Z',
    });
  });

  const worst: [string, Partial<PolicyFacts>, string][] = [
    ['a refusal beats an acceptance', { conditions: [met('Accepted', 'a'), unmet('Accepted', 'ModelClaimedElsewhere', 'm')] }, 'False ModelClaimedElsewhere'],
    ['a reason of its own beats the plain one', { conditions: [met('Accepted', 'a'), met('Accepted', 'part', 'ModelClaimedElsewhere')] }, 'True ModelClaimedElsewhere'],
    ['nothing decided is Unknown', { conditions: [] }, 'Unknown Pending'],
  ]; // prettier-ignore
  it.each(worst)('of several: %s', (_name, facts, wanted) => {
    const found = condition(facts, 'Accepted');
    expect(`${found?.status} ${found?.reason}`).toBe(wanted);
  });

  it('hold messages of any length', () => {
    expect(condition({ conditions: [unmet('Accepted', 'Invalid', 'x'.repeat(50_000))] }, 'Accepted')?.message).toMatch(
      /^x{1023}…$/,
    );
  });
});

describe('the summary', () => {
  const one = (fields: Parameters<typeof report>[0]) => ({ replicas: [replica('r0', fields)] });
  const backends = (...weights: number[]) => ({
    backends: weights.map((weight, i) => ({ name: `b${i}`, weight })),
  });
  const cases: [string, Partial<PolicyFacts>, object][] = [
    ['shows no rate where there is no request', {}, { requestsPerSecond: '0', hit: '-', ttftP90: '-' }],
    ['shows rates in few digits', one({ requestsPerMinute: 750, prefixHitPercent: 64, ttftP50Milliseconds: 90, ttftP90Milliseconds: 210 }), { requestsPerSecond: '12.5', hit: '64%', ttftP90: '210ms' }],
    ['shows a trickle', one({ requestsPerMinute: 3 }), { requestsPerSecond: '0.05' }],
    ['shows a flood', one({ requestsPerMinute: 20_460 }), { requestsPerSecond: '341' }],
    ['shows whole rates without a point', one({ requestsPerMinute: 600 }), { requestsPerSecond: '10' }],
    ['shows long waits in seconds', one({ requestsPerMinute: 6, ttftP90Milliseconds: 12_345 }), { ttftP90: '12.3s' }],
    ['shows no time where no request streamed', one({ requestsPerMinute: 60, prefixHitPercent: 0 }), { hit: '0%', ttftP90: '-' }],
    ['shares by weight', backends(95, 5), { backends: 'b0 95%, b1 5%' }],
    ['shares of one', backends(1), { backends: 'b0 100%' }],
    ['shares of a weight of none', backends(1, 0), { backends: 'b0 100%, b1 0%' }],
    ['shares that are little are not none', backends(999_999, 1), { backends: 'b0 >99%, b1 <1%' }],
    ['no backend', backends(), { backends: '-' }],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, facts, wanted) => {
    expect(validPolicyStatus(policyFacts(facts)).summary).toMatchObject(wanted);
  });

  it('counts the backends that do not fit', () => {
    const many = Array.from({ length: 16 }, (_, i) => ({ name: `${'n'.repeat(200)}${i}`, weight: 1 }));
    const text = validPolicyStatus(policyFacts({ backends: many })).summary?.backends ?? '';
    expect(text).toMatch(/^n+0 6%, n+1 6% \+14$/);
  });

  it('cuts a profile that does not fit where one can see it, and leaves out one that is not there', () => {
    expect(validPolicyStatus(policyFacts({ effectiveProfile: 'y'.repeat(2000) })).effectiveProfile).toMatch(/^y{1023}…$/);
    expect(validPolicyStatus(policyFacts({ effectiveProfile: `${'y'.repeat(1022)}😀😀` })).effectiveProfile).toMatch(/^y{1022}…$/);
    expect(validPolicyStatus(policyFacts({ effectiveProfile: null }))).not.toHaveProperty('effectiveProfile');
  }); // prettier-ignore
});

describe('traffic', () => {
  it('is that of all replicas: sums, rates weighted by requests', () => {
    const replicas = [
      replica('a', { requestsPerMinute: 300, errorsPerMinute: 3, prefixHitPercent: 80, ttftP50Milliseconds: 100, ttftP90Milliseconds: 200 }),
      replica('b', { requestsPerMinute: 100, errorsPerMinute: 1, prefixHitPercent: 40, ttftP50Milliseconds: 200, ttftP90Milliseconds: 400 }),
      replica('c'),
    ]; // prettier-ignore
    expect(validPolicyStatus(policyFacts({ replicas })).traffic).toEqual({
      windowSeconds: 60,
      observedReplicas: 3,
      requestsPerMinute: 400,
      errorsPerMinute: 4,
      prefixHitPercent: 70,
      ttftP50Milliseconds: 125,
      ttftP90Milliseconds: 250,
    });
  });

  it('does not let a replica without streams pull percentiles down', () => {
    const replicas = [
      replica('a', { requestsPerMinute: 10, ttftP50Milliseconds: 100, ttftP90Milliseconds: 200 }),
      replica('b', { requestsPerMinute: 1000 }),
    ];
    expect(validPolicyStatus(policyFacts({ replicas })).traffic).toMatchObject({ ttftP90Milliseconds: 200 });
  });

  it('does not count silent replicas as observed', () => {
    const replicas = [replica('a', { requestsPerMinute: 10 }), silentView('b')];
    expect(validPolicyStatus(policyFacts({ replicas })).traffic).toMatchObject({ observedReplicas: 1 });
  });

  it('counts a replica that drains: its requests are traffic, too', () => {
    const replicas = [replica('a', { requestsPerMinute: 10 }), replica('b', { requestsPerMinute: 5 }, false)];
    expect(validPolicyStatus(policyFacts({ replicas })).traffic).toMatchObject({ requestsPerMinute: 15 });
  });
});

describe('scores', () => {
  const busy = (...scores: ReturnType<typeof score>[]) => replica('r', { requestsPerMinute: 60, scores });

  it('are means over replicas weighted by picks, the busiest first, with shares of all picks', () => {
    const replicas = [busy(score('e0', 10, 1), score('e1', 30, 2)), busy(score('e1', 60, 0.5))];
    expect(validPolicyStatus(policyFacts({ replicas })).scores).toEqual({
      updated: '2026-11-21T12:00:00Z',
      endpoints: [
        { name: 'e1', group: 'g', sharePercent: 90, score: '1', breakdown: [{ scorer: 'scorer-auto', value: '1', weight: '1' }] },
        { name: 'e0', group: 'g', sharePercent: 10, score: '1', breakdown: [{ scorer: 'scorer-auto', value: '1', weight: '1' }] },
      ],
    });
  }); // prettier-ignore

  it('are of the 32 busiest, with shares of all', () => {
    const replicas = [busy(...Array.from({ length: 50 }, (_, i) => score(`e${i}`, i + 1)))];
    const endpoints = validPolicyStatus(policyFacts({ replicas })).scores?.endpoints ?? [];
    expect(endpoints).toHaveLength(32);
    expect(endpoints[0]).toMatchObject({ name: 'e49', sharePercent: 4 });
  });

  it('are left out where nothing was picked', () => {
    expect(validPolicyStatus(policyFacts({ replicas: [busy(score('e0', 0))] }))).not.toHaveProperty('scores');
  });

  it('keep the time they were gathered first while they say the same', () => {
    const facts = policyFacts({ replicas: [busy(score('e0', 3, 1.25))] });
    const previous = validPolicyStatus(facts);
    expect(validPolicyStatus({ ...facts, previous, now: noon + 60_000 }).scores).toEqual(previous.scores);
    const other = policyFacts({ replicas: [busy(score('e0', 3, 7))], previous, now: noon + 60_000 });
    expect(validPolicyStatus(other).scores?.updated).toBe('2026-11-21T12:01:00Z');
  });
});

const figure = fc.double({ noNaN: true, min: 0, max: Number.MAX_VALUE });
const anyNumber = fc.double({ noNaN: true, noDefaultInfinity: true });
const name = fc.string({ minLength: 1, maxLength: 253 });
const reports = fc.record({
  policy: fc.constant('default/p'),
  generation: fc.nat(5),
  windowSeconds: figure,
  requestsPerMinute: fc.double({ noNaN: true, min: 0, max: 1e12 }),
  errorsPerMinute: figure,
  prefixHitPercent: figure,
  ttftP50Milliseconds: fc.double({ noNaN: true, min: 0, max: 1e12 }),
  ttftP90Milliseconds: fc.double({ noNaN: true, min: 0, max: 1e12 }),
  inFlight: figure,
  scores: fc.array(
    fc.record({
      name,
      group: name,
      picks: fc.double({ noNaN: true, min: 0, max: 1e12 }),
      score: fc.double({ noNaN: true, min: -1e20, max: 1e20 }),
      breakdown: fc.array(fc.record({ scorer: name, value: fc.double({ noNaN: true, min: -1e20, max: 1e20 }), weight: anyNumber }), { maxLength: 20 }),
    }),
    { maxLength: 40 },
  ),
}); // prettier-ignore
const views = fc.array(
  fc.oneof(
    fc.tuple(name, reports, fc.boolean()).map(([replicaName, one, ready]): ReplicaView => ({
      replica: replicaName,
      state: ready ? 'ready' : 'notReady',
      policies: new Map([[one.policy, one]]),
    })),
    name.map(silentView),
  ),
  { maxLength: 5 },
);

it('is one that the API server takes, whatever replicas tell, and time alone does not change it', () => {
  const facts = fc.record({
    generation: fc.integer({ min: 1, max: 5 }),
    inForce: fc.option(fc.nat(5)),
    backends: fc.array(fc.record({ name, weight: fc.nat(1_000_000) }), { maxLength: 16 }),
    effectiveProfile: fc.option(fc.string({ maxLength: 3000 })),
    replicas: views,
    message: fc.string({ maxLength: 3000 }),
  });
  fc.assert(
    fc.property(facts, ({ message, ...fields }) => {
      const all = policyFacts({ ...fields, conditions: [unmet('Accepted', 'Invalid', message)] });
      const first = validPolicyStatus(all);
      expect(validPolicyStatus({ ...all, previous: first, now: noon + 86_400_000 })).toEqual(first);
    }),
    { numRuns: 200 },
  );
});
