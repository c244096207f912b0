import { describe, expect, it } from 'vitest';
import { decodeResource, type Resource } from '../../api/decode.ts';
import { PoolGroups } from './pool-groups.ts';
import { groupsOfPools, poolGroupOf } from './pool-ref.ts';
import type { ResourceSnapshot } from '../resource-snapshot.ts';

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
const discovery = (pool: string) => ({ discovery: { type: 'InferencePool', inferencePool: { name: pool } } });
const pool = (name: string) => ({ kind: 'InferencePool', name });

function snapshot(resources: readonly Resource[], broken: ResourceSnapshot['broken'] = []): ResourceSnapshot {
  return {
    groups: resources.filter((one) => one.kind === 'BackendGroup'),
    policies: resources.flatMap((one) => (one.kind === 'RoutingPolicy' ? [{ resource: one, created: 0 }] : [])),
    broken,
    secrets: new Map(),
    faults: [],
    lastGoodInForce: new Set(),
  };
}
const namesOf = ({ groups }: ResourceSnapshot): string[] =>
  groups.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);

describe('PoolGroups', () => {
  const policy = made('RoutingPolicy', 'p', { backendRefs: [pool('a'), pool('b'), { name: 'g' }] });

  it('adds a group for each pool that policies name and nobody discovers', () => {
    const given = snapshot([policy, made('BackendGroup', 'g', discovery('b'))]);
    expect(namesOf(new PoolGroups().complete(given))).toEqual(['ns/g', 'ns/InferencePool:a']);
  });

  it('adds one for the pool of a policy that was never good', () => {
    const match = { models: [], headers: [] };
    const backends = [{ kind: 'InferencePool', name: 'a' }] as const;
    const given = snapshot([], [{ namespace: 'ns', name: 'b', created: 0, match, backends }]);
    expect(namesOf(new PoolGroups().complete(given))).toEqual(['ns/InferencePool:a']);
  });

  it('is no other snapshot where nothing is missing', () => {
    const given = snapshot([made('BackendGroup', 'g', discovery('b'))]);
    expect(new PoolGroups().complete(given)).toBe(given);
  });

  it('has the same group for the same pool as long as it is named', () => {
    const pools = new PoolGroups();
    const first = pools.complete(snapshot([policy])).groups;
    const second = pools.complete(snapshot([policy])).groups;
    expect(second[0]).toBe(first[0]);
    pools.complete(snapshot([]));
    expect(pools.complete(snapshot([policy])).groups[0]).not.toBe(first[0]);
  });
});

describe('groups of pools', () => {
  it('are the first by name of those that discover one', () => {
    const given = ['z', 'm', 'a'].map((name) => made('BackendGroup', name, discovery(name === 'a' ? 'other' : 'p')));
    const found = groupsOfPools(given.filter((one) => one.kind === 'BackendGroup'));
    expect([...found].map(([key, { metadata }]) => [key, metadata.name])).toEqual([
      ['ns/InferencePool:p', 'm'],
      ['ns/InferencePool:other', 'a'],
    ]);
  });

  it('have the default settings and what is given besides', () => {
    const { spec, metadata } = poolGroupOf({ namespace: 'ns', name: 'p' }, { kvCache: { type: 'None' } });
    expect(metadata).toEqual({ namespace: 'ns', name: 'InferencePool:p' });
    expect(spec).toMatchObject({ engine: 'vLLM', kvCache: { type: 'None' }, ...discovery('p') });
  });
});
