import { describe, expect, it } from 'vitest';
import { group, policy } from '../../../test/fixtures/fleet.ts';
import { RoutingTable } from '../../router/table.ts';
import type { BackendGroup, RoutingPolicy } from '../../router/policy.ts';
import { PoolTable } from './pool-table.ts';

const [a, b] = ['a', 'b'].map((name) => group({ name, models: ['m'] }));
const backend = (to: BackendGroup, weight: number) => ({ group: to, weight, rewriteModel: null });
const table = (generation: number, ...policies: RoutingPolicy[]): RoutingTable =>
  new RoutingTable(generation, policies, new Map([a, b].map((one) => [one.key, one])));
const both = policy({ name: 'both', backends: [backend(a, 1), backend(b, 3)] });
const off = policy({ name: 'off', backends: [backend(a, 0), backend(b, 1)] });
const other = policy({ name: 'other', backends: [backend(b, 1)] });
const own = policy({ name: 'own', backends: [backend(a, 2)] });

function weights(pool: PoolTable): Record<string, number[]> {
  return Object.fromEntries(
    pool.store.current.policies.map(({ name, backends }) => [name, backends.map(({ weight }) => weight)]),
  );
}

describe('PoolTable', () => {
  it('has the policies of its groups, with no other backend', () => {
    const pool = new PoolTable();
    pool.update(table(7, both, other, own), new Set([a.key]));
    expect(weights(pool)).toEqual({ both: [1], own: [2] });
    expect([...pool.store.current.groups.keys()]).toEqual([a.key]);
    expect(pool.store.current.generation).toBe(7);
  });

  it('does not turn away what the gateway has sent to a pool of weight 0', () => {
    const pool = new PoolTable();
    pool.update(table(1, off), new Set([a.key]));
    expect(weights(pool)).toEqual({ off: [1] });
  });

  it('has policies of its pool alone as they are, and others the same for the same', () => {
    const pool = new PoolTable();
    pool.update(table(1, own, both), new Set([a.key]));
    const [first, second] = pool.store.current.policies;
    expect(first).toBe(own);
    pool.update(table(2, own, both), new Set([a.key]));
    expect(pool.store.current.policies[1]).toBe(second);
  });

  it('is made anew for other groups', () => {
    const pool = new PoolTable();
    pool.update(table(1, both), new Set([a.key]));
    pool.update(table(2, both), new Set([b.key]));
    expect(weights(pool)).toEqual({ both: [3] });
  });
});
