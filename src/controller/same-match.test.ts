import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backend, group, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import type { RoutingPolicy } from '../router/policy.ts';
import { RoutingTable } from '../router/table.ts';
import { sameMatches } from './same-match.ts';

const valid = profile({ scorers: [] }, readyStates(1), () => 0);

interface Fields {
  readonly namespace?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly serves?: readonly string[];
  readonly valid?: boolean;
}

/** A policy of this age; `models` as in `match.models`. */
function made(name: string, created: number, models: readonly string[], fields: Fields = {}): RoutingPolicy {
  const headers = Object.entries(fields.headers ?? {}).map(([header, value]) => ({ name: header, value }));
  const served = group({ name: `${name}-group`, models: fields.serves ?? [] });
  return policy({
    name,
    created,
    namespace: fields.namespace ?? 'ns',
    match: { models, headers },
    backends: [backend({ group: served })],
    profile: fields.valid === false ? null : valid,
  });
}

const outcome = (policies: readonly RoutingPolicy[]): string[] =>
  sameMatches(policies).map(({ key, condition: { status, reason } }) => `${key} ${status} ${reason}`);

describe('policies that match the same', () => {
  const all = 'ns/young False Conflicted';
  const part = 'ns/young True Conflicted';
  const cases: [string, RoutingPolicy[], string[]][] = [
    ['the younger gets nothing', [made('young', 2, ['m']), made('old', 1, ['m'])], [all]],
    ['of one age the first by name wins', [made('young', 1, ['m']), made('first', 1, ['m'])], [all]],
    ['the order of models does not matter', [made('young', 2, ['a', 'b']), made('old', 1, ['b', 'a'])], [all]],
    ['part of the models is part of a conflict', [made('young', 2, ['a', 'b']), made('old', 1, ['a'])], [part]],
    ['two older ones may leave nothing together', [made('young', 3, ['a', 'b']), made('x', 1, ['a']), made('y', 2, ['b'])], [all]],
    ['the same prefix is the same', [made('young', 2, ['q*']), made('old', 1, ['q*'])], [all]],
    ['a closer match is another', [made('young', 2, ['qa']), made('old', 1, ['q*'])], []],
    ['a wider match is another', [made('young', 2, ['q*']), made('old', 1, ['qa'])], []],
    ['a header makes another match', [made('young', 2, ['m'], { headers: { tier: 'gold' } }), made('old', 1, ['m'])], []],
    ['another value of a header does, too', [made('young', 2, ['m'], { headers: { tier: 'gold' } }), made('old', 1, ['m'], { headers: { tier: 'tin' } })], []],
    ['the order of headers does not matter', [made('young', 2, ['m'], { headers: { a: '1', b: '2' } }), made('old', 1, ['m'], { headers: { b: '2', a: '1' } })], [all]],
    ['without models the served ones count', [made('young', 2, [], { serves: ['m'] }), made('old', 1, [], { serves: ['m', 'n'] })], [all]],
    ['… those that only one serves are left', [made('young', 2, [], { serves: ['m', 'o'] }), made('old', 1, [], { serves: ['m', 'n'] })], [part]],
    ['a name that is written down is closer than one that is served', [made('young', 2, ['m']), made('old', 1, [], { serves: ['m'] })], []],
    ['a policy that serves nothing yet is in nobody’s way', [made('young', 2, []), made('old', 1, [])], []],
    ['another namespace is a matter of its own', [made('young', 2, ['m']), made('old', 1, ['m'], { namespace: 'other' })], []],
    ['a policy that was never valid keeps its match', [made('young', 2, ['m']), made('old', 1, ['m'], { valid: false })], [all]],
    ['… and is told what is wrong, not whose the match is', [made('young', 2, ['m'], { valid: false }), made('old', 1, ['m'])], []],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, policies, wanted) => {
    expect(outcome(policies)).toEqual(wanted);
    expect(outcome([...policies].reverse())).toEqual(wanted);
  });

  it('says who wins and what can be done, in few words', () => {
    const many = Array.from({ length: 9 }, (_, i) => `m${i}`);
    const [{ condition }] = sameMatches([made('old', 1, many), made('young', 2, many)]);
    expect(condition.message).toBe(
      'an older policy of this namespace (old) matches the same requests for m0, m1, m2 and 6 more, so nothing is left to this policy; delete one of them, or match other models or headers',
    );
  });
});

describe('policies that match the same, whatever they are', () => {
  const name = fc.constantFrom('m', 'ma', 'n');
  const policies = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('p', 'q', 'r', 's'),
      created: fc.nat(3),
      models: fc.uniqueArray(fc.constantFrom('m', 'ma', 'n', 'm*', '*'), { maxLength: 2 }),
      headers: fc.constantFrom({}, { tier: 'gold' }, { tier: 'tin' }),
      serves: fc.uniqueArray(name, { maxLength: 2 }),
    }),
    { selector: (one) => one.name, maxLength: 4 },
  );

  it('who is left nothing gets no request', () => {
    fc.assert(
      fc.property(policies, name, fc.constantFrom(undefined, 'gold', 'tin'), (list, model, tier) => {
        const all = list.map((one) => made(one.name, one.created, one.models, one));
        const taken = new RoutingTable(1, all, new Map()).match(model, { get: () => tier })?.key;
        const losers = sameMatches(all).filter(({ condition }) => condition.status === 'False');
        expect(losers.map(({ key }) => key)).not.toContain(taken);
      }),
      { numRuns: 500 },
    );
  });
});
