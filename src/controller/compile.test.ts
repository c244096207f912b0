import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf, endpoint, readyStates } from '../../test/fixtures/fleet.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import { decodeResource } from '../api/decode.ts';
import type { RoutingPolicy } from '../api/routing-policy.ts';
import { registry } from '../policies/index.ts';
import { noPrefixSource } from '../router/prefix.ts';
import {
  compile,
  Compiler,
  keyOf,
  type AcceptedPolicy,
  type BrokenPolicy,
  type Compiled,
  type CompileInput,
  type GroupSurroundings,
} from './compile.ts';
import { met, unmet } from './conditions.ts';
import { poolGroupOf } from './pools/pool-ref.ts';

const context = contextOf(readyStates(4));

function decoded(kind: string, name: string, spec: object, namespace?: string): BackendGroup | RoutingPolicy {
  const metadata = namespace === undefined ? { name } : { name, namespace };
  const result = decodeResource({ apiVersion: 'hermes-router.io/v1alpha1', kind, metadata, spec });
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.resource;
}

const discovery = { type: 'Static', static: { endpoints: [{ name: 'e0', address: '10.0.0.1:8000' }] } };

function group(name: string, spec: object = {}, namespace?: string): BackendGroup {
  const resource = decoded('BackendGroup', name, { discovery, ...spec }, namespace);
  if (resource.kind !== 'BackendGroup') throw new Error('no group');
  return resource;
}

function policy(name: string, spec: object = {}, namespace?: string): RoutingPolicy {
  const resource = decoded('RoutingPolicy', name, { backendRefs: [{ name: 'g' }], ...spec }, namespace);
  if (resource.kind !== 'RoutingPolicy') throw new Error('no policy');
  return resource;
}

const surroundings: GroupSurroundings = {
  endpoints: [endpoint(0), endpoint(1)],
  learnedModels: ['learned'],
  connection: { scheme: 'http', forwardAuthorization: false },
  prefixSource: noPrefixSource,
  discovered: met('Discovered', '2 endpoints'),
};

interface Given {
  readonly groups?: readonly BackendGroup[];
  readonly policies?: readonly RoutingPolicy[];
  readonly broken?: readonly BrokenPolicy[];
  readonly around?: Partial<GroupSurroundings>;
}

const input = ({ groups = [group('g')], policies = [], broken = [], around = {} }: Given): CompileInput => ({
  generation: 7,
  groups,
  policies: policies.map((resource) => ({ resource, created: 0 })),
  broken,
  surroundings: () => ({ ...surroundings, ...around }),
});

const compiled = (given: Given): Compiled => compile(input(given), registry, context);

function conditionsOf({ verdicts }: Compiled, key: string): Record<string, string> {
  const verdict = verdicts.find((one) => one.key === key);
  return Object.fromEntries(verdict?.conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]) ?? []);
}

describe('compile, of groups', () => {
  const cases: [string, Given, object][] = [
    ['takes declared models', { groups: [group('g', { models: ['a', 'b'] })] }, { models: ['a', 'b'], modelsDeclared: true }],
    ['takes learned models where none is declared', {}, { models: ['learned'], modelsDeclared: false }],
    ['knows no model where none was learned', { around: { learnedModels: [] } }, { models: [], modelsDeclared: false }],
    ['takes endpoints, connection and prefix source as they were found', {}, surroundingsInForce()],
    ['names namespace and key', { groups: [group('g', {}, 'ns')] }, { key: 'ns/g', namespace: 'ns', name: 'g' }],
    ['means the namespace default where none is named', {}, { key: 'default/g', namespace: 'default' }],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, given, wanted) => {
    expect([...compiled(given).table.groups.values()]).toMatchObject([wanted]);
  });

  it('hands over a KV manager, and nothing where there is none', () => {
    const managerLookup = () => Promise.resolve(null);
    expect(compiled({ around: { managerLookup } }).table.groups.get('default/g')?.managerLookup).toBe(managerLookup);
    expect(compiled({}).table.groups.get('default/g')).not.toHaveProperty('managerLookup');
  });

  it('says Discovered as discovery said it', () => {
    const around = { discovered: unmet('Discovered', 'NoMatch', 'no Pod matches') };
    expect(conditionsOf(compiled({ around }), 'default/g')).toEqual({
      Accepted: 'True Accepted',
      Discovered: 'False NoMatch',
    });
  });
});

describe('Compiler', () => {
  const names = ['a', 'b', 'c'];
  const spec = fc.record({ group: fc.constantFrom(...names), generation: fc.nat(2), gone: fc.boolean() });

  it('makes of any sequence of changes what compiling from nothing makes', () => {
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 12 }), (steps) => {
        const compiler = new Compiler(registry, context);
        const groups = new Map<string, BackendGroup>();
        const policies = new Map<string, AcceptedPolicy>();
        for (const { group: name, generation, gone } of steps) {
          if (gone) groups.delete(name);
          else groups.set(name, group(name, { models: [`m${generation}`] }));
          const resource = policy(name, { backendRefs: [{ name }], timeouts: { connect: `${generation + 1}s` } });
          policies.set(name, { resource, created: 0 });
          const now = input({ groups: [...groups.values()] });
          const given = { ...now, policies: [...policies.values()] };
          const fresh = compile(given, registry, context);
          const made = compiler.compile(given);
          expect(told(made)).toEqual(told(fresh));
        }
      }),
    );
  });

  it('keeps what has not changed, profile and picker included, and makes anew what has', () => {
    const compiler = new Compiler(registry, context);
    const [g, h] = [group('g'), group('h')];
    const p = { resource: policy('p'), created: 0 };
    const q = { resource: policy('q', { backendRefs: [{ name: 'h' }] }), created: 0 };
    const first = compiler.compile({ ...input({ groups: [g, h] }), policies: [p, q] });
    const second = compiler.compile({ ...input({ groups: [g, group('h')] }), policies: [p, q] });
    expect(second.table.policies[0]).toBe(first.table.policies[0]);
    expect(second.table.groups.get('default/g')).toBe(first.table.groups.get('default/g'));
    expect(second.table.groups.get('default/h')).not.toBe(first.table.groups.get('default/h'));
    expect(second.table.policies[1]).not.toBe(first.table.policies[1]);
    expect(second.table.policies[1].profile).toBe(first.table.policies[1].profile);
  });

  it.each<[string, Partial<GroupSurroundings>]>([
    ['endpoints', { endpoints: [] }],
    ['learned models', { learnedModels: ['other'] }],
    ['a connection', { connection: { scheme: 'https', forwardAuthorization: false } }],
    ['a KV manager', { managerLookup: () => Promise.resolve(null) }],
  ])('makes a group anew for new %s', (_name, around) => {
    const compiler = new Compiler(registry, context);
    const g = group('g');
    const before = compiler.compile(input({ groups: [g] }));
    const after = compiler.compile(input({ groups: [g], around }));
    expect(after.table.groups.get('default/g')).not.toBe(before.table.groups.get('default/g'));
  });
});

/** A table without the functions in it. */
function told({ table, verdicts }: ReturnType<typeof compile>): object {
  return {
    models: table.models,
    groups: [...table.groups],
    policies: table.policies.map(({ profile, ...rest }) => ({ ...rest, profile: profile?.parts.description })),
    verdicts,
  };
}

function surroundingsInForce(): object {
  const { endpoints, connection, prefixSource } = surroundings;
  return { endpoints, connection, prefixSource };
}

describe('compile, of policies', () => {
  const one = (spec: object, given: Given = {}) =>
    compiled({ policies: [policy('p', spec)], ...given }).table.policies[0];

  const cases: [string, object, object][] = [
    ['reads time-outs as milliseconds', { timeouts: { connect: '250ms', firstByte: '1m30s', streamIdle: '0s', nonStreaming: '1h', request: '2s' } }, { timeouts: { connect: 250, firstByte: 90_000, streamIdle: 0, nonStreaming: 3_600_000, request: 2000 } }],
    ['has the time-outs and retries of the reference', {}, { timeouts: { connect: 1000, firstByte: 60_000, streamIdle: 60_000, nonStreaming: 600_000, request: 0 }, retries: { attempts: 2, on: ['ConnectFailure', 'Reset'], budget: { percent: 20, minPerSecond: 10 } } }],
    ['takes retries as written', { retries: { attempts: 5, on: ['Timeout'], budget: { percent: 0, minPerSecond: 1 } } }, { retries: { attempts: 5, on: ['Timeout'], budget: { percent: 0, minPerSecond: 1 } } }],
    ['matches header names in lower case', { match: { models: ['a*'], headers: [{ name: 'X-Tenant', value: 'T' }] } }, { match: { models: ['a*'], headers: [{ name: 'x-tenant', value: 'T' }] } }],
    ['allows debug headers where it says so', { debug: { headers: true } }, { debugHeaders: true }],
    ['shows nothing by default', {}, { debugHeaders: false }],
    ['means Auto where no strategy is named', {}, { profile: { parts: { description: expect.stringContaining('scorer-auto') } } }],
    ['expands a preset', { strategy: { type: 'RoundRobin' } }, { profile: { parts: { description: expect.stringContaining('round-robin') } } }],
    ['builds a profile that is spelled out', { strategy: { type: 'Profile', profile: { scorers: [{ type: 'scorer-lmetric', weight: 2 }] } } }, { profile: { parts: { scorers: [{ type: 'scorer-lmetric', weight: 2 }] } } }],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, spec, wanted) => {
    expect(one(spec)).toMatchObject({ key: 'default/p', ...wanted });
  });

  it('points at its groups with weights and names of models', () => {
    const backendRefs = [{ name: 'g', weight: 95 }, { name: 'h', weight: 5, rewriteModel: 'm-fp8' }]; // prettier-ignore
    const given = { groups: [group('g'), group('h')] };
    expect(one({ backendRefs }, given).backends).toMatchObject([
      { group: { key: 'default/g' }, weight: 95, rewriteModel: null },
      { group: { key: 'default/h' }, weight: 5, rewriteModel: 'm-fp8' },
    ]);
  });

  it('is no worse for a reference to nothing, and says so', () => {
    const result = compiled({ policies: [policy('p', { backendRefs: [{ name: 'g' }, { name: 'gone' }] })] });
    expect(result.table.policies[0].backends).toHaveLength(1);
    expect(conditionsOf(result, 'default/p')).toEqual({
      Accepted: 'True Accepted',
      ResolvedRefs: 'False BackendGroupNotFound',
    });
    const verdict = result.verdicts.find(({ kind }) => kind === 'RoutingPolicy');
    expect(verdict?.conditions[1].message).toContain('gone');
  });

  it('looks for groups in its own namespace only', () => {
    const result = compiled({ groups: [group('g', {}, 'other')], policies: [policy('p', {}, 'ns')] });
    expect(result.table.policies[0].backends).toEqual([]);
    expect(conditionsOf(result, 'ns/p').ResolvedRefs).toBe('False BackendGroupNotFound');
  });

  it('is in force without a profile where a plugin does not take its parameters', () => {
    // What decoding refuses as well: compiling must not fall over a resource that came another way.
    const strategy = { type: 'Profile', profile: { scorers: [{ type: 'scorer-none', weight: 1, parameters: {} }] } };
    const good = policy('p');
    const result = compiled({ policies: [{ ...good, spec: { ...good.spec, strategy } }, policy('q')] });
    expect(result.table.policies.map(({ profile }) => profile === null)).toEqual([true, false]);
    expect(conditionsOf(result, 'default/p').Accepted).toBe('False Invalid');
  });

  it('does not hide a fault of its own as one of the policy', () => {
    const good = policy('p');
    const undecoded = { ...good, spec: { ...good.spec, strategy: { type: 'None' } } };
    expect(() => compiled({ policies: [undecoded] })).toThrow(TypeError);
  });
});

describe('compile, of policies that name InferencePools', () => {
  const pooled = { discovery: { type: 'InferencePool', inferencePool: { name: 'pool' } } };
  const ref = { kind: 'InferencePool', name: 'pool' };
  const standIn = poolGroupOf({ namespace: 'default', name: 'pool' });
  const backendsOf = (given: Given): (string | undefined)[] =>
    compiled({ policies: [policy('p', { backendRefs: [ref] })], ...given }).table.policies[0].backends.map(
      ({ group: { key } }) => key,
    );

  const cases: [string, Given, string[]][] = [
    ['goes to the BackendGroup that discovers the pool', { groups: [group('g'), group('h', pooled)] }, ['default/h']],
    ['goes to the first of several by name', { groups: [group('i', pooled), group('h', pooled)] }, ['default/h']],
    ['goes to the group that stands for the pool', { groups: [standIn] }, ['default/InferencePool:pool']],
    ['takes no group by the same name', { groups: [group('pool')] }, []],
    ['takes no pool of another namespace', { groups: [group('g', pooled, 'other')] }, []],
  ];
  it.each(cases)('%s', (_name, given, wanted) => {
    expect(backendsOf(given)).toEqual(wanted);
  });

  it('has a BackendGroup and a pool of one name as two backends', () => {
    const backendRefs = [{ name: 'pool' }, ref];
    expect(backendsOf({ groups: [group('pool'), standIn], policies: [policy('p', { backendRefs })] })).toEqual([
      'default/pool',
      'default/InferencePool:pool',
    ]);
  });

  it.each<[string, Given, string, string]>([
    ['where there is no cluster to find it in', { groups: [] }, 'False UnsupportedInMode', 'BackendGroup'],
    [
      'why discovery finds nothing',
      { groups: [standIn], around: { discovered: unmet('Discovered', 'NoMatch', 'no such pool') } },
      'False NoMatch',
      'InferencePool pool: no such pool',
    ],
    ['that all is well', { groups: [standIn] }, 'True ResolvedRefs', 'every backend exists'],
  ])('says %s', (_name, given, wanted, words) => {
    const result = compiled({ ...given, policies: [policy('p', { backendRefs: [ref] })] });
    expect(conditionsOf(result, 'default/p').ResolvedRefs).toBe(wanted);
    expect(result.verdicts.find(({ key }) => key === 'default/p')?.conditions[1].message).toContain(words);
  });

  it('tells anew what discovery says anew, although the endpoints are the same', () => {
    const compiler = new Compiler(registry, context);
    const accepted = { resource: policy('p', { backendRefs: [ref] }), created: 0 };
    const at = (discovered: GroupSurroundings['discovered']) => {
      const given = { ...input({ groups: [standIn], around: { discovered } }), policies: [accepted] };
      return conditionsOf(compiler.compile(given), 'default/p').ResolvedRefs;
    };
    expect(at(unmet('Discovered', 'NoMatch', 'gone'))).toBe('False NoMatch');
    expect(at(met('Discovered', '2 endpoints'))).toBe('True ResolvedRefs');
  });

  it('makes one that was never good take what its pool serves', () => {
    const match = { models: [], headers: [] };
    const broken: BrokenPolicy = {
      ...{ namespace: 'default', name: 'b', created: 0, match },
      backends: [{ kind: 'InferencePool', name: 'pool' }],
    };
    const { table } = compiled({ groups: [standIn], broken: [broken] });
    expect(table.match('learned', new Map())).toMatchObject({ key: 'default/b', profile: null });
  });
});

describe('compile, of policies that were never good', () => {
  const broken: BrokenPolicy = {
    namespace: 'default',
    name: 'b',
    created: 0,
    match: { models: ['m'], headers: [] },
    backends: [
      { kind: 'BackendGroup', name: 'g' },
      { kind: 'BackendGroup', name: 'gone' },
    ],
  };

  it('makes them take their requests and have no profile', () => {
    const wide = policy('wide', { match: { models: ['m*'] } });
    const { table } = compiled({ broken: [broken], policies: [wide] });
    expect(table.match('m', new Map())).toMatchObject({ key: 'default/b', profile: null });
    expect(table.match('m2', new Map())).toMatchObject({ key: 'default/wide' });
  });

  it('makes one without a match take what its groups serve', () => {
    const { table } = compiled({ broken: [{ ...broken, match: { models: [], headers: [] } }] });
    expect(table.match('learned', new Map())).toMatchObject({ key: 'default/b', profile: null });
    expect(table.match('other', new Map())).toBeNull();
  });
});

describe('compile, of groups that were never good', () => {
  const brokenGroups = [{ namespace: 'default', name: 'h', models: ['m'] }];
  const open = policy('open', { backendRefs: [{ name: 'h' }] });
  const wide = policy('wide', { match: { models: ['*'] } });
  const given = (policies: RoutingPolicy[]): CompileInput => ({ ...input({ policies }), brokenGroups });

  it('keeps their models with the policies that have them, though nothing can be sent there', () => {
    const { table, verdicts } = compile(given([open]), registry, context);
    expect(table.match('m', new Map())).toMatchObject({ key: 'default/open', backends: [] });
    expect([table.models, table.groups.has('default/h')]).toEqual([[], false]);
    const [, resolved] = verdicts.find(({ key }) => key === 'default/open')?.conditions ?? [];
    expect(resolved).toMatchObject({ status: 'False', reason: 'BackendGroupNotFound' });
    expect(resolved.message).toContain('BackendGroup h has never been valid');
  });

  it('gives their weight to the others', () => {
    const both = policy('both', { backendRefs: [{ name: 'h' }, { name: 'g' }] });
    const { table } = compile(given([both]), registry, context);
    expect(table.policies[0].backends.map(({ group: { name } }) => name)).toEqual(['g']);
  });

  it('is made anew when what can be read of them changes, and not before', () => {
    const compiler = new Compiler(registry, context);
    const first = given([open, wide]);
    const [before] = compiler.compile(first).table.policies;
    expect(compiler.compile(first).table.policies[0]).toBe(before);
    const other = { ...first, brokenGroups: [{ ...brokenGroups[0], models: ['n'] }] };
    expect(compiler.compile(other).table.policies[0].barred?.map(({ models }) => models)).toEqual([['n']]);
    const healed = { ...first, groups: [...first.groups, group('h', { models: ['m'] })], brokenGroups: [] };
    expect(compiler.compile(healed).table.policies[0].backends).toHaveLength(1);
  });
});

describe('compile', () => {
  const given: Given = {
    groups: [group('g', { models: ['m'] }), group('h')],
    policies: [
      policy('p', { match: { models: ['m'] } }),
      policy('q', { backendRefs: [{ name: 'h' }, { name: 'gone' }] }),
    ],
  };

  it('gives the table the generation it is told', () => {
    expect(compiled(given).table.generation).toBe(7);
  });

  it('gives one verdict for each resource', () => {
    const keys = compiled(given).verdicts.map(({ kind, key }) => `${kind} ${key}`);
    expect(keys).toEqual([
      'BackendGroup default/g',
      'BackendGroup default/h',
      'RoutingPolicy default/p',
      'RoutingPolicy default/q',
    ]);
  });

  it('says the same of the same input, and leaves the input alone', () => {
    const frozen = deepFreeze(input(given));
    const [first, second] = [compile(frozen, registry, context), compile(frozen, registry, context)];
    expect(shape(second)).toEqual(shape(first));
  });

  it('gives a frozen table', () => {
    const { table } = compiled(given);
    const all: object[] = [table, table.policies, ...table.policies, ...table.groups.values()];
    for (const policyInForce of table.policies)
      all.push(policyInForce.backends, policyInForce.match, policyInForce.timeouts);
    for (const part of all) expect(Object.isFrozen(part)).toBe(true);
  });

  it('is of any order of the resources', () => {
    const turned = { groups: [...(given.groups ?? [])].reverse(), policies: [...(given.policies ?? [])].reverse() };
    const [a, b] = [compiled(given).table, compiled(turned).table];
    for (const model of ['m', 'learned', 'none']) {
      expect(b.match(model, new Map())?.key).toBe(a.match(model, new Map())?.key);
    }
    expect(b.models).toEqual(a.models);
  });
});

describe('keyOf', () => {
  it('is namespace and name', () => {
    expect(keyOf({ name: 'a', namespace: 'b' })).toBe('b/a');
    expect(keyOf({ name: 'a' })).toBe('default/a');
  });
});

/** What a compilation says, plugins by what they call themselves. */
function shape({ table, verdicts }: Compiled): unknown {
  const { generation, models, groups, policies } = table;
  const described = policies.map((one) => ({
    ...one,
    profile: one.profile?.parts.description,
    pairProfile: one.pairProfile?.parts.description,
  }));
  return { generation, models, groups: [...groups], policies: described, verdicts };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
