import { describe, expect, it } from 'vitest';
import { backend, group, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import type { HeaderMatch, RoutingPolicy } from './policy.ts';
import { RoutingTable, TableStore } from './table.ts';

interface Case {
  sentence: string;
  policies: RoutingPolicy[];
  model?: string;
  headers?: Record<string, string>;
  /** Key of the policy that takes the request. */
  taken: string | null;
}

const none = { headers: [] };
const valid = profile({ picker: { type: 'picker-min-random' } }, readyStates(1));
const header = (name: string, value: string): HeaderMatch => ({ name, value });

/** A policy for these models; without any, for those that its group declares (or has learned). */
function named(name: string, models: string[], over: Partial<RoutingPolicy> = {}): RoutingPolicy {
  return policy({ name, match: { ...none, models }, backends: [backend()], ...over });
}

function serving(name: string, models: string[], declared: boolean, over: Partial<RoutingPolicy> = {}): RoutingPolicy {
  const served = group({ name: `${name}-group`, models, modelsDeclared: declared });
  return policy({ name, backends: [backend({ group: served })], ...over });
}

function matched({ policies, model = 'Qwen/Qwen3-8B', headers = {} }: Case): string | null {
  const lookup = new Map(Object.entries(headers));
  // Whatever order the policies come in, the same one wins.
  const found = [policies, [...policies].reverse()].map(
    (list) => new RoutingTable(1, list, new Map()).match(model, lookup)?.key ?? null,
  );
  expect(found[0]).toBe(found[1]);
  return found[0];
}

const cases: Case[] = [
  { sentence: 'no policy, no match', policies: [], taken: null },
  { sentence: 'a policy for another model does not match', policies: [named('a', ['other'])], taken: null },
  { sentence: 'an exact name matches', policies: [named('a', ['Qwen/Qwen3-8B'])], taken: 'ns/a' },
  { sentence: 'a name is not a prefix unless it ends in a star', policies: [named('a', ['Qwen/Qwen3'])], taken: null },
  { sentence: 'a star matches whatever follows', policies: [named('a', ['Qwen/*'])], taken: 'ns/a' },
  { sentence: 'a star matches nothing more, too', policies: [named('a', ['Qwen/Qwen3-8B*'])], taken: 'ns/a' },
  { sentence: 'a bare star matches all', policies: [named('a', ['*'])], taken: 'ns/a' },
  {
    sentence: 'exact beats prefix',
    policies: [named('a', ['Qwen/Qwen3-8*']), named('b', ['Qwen/Qwen3-8B'])],
    taken: 'ns/b',
  },
  {
    sentence: 'exact beats a longer prefix that happens to match',
    policies: [named('b', ['m']), named('a', ['m*'])],
    model: 'm',
    taken: 'ns/b',
  },
  {
    sentence: 'the longest prefix beats shorter ones',
    policies: [named('a', ['*']), named('b', ['Qwen/*']), named('c', ['Qwen/Qwen3*'])],
    taken: 'ns/c',
  },
  {
    sentence: 'the longest prefix of one policy counts',
    policies: [named('a', ['Qwen/Qwen3-*', 'Qwen/*']), named('b', ['Qwen/Q*'])],
    taken: 'ns/a',
  },
  {
    sentence: 'no models means those that the backends serve',
    policies: [serving('a', ['Qwen/Qwen3-8B'], true)],
    taken: 'ns/a',
  },
  { sentence: 'no models does not mean all models', policies: [serving('a', ['other'], true)], taken: null },
  { sentence: 'no models and nothing known yet matches nothing', policies: [serving('a', [], false)], taken: null },
  {
    sentence: 'a star beats no models',
    policies: [serving('a', ['Qwen/Qwen3-8B'], true), named('b', ['*'])],
    taken: 'ns/b',
  },
  {
    sentence: 'a policy with headers beats one without when they match',
    policies: [
      named('a', ['Qwen/*']),
      policy({ name: 'b', match: { models: ['Qwen/*'], headers: [header('x-tier', 'gold')] } }),
    ],
    headers: { 'x-tier': 'gold' },
    taken: 'ns/b',
  },
  {
    sentence: 'a policy whose headers do not match is passed over',
    policies: [
      named('a', ['Qwen/*']),
      policy({ name: 'b', match: { models: ['Qwen/*'], headers: [header('x-tier', 'gold')] } }),
    ],
    headers: { 'x-tier': 'silver' },
    taken: 'ns/a',
  },
  {
    sentence: 'all headers of a policy must match',
    policies: [
      policy({ name: 'b', match: { models: ['*'], headers: [header('x-tier', 'gold'), header('x-team', 'a')] } }),
    ],
    headers: { 'x-tier': 'gold' },
    taken: null,
  },
  {
    sentence: 'more header matches win',
    policies: [
      policy({ name: 'a', match: { models: ['*'], headers: [header('x-tier', 'gold')] } }),
      policy({ name: 'b', match: { models: ['*'], headers: [header('x-tier', 'gold'), header('x-team', 'a')] } }),
    ],
    headers: { 'x-tier': 'gold', 'x-team': 'a' },
    taken: 'ns/b',
  },
  {
    sentence: 'a better model match beats more headers',
    policies: [
      named('a', ['Qwen/Qwen3-8B']),
      policy({ name: 'b', match: { models: ['Qwen/*'], headers: [header('x-tier', 'gold')] } }),
    ],
    headers: { 'x-tier': 'gold' },
    taken: 'ns/a',
  },
  {
    sentence: 'among equals the older wins',
    policies: [named('a', ['*'], { created: 20 }), named('b', ['*'], { created: 10 })],
    taken: 'ns/b',
  },
  {
    sentence: 'a name that is added to an old policy takes nothing from another namespace that had it before',
    policies: [
      named('a', ['x', 'm'], { namespace: 'ns', created: 10, claimedSince: new Map([['m', 30]]) }),
      named('b', ['m'], { key: 'other/b', namespace: 'other', created: 20 }),
    ],
    model: 'm',
    taken: 'other/b',
  },
  {
    sentence: 'of two patterns of a policy that cover a name the older claims it',
    policies: [
      named('a', ['m', 'm*'], { namespace: 'ns', created: 10, claimedSince: new Map([['m', 30]]) }),
      named('b', ['m'], { key: 'other/b', namespace: 'other', created: 20 }),
    ],
    model: 'm',
    taken: 'ns/a',
  },
  {
    sentence: 'no models means also those of backends that cannot be used: their requests are not unknown',
    policies: [serving('a', [], true, { barred: [group({ models: ['Qwen/Qwen3-8B'], modelsDeclared: true })] })],
    taken: 'ns/a',
  },
  {
    sentence: 'among equals of one age the name decides',
    policies: [named('b', ['*']), named('a', ['*'])],
    taken: 'ns/a',
  },
  {
    sentence: 'the namespace with the oldest claim owns the model, even against an exact name',
    policies: [
      named('young', ['Qwen/Qwen3-8B'], { namespace: 'a', created: 20 }),
      named('old', ['Qwen/*'], { namespace: 'b', created: 10 }),
    ],
    taken: 'b/old',
  },
  {
    sentence: 'within the owning namespace the best match wins, whatever its age',
    policies: [
      named('claim', ['*'], { namespace: 'b', created: 10 }),
      named('exact', ['Qwen/Qwen3-8B'], { namespace: 'b', created: 30 }),
      named('other', ['Qwen/Qwen3-8B'], { namespace: 'a', created: 20 }),
    ],
    taken: 'b/exact',
  },
  {
    sentence: 'where no header of the owning namespace matches, nobody else gets the request',
    policies: [
      policy({ name: 'owner', namespace: 'b', created: 10, match: { models: ['*'], headers: [header('x', '1')] } }),
      named('other', ['*'], { namespace: 'a', created: 20 }),
    ],
    taken: null,
  },
  {
    sentence: 'a learned name never beats a declared one, however old its claim',
    policies: [
      serving('learned', ['Qwen/Qwen3-8B'], false, { namespace: 'a', created: 10 }),
      serving('declared', ['Qwen/Qwen3-8B'], true, { namespace: 'b', created: 20 }),
    ],
    taken: 'b/declared',
  },
  {
    sentence: 'a learned name never beats one that a policy spells out',
    policies: [
      serving('learned', ['Qwen/Qwen3-8B'], false, { namespace: 'a', created: 10 }),
      named('spelt', ['Qwen/Qwen3-8B'], { namespace: 'b', created: 20 }),
    ],
    taken: 'b/spelt',
  },
  {
    sentence: 'a name that one backend has learned is not declared because another backend declares a different one',
    policies: [
      policy({
        name: 'mixed',
        namespace: 'a',
        created: 10,
        backends: [
          backend({ group: group({ models: ['Qwen/Qwen3-8B'], modelsDeclared: false }) }),
          backend({ group: group({ models: ['other'], modelsDeclared: true }) }),
        ],
      }),
      serving('declared', ['Qwen/Qwen3-8B'], true, { namespace: 'b', created: 20 }),
    ],
    taken: 'b/declared',
  },
  {
    sentence: 'a policy that was never valid owns no model of another namespace, however old it is',
    policies: [
      named('broken', ['Qwen/*'], { namespace: 'a', created: 10 }),
      named('good', ['Qwen/Qwen3-8B'], { namespace: 'b', created: 20, profile: valid }),
    ],
    taken: 'b/good',
  },
  {
    sentence: 'nor what another namespace has only learned',
    policies: [
      named('broken', ['Qwen/Qwen3-8B'], { namespace: 'a', created: 10 }),
      serving('good', ['Qwen/Qwen3-8B'], false, { namespace: 'b', created: 20, profile: valid }),
    ],
    taken: 'b/good',
  },
  {
    sentence: 'within its namespace it keeps its match, so that no wider policy takes its requests',
    policies: [
      named('broken', ['Qwen/Qwen3-8B'], { created: 10 }),
      named('wide', ['Qwen/*'], { created: 20, profile: valid }),
    ],
    taken: 'ns/broken',
  },
  {
    sentence: 'among learned names alone the oldest claim owns it',
    policies: [
      serving('x', ['Qwen/Qwen3-8B'], false, { namespace: 'a', created: 20 }),
      serving('y', ['Qwen/Qwen3-8B'], false, { namespace: 'b', created: 10 }),
    ],
    taken: 'b/y',
  },
];

describe('RoutingTable.match', () => {
  it.each(cases)('$sentence', (each) => {
    expect(matched(each)).toBe(each.taken);
  });

  it('says the same when it is asked again, and after very many other names', () => {
    const table = new RoutingTable(1, [named('a', ['known*'])], new Map());
    for (let round = 0; round < 2; round++) {
      expect(table.match('known-1', new Map())?.name).toBe('a');
      expect(table.match('unknown', new Map())).toBeNull();
      for (let i = 0; i < 5000; i++) table.match(`made-up-${i}`, new Map());
    }
  });
});

describe('RoutingTable.models', () => {
  const accepted = (given: RoutingPolicy): RoutingPolicy => ({ ...given, profile: valid });
  const models = (...policies: RoutingPolicy[]): readonly string[] =>
    new RoutingTable(1, policies.map(accepted), new Map()).models;

  it('lists exact names, and what the backends serve under a prefix or without names, sorted and once', () => {
    const served = { group: group({ models: ['Qwen/b', 'Qwen/a', 'llama'] }), weight: 1, rewriteModel: null };
    expect(models(policy({ match: { ...none, models: ['zebra', 'Qwen/*'] }, backends: [served] }))).toEqual([
      'Qwen/a',
      'Qwen/b',
      'zebra',
    ]);
    expect(models(policy({ backends: [served, served] }))).toEqual(['Qwen/a', 'Qwen/b', 'llama']);
  });

  it('leaves out what only a policy without a valid version would take', () => {
    const policies = [named('a', ['never-valid']), accepted(named('b', ['good']))];
    expect(new RoutingTable(1, policies, new Map()).models).toEqual(['good']);
  });

  it('lists nothing for a prefix that no backend serves', () => {
    expect(models(named('a', ['Qwen/*']))).toEqual([]);
  });

  it('is frozen, as the table is', () => {
    const table = new RoutingTable(7, [], new Map());
    for (const value of [table, table.models, table.policies]) expect(Object.isFrozen(value)).toBe(true);
    expect(table.generation).toBe(7);
  });
});

describe('TableStore', () => {
  it('starts with an empty table and is swapped whole', () => {
    const store = new TableStore();
    expect(store.current.generation).toBe(0);
    expect(store.current.match('any', new Map())).toBeNull();
    const next = new RoutingTable(1, [named('a', ['*'])], new Map());
    store.current = next;
    expect(store.current).toBe(next);
    expect(new TableStore(next).current).toBe(next);
  });
});
