import { describe, expect, it } from 'vitest';
import { decodeResource } from '../../api/decode.ts';
import type { BackendGroup } from '../../api/backend-group.ts';
import { met, unmet } from '../../controller/conditions.ts';
import type { Found } from '../../controller/found.ts';
import { LedDiscovery } from './led-discovery.ts';

/** Of a Service: nothing but the endpoints' own labels tells the groups behind it apart. */
function group(topology: object = { type: 'PrefillDecode' }): BackendGroup {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name: 'pd' },
    spec: { discovery: { type: 'Service', service: { name: 's', port: 80 } }, topology },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

const named = (name: string, role: string, id: string, groupLabel = 'openfuyao.com/pdGroupID') => ({
  ...{ name, address: '10.0.0.1:8000', ports: {} },
  labels: { 'openfuyao.com/pdRole': role, [groupLabel]: id },
});
const found = (...seeds: Found['seeds']): Found => ({ seeds, condition: met('Discovered', 'fine') });
const of = (all: Found) => ({ find: () => all });
const namesOf = ({ seeds }: Found): string[] => seeds.map(({ name }) => name);

const two = found(
  named('a-p', 'prefill', 'a'),
  named('a-d', 'decode', 'a'),
  named('a-leader', 'leader', 'a'),
  named('b-p', 'prefill', 'b'),
  named('b-d', 'decode', 'b'),
);

describe('what a leader finds', () => {
  it('is its own group alone, of several behind one Service', () => {
    expect(namesOf(new LedDiscovery(of(two), 'b').find(group()))).toEqual(['b-p', 'b-d']);
  });

  it('is every engine, and no leader, where no group is named', () => {
    expect(namesOf(new LedDiscovery(of(two), '').find(group()))).toEqual(['a-p', 'a-d', 'b-p', 'b-d']);
  });

  it('is told by the label that the BackendGroup names', () => {
    const topology = { type: 'PrefillDecode', prefillDecode: { groupLabel: 'pair' } };
    const all = found(named('x', 'decode', 'a', 'pair'), named('y', 'decode', 'b', 'pair'));
    expect(namesOf(new LedDiscovery(of(all), 'a').find(group(topology)))).toEqual(['x']);
  });

  it('stays the same object while nothing has changed', () => {
    let all = two;
    const discovery = new LedDiscovery({ find: () => all }, 'a');
    const one = group();
    const first = discovery.find(one);
    expect(discovery.find(one)).toBe(first);
    all = found(...two.seeds);
    expect(discovery.find(one)).not.toBe(first);
    expect(discovery.find(group())).not.toBe(first);
  });

  it('is nothing, with the label that was looked for, where nobody has it', () => {
    const { seeds, condition } = new LedDiscovery(of(two), 'c').find(group());
    expect([seeds, condition.status, condition.reason]).toEqual([[], 'False', 'NoMatch']);
    expect(condition.message).toContain('openfuyao.com/pdGroupID=c');
  });

  it('leaves it to discovery to say why there is nothing', () => {
    const condition = unmet('Discovered', 'PortNotFound', 'no such port');
    expect(new LedDiscovery(of({ seeds: [], condition }), 'a').find(group()).condition).toBe(condition);
  });
});
