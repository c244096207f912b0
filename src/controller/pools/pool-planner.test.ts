import { describe, expect, it } from 'vitest';
import { decodeResource, type Resource } from '../../api/decode.ts';
import type { PickerConfig } from '../../api/endpoint-picker-config.ts';
import { defaultBounds } from '../../router/saturation.ts';
import type { ResourceSnapshot } from '../resource-snapshot.ts';
import { PoolPlanner, type PoolPlan } from './pool-planner.ts';

const made = (kind: string, name: string, spec: object, namespace = 'ns'): Resource => {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind,
    metadata: { name, namespace },
    spec,
  });
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.faults));
  return decoded.resource;
};
const discovers = (pool: string) => ({ type: 'InferencePool', inferencePool: { name: pool } });
const group = (name: string, pool: string, spec: object = {}) =>
  made('BackendGroup', name, { discovery: discovers(pool), ...spec });
const fixed = (name: string, spec: object = {}) =>
  made('BackendGroup', name, {
    discovery: { type: 'Static', static: { endpoints: [{ name: 'e', address: '10.0.0.1:1' }] } },
    ...spec,
  });
const pool = (name: string) => ({ kind: 'InferencePool', name });
const policy = (name: string, ...backendRefs: object[]) => made('RoutingPolicy', name, { backendRefs });
const [a, b] = ['a', 'b'].map((name) => ({ namespace: 'ns', name }));

function snapshot(resources: readonly Resource[] = [], broken: ResourceSnapshot['broken'] = []): ResourceSnapshot {
  return {
    groups: resources.filter((one) => one.kind === 'BackendGroup'),
    policies: resources.flatMap((one) => (one.kind === 'RoutingPolicy' ? [{ resource: one, created: 0 }] : [])),
    broken,
    secrets: new Map(),
    faults: [],
    lastGoodInForce: new Set(),
  };
}

const config = (kvCache: PickerConfig['kvCache'] = { type: 'None' }): PickerConfig => ({
  name: 'default',
  profile: { picker: { type: 'picker-min-random' } },
  kvCache,
  saturation: defaultBounds,
  fallbacks: null,
});
const manager = {
  type: 'Manager' as const,
  manager: { service: { name: 'indexer', port: 8080 }, path: '/match_sort', timeout: '5s' },
};

/** `policy → kind/backend …` of all policies. */
const policiesOf = ({ snapshot: { policies } }: PoolPlan): string[] =>
  policies.map(
    ({ resource: { metadata, spec } }) =>
      `${metadata.name} → ${spec.backendRefs.map(({ kind, name }) => `${kind}/${name}`).join(' ')}`,
  );
const groupsOf = ({ groups }: PoolPlan): string[][] => groups.map((keys) => [...keys]);

describe('a plan for pools of a cluster', () => {
  const cases: [string, readonly Resource[], string[][], string[]][] = [
    ['has a group and Auto for a pool of which nobody speaks', [], [['ns/InferencePool:a']], ['InferencePool:a → InferencePool/a']],
    ['has the policies that name the pool', [policy('p', pool('a'))], [['ns/InferencePool:a']], ['p → InferencePool/a']],
    ['has those that name a group which discovers it', [group('g', 'a'), policy('p', { name: 'g' })], [['ns/g']], ['p → BackendGroup/g']],
    ['leaves out other pools, groups and policies', [group('h', 'b'), fixed('a'), policy('p', { name: 'a' }, pool('b'))], [['ns/InferencePool:a']], ['InferencePool:a → InferencePool/a']],
    ['leaves policies their backends of the pool alone', [policy('p', pool('b'), pool('a'), { name: 'g' })], [['ns/InferencePool:a']], ['p → InferencePool/a']],
    ['takes nothing of another namespace', [made('RoutingPolicy', 'p', { backendRefs: [pool('a')] }, 'other')], [['ns/InferencePool:a']], ['InferencePool:a → InferencePool/a']],
  ]; // prettier-ignore
  it.each(cases)('%s', (_name, resources, groups, policies) => {
    const plan = new PoolPlanner([a], 'cluster').plan(snapshot(resources), null);
    expect(groupsOf(plan)).toEqual(groups);
    expect(policiesOf(plan)).toEqual(policies);
    expect(plan.snapshot.groups.map(({ metadata }) => `ns/${metadata.name}`)).toEqual(groups[0]);
  });

  it('has several pools, each with what is its own', () => {
    const given = snapshot([group('g', 'b'), policy('p', pool('a')), policy('q', pool('a'), pool('b'))]);
    const plan = new PoolPlanner([a, b], 'cluster').plan(given, null);
    expect(groupsOf(plan)).toEqual([['ns/InferencePool:a'], ['ns/g']]);
    expect(policiesOf(plan)).toEqual(['p → InferencePool/a', 'q → InferencePool/a InferencePool/b']);
  });

  it('keeps a policy that was never good, which takes its requests and no Auto in its place', () => {
    const match = { models: ['m'], headers: [] };
    const broken = (name: string) => [
      { namespace: 'ns', name: 'p', created: 0, match, backends: [{ kind: 'InferencePool' as const, name }] },
    ];
    const plan = (name: string) => new PoolPlanner([a], 'cluster').plan(snapshot([], broken(name)), null).snapshot;
    expect(plan('a')).toMatchObject({ policies: [], broken: [{ name: 'p' }] });
    expect(plan('b')).toMatchObject({
      policies: [{ resource: { metadata: { name: 'InferencePool:a' } } }],
      broken: [],
    });
  });

  it('takes every model by Auto, whoever serves it', () => {
    const [{ resource }] = new PoolPlanner([a], 'cluster').plan(snapshot(), null).snapshot.policies;
    expect(resource.spec).toMatchObject({ match: { models: ['*'] }, strategy: { type: 'Auto' } });
  });
});

describe('a plan with an EndpointPickerConfig', () => {
  it('has its profile for every pool, and no other policy', () => {
    const planner = new PoolPlanner([a, b], 'cluster');
    const { policies } = planner.plan(snapshot([policy('p', pool('a'))]), config()).snapshot;
    expect(policies.map(({ resource: { metadata, spec } }) => [metadata.name, spec.strategy])).toEqual(
      ['InferencePool:a', 'InferencePool:b'].map((name) => [name, { type: 'Profile', profile: config().profile }]),
    );
  });

  it.each<[string, readonly Resource[], PickerConfig, object]>([
    ['what it says of caches, where nobody describes the pool', [], config({ type: 'None' }), { type: 'None' }],
    ['what a group says of its caches', [group('g', 'a')], config({ type: 'None' }), { type: 'Approximate' }],
    ['its KV manager, whatever a group says', [group('g', 'a')], config(manager), manager],
  ])('goes by %s', (_name, resources, given, wanted) => {
    const { groups } = new PoolPlanner([a], 'cluster').plan(snapshot(resources), given).snapshot;
    expect(groups.map(({ spec }) => spec.kvCache)).toEqual([wanted]);
  });

  it('makes the same of the same, and anew of another', () => {
    const planner = new PoolPlanner([a], 'cluster');
    const [given, other] = [config(manager), config(manager)];
    const first = planner.plan(snapshot(), given).snapshot;
    const same = planner.plan(snapshot(), given).snapshot;
    expect(same.groups[0]).toBe(first.groups[0]);
    expect(same.policies[0]).toBe(first.policies[0]);
    const next = planner.plan(snapshot(), other).snapshot;
    expect(next.groups[0]).not.toBe(first.groups[0]);
    expect(next.policies[0]).not.toBe(first.policies[0]);
  });
});

describe('a plan for pools of files', () => {
  it('has the BackendGroup of the name, and the policies that name it, as a pool too', () => {
    const given = snapshot([fixed('a'), fixed('g'), policy('p', { name: 'a' }), policy('q', pool('a'), { name: 'g' })]);
    const plan = new PoolPlanner([a], 'files').plan(given, null);
    expect(groupsOf(plan)).toEqual([['ns/a']]);
    expect(policiesOf(plan)).toEqual(['p → BackendGroup/a', 'q → BackendGroup/a']);
  });

  it('has nothing where there is no such group', () => {
    const plan = new PoolPlanner([a], 'files').plan(snapshot([fixed('g')]), null);
    expect(groupsOf(plan)).toEqual([[]]);
    expect(plan.snapshot.groups).toEqual([]);
  });

  it('narrows the same policy to the same policy', () => {
    const planner = new PoolPlanner([a], 'files');
    const given = snapshot([fixed('a'), policy('q', pool('a'), { name: 'g' })]);
    expect(planner.plan(given, null).snapshot.policies[0]).toBe(planner.plan(given, null).snapshot.policies[0]);
  });
});
