import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { profile, readyStates } from '../../test/fixtures/fleet.ts';
import type { BackendGroup } from '../router/policy.ts';
import { noPrefixSource } from '../router/prefix.ts';
import { RoutingTable } from '../router/table.ts';
import { whoseModels, type ModelClaims } from './whose-model.ts';

const valid = profile({ picker: { type: 'picker-min-random' } }, readyStates(1));

function claims(at: string, created: number, fields: Partial<ModelClaims>): ModelClaims {
  const [namespace, name] = at.split('/');
  return { namespace, name, created, patterns: [], declared: [], learned: [], ...fields };
}

/** `a/p: lost, lost → status reason` of everybody who loses anything. */
function outcome(policies: readonly ModelClaims[]): string[] {
  return whoseModels(policies)
    .filter(({ lost }) => lost.length > 0)
    .map(({ key, lost, condition }) => `${key}: ${lost.join(', ')} → ${condition.status} ${condition.reason}`);
}

const exact = (at: string, created: number, ...patterns: string[]) => claims(at, created, { patterns });
const declares = (at: string, created: number, ...declared: string[]) => claims(at, created, { declared });
const learns = (at: string, created: number, ...learned: string[]) => claims(at, created, { learned });
const all = 'False ModelClaimedElsewhere';
const part = 'True ModelClaimedElsewhere';

/** A policy that has added these names later. */
const added = (policy: ModelClaims, ...since: [string, number][]): ModelClaims => ({
  ...policy,
  since: new Map(since),
});

describe('whose model', () => {
  const cases: [string, ModelClaims[], string[]][] = [
    ['an old policy that adds a name takes it from nobody who had it before', [added(exact('a/p', 1, 'x', 'm'), ['m', 3]), exact('b/p', 2, 'm')], [`a/p: m → ${part}`]],
    ['an old policy that adds a glob takes nothing from those who were there before', [added(exact('a/p', 1, 'x', '*'), ['*', 3]), exact('b/p', 2, 'm')], [`a/p: m → ${part}`]],
    ['… and keeps the names that it had', [added(exact('a/p', 1, 'x', '*'), ['*', 3]), exact('b/p', 2, 'x')], [`b/p: x → ${all}`]],
    ['an old group that declares a further model takes it from nobody', [added(declares('a/p', 1, 'x', 'm'), ['m', 3]), exact('b/p', 2, 'm')], [`a/p: m → ${part}`]],
    ['the older claim of two namespaces wins', [exact('a/p', 2, 'm'), exact('b/p', 1, 'm')], [`a/p: m → ${all}`]],
    ['of two of one age the first by name wins', [exact('b/p', 1, 'm'), exact('a/p', 1, 'm')], [`b/p: m → ${all}`]],
    ['within a namespace nothing is contested', [exact('a/p', 1, 'm'), exact('a/q', 2, 'm')], []],
    ['a namespace owns by its oldest policy, for all of its policies', [exact('a/old', 1, 'm'), exact('b/p', 2, 'm'), exact('a/new', 3, 'm')], [`b/p: m → ${all}`]],
    ['other models are not touched', [exact('a/p', 1, 'm'), exact('b/p', 2, 'm', 'n')], [`b/p: m → ${part}`]],
    ['a declared name is a claim where nothing is matched', [declares('a/p', 2, 'm'), exact('b/p', 1, 'm')], [`a/p: m → ${all}`]],
    ['a learned name never beats a written one', [learns('a/p', 1, 'm'), exact('b/p', 2, 'm')], [`a/p: m → ${all}`]],
    ['a learned name never beats a declared one', [learns('a/p', 1, 'm'), declares('b/p', 2, 'm')], [`a/p: m → ${all}`]],
    ['a learned name never beats a glob', [learns('a/p', 1, 'm1'), exact('b/p', 2, 'm*')], [`a/p: m1 → ${all}`]],
    ['of two learned names the older wins', [learns('a/p', 2, 'm'), learns('b/p', 1, 'm')], [`a/p: m → ${all}`]],
    ['what the backends of a policy serve is no claim where it matches by name', [claims('a/p', 1, { patterns: ['x'], declared: ['m'] }), exact('b/p', 2, 'm')], []],
    ['a policy that serves nothing yet loses nothing', [learns('a/p', 2), exact('b/p', 1, 'm')], []],
    ['an older glob takes a younger exact name', [exact('a/p', 2, 'q/a'), exact('b/p', 1, 'q/*')], [`a/p: q/a → ${all}`]],
    ['an older exact name is cut out of a younger glob', [exact('a/p', 1, 'q/a'), exact('b/p', 2, 'q/*')], [`b/p: q/a → ${part}`]],
    ['an older glob takes a younger longer one', [exact('a/p', 2, 'q/a*'), exact('b/p', 1, 'q/*')], [`a/p: q/a* → ${all}`]],
    ['an older longer glob is cut out of a younger one', [exact('a/p', 1, 'q/a*'), exact('b/p', 2, 'q/*')], [`b/p: q/a* → ${part}`]],
    ['of two equal globs the younger has nothing left', [exact('a/p', 1, 'q*'), exact('b/p', 2, 'q*')], [`b/p: q* → ${all}`]],
    ['… but for a name that its namespace claimed before', [exact('a/p', 2, 'q*'), exact('b/p', 3, 'q*'), exact('b/old', 1, 'qa')], [`a/p: qa → ${part}`, `b/p: q* → ${part}`]],
    ['the star alone covers every name', [exact('a/p', 1, '*'), exact('b/p', 2, 'm', 'q*')], [`b/p: m, q* → ${all}`]],
    ['names served under a glob are named', [claims('a/p', 2, { patterns: ['q*'], learned: ['qa', 'qb', 'r'] }), exact('b/p', 1, 'qb')], [`a/p: qb → ${part}`]],
    ['a learned name that ends in a star is spoken of by nobody', [exact('a/p', 1, '*'), claims('b/p', 2, { patterns: ['*'], learned: ['m*'] })], [`b/p: * → ${all}`]],
    ['a learned name that ends in a star claims nothing', [learns('a/p', 1, 'm*'), exact('b/p', 2, 'm1')], []],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, policies, wanted) => {
    expect(outcome(policies)).toEqual(wanted);
    expect(outcome([...policies].reverse()).sort()).toEqual([...wanted].sort());
  });

  it('says who owns what, in few words', () => {
    const many = Array.from({ length: 9 }, (_, i) => `m${i}`);
    const [, loser] = whoseModels([exact('a/p', 1, ...many), exact('b/p', 2, ...many)]);
    expect(loser.condition.message).toContain('another namespace (a) owns m0, m1, m2 and 6 more');
  });
});

const names = ['m', 'ma', 'mb', 'n', 'na'];
const model = fc.constantFrom(...names);
const pattern = fc.constantFrom(...names, '*', 'm*', 'ma*', 'n*');
const policies = fc.uniqueArray(
  fc.record({
    namespace: fc.constantFrom('a', 'b', 'c'),
    name: fc.constantFrom('p', 'q', 'r'),
    created: fc.nat(4),
    since: fc.uniqueArray(fc.tuple(pattern, fc.integer({ min: 4, max: 7 }))).map((dates) => new Map(dates)),
    patterns: fc.oneof(fc.constant([]), fc.uniqueArray(pattern, { maxLength: 3 })),
    declared: fc.uniqueArray(model, { maxLength: 2 }),
    learned: fc.uniqueArray(model, { maxLength: 2 }),
  }),
  { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 7 },
);

describe('whose model, whatever the policies', () => {
  it('does not depend on the order in which they come', () => {
    fc.assert(
      fc.property(
        policies.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const sorted = (of: readonly ModelClaims[]) => whoseModels(of).sort((a, b) => (a.key < b.key ? -1 : 1));
          expect(sorted(shuffled)).toEqual(sorted(list));
        },
      ),
    );
  });

  it('gives every model that is claimed to exactly one namespace, which is where its requests go', () => {
    fc.assert(
      fc.property(policies, (list) => {
        const verdicts = new Map(whoseModels(list).map((verdict) => [verdict.key, verdict]));
        const table = tableOf(list);
        for (const name of names) {
          const taking = list.filter((policy) => covers(policy, name));
          const keeping = taking.filter((policy) => !loses(verdicts.get(`${policy.namespace}/${policy.name}`)?.lost ?? [], name, list)); // prettier-ignore
          const owners = new Set(keeping.map(({ namespace }) => namespace));
          expect(owners.size).toBe(taking.length === 0 ? 0 : 1);
          expect(table.match(name, { get: () => undefined })?.namespace).toBe([...owners][0]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const fits = (place: string, name: string) =>
  place.endsWith('*') ? name.startsWith(place.slice(0, -1)) : place === name;

function covers({ patterns, declared, learned }: ModelClaims, name: string): boolean {
  return (patterns.length > 0 ? patterns : [...declared, ...learned]).some((place) => fits(place, name));
}

/** The closest place that anybody speaks of decides about a name. */
function loses(lost: readonly string[], name: string, list: readonly ModelClaims[]): boolean {
  const spoken = list.flatMap(({ patterns, declared, learned }) => [...patterns, ...declared, ...learned]);
  const closest = spoken
    .filter((place) => fits(place, name))
    .sort((a, b) => Number(a.endsWith('*')) - Number(b.endsWith('*')) || b.length - a.length)[0];
  return lost.includes(closest);
}

function tableOf(list: readonly ModelClaims[]): RoutingTable {
  const group = (key: string, models: readonly string[], modelsDeclared: boolean): BackendGroup => ({
    key,
    namespace: '',
    name: key,
    models,
    modelsDeclared,
    endpoints: [],
    prefixSource: noPrefixSource,
    connection: { scheme: 'http', forwardAuthorization: false },
  });
  const noLimits = { connect: 0, firstByte: 0, streamIdle: 0, nonStreaming: 0, request: 0 };
  return new RoutingTable(
    1,
    list.map(({ namespace, name, created, since = new Map<string, number>(), patterns, declared, learned }) => ({
      key: `${namespace}/${name}`,
      namespace,
      name,
      created,
      claimedSince: since,
      match: { models: patterns, headers: [] },
      backends: [group('declared', declared, true), group('learned', learned, false)].map((one) => ({
        group: one,
        weight: 1,
        rewriteModel: null,
      })),
      profile: valid,
      timeouts: noLimits,
      retries: { attempts: 0, on: [], budget: { percent: 0, minPerSecond: 0 } },
      debugHeaders: false,
    })),
    new Map(),
  );
}
