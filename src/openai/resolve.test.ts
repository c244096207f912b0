import { describe, expect, it } from 'vitest';
import { backend, group, policy, profile, readyStates } from '../../test/fixtures/fleet.ts';
import { RoutingError } from '../router/errors.ts';
import { RoutingTable } from '../router/table.ts';
import { resolve } from './resolve.ts';

const valid = profile({ picker: { type: 'picker-min-random' } }, readyStates(1));
const serving = (name: string, model: string) =>
  policy({
    name,
    profile: valid,
    backends: [backend({ group: group({ name, models: [model], modelsDeclared: true }) })],
  });
const table = (...policies: ReturnType<typeof policy>[]) => new RoutingTable(1, policies, new Map());

function outcome(at: RoutingTable, model: string): string {
  try {
    const found = resolve(at, model, new Map());
    return `${found.model} by ${found.policy.key}`;
  } catch (error) {
    return error instanceof RoutingError ? error.code : String(error);
  }
}

describe('resolve', () => {
  const both = table(serving('a', 'x'), serving('b', 'y'));
  it.each<[string, RoutingTable, string, string]>([
    ['the policy of the model', both, 'y', 'y by ns/b'],
    ['the only model where none is named', table(serving('a', 'x')), '', 'x by ns/a'],
    ['a fault where none is named of two', both, '', 'missing_model'],
    ['a fault where none is named and none is served', table(), '', 'missing_model'],
    ['a fault for a model of nobody', both, 'z', 'model_not_found'],
    [
      'a fault for a policy that never was valid',
      table({ ...serving('a', 'x'), profile: null }),
      'x',
      'policy_invalid',
    ],
  ])('finds %s', (_case, at, model, wanted) => {
    expect(outcome(at, model)).toBe(wanted);
  });
});
