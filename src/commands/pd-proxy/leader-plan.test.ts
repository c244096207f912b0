import { describe, expect, it } from 'vitest';
import { decodeResource } from '../../api/decode.ts';
import type { BackendGroup } from '../../api/backend-group.ts';
import { noResources, type ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { LeaderPlanner, podsGroup, type Led } from './leader-plan.ts';

const anyone: Led = { backendGroup: '', pdGroup: '' };

function group(name: string, spec: object = {}): BackendGroup {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name },
    spec: {
      discovery: {
        type: 'Pods',
        pods: { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] },
      },
      topology: { type: 'PrefillDecode' },
      ...spec,
    },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

const having = (...groups: BackendGroup[]): ResourceSnapshot => ({ ...noResources, groups });

function planned(led: Led, ...groups: BackendGroup[]): ResourceSnapshot {
  const { snapshot, problem } = new LeaderPlanner(led).plan(having(...groups));
  if (snapshot === null) throw new Error(problem);
  return snapshot;
}

describe('what a leader puts in force', () => {
  it('is the only group of pairs, handed over by itself, and one policy for every model', () => {
    const { groups, policies, broken } = planned(
      anyone,
      group('other', { topology: { type: 'Aggregate' } }),
      group('pd'),
    );
    expect(groups.map(({ metadata, spec }) => [metadata.name, spec.topology])).toEqual([
      ['pd', expect.objectContaining({ prefillDecode: expect.objectContaining({ handover: 'Router' }) })],
    ]);
    expect(policies.map(({ resource: { spec } }) => [spec.match.models, spec.backendRefs[0].name])).toEqual([
      [['*'], 'pd'],
    ]);
    expect(broken).toEqual([]);
  });

  it('stays the same objects while the group does, so that nothing is compiled anew', () => {
    const planner = new LeaderPlanner(anyone);
    const one = group('pd');
    const first = planner.plan(having(one)).snapshot;
    const second = planner.plan(having(one, group('other', { topology: { type: 'Aggregate' } }))).snapshot;
    expect(second?.groups[0]).toBe(first?.groups[0]);
    expect(second?.policies[0]).toBe(first?.policies[0]);
    expect(planner.plan(having(group('pd'))).snapshot?.groups[0]).not.toBe(first?.groups[0]);
  });

  it.each<[string, Led, string[], string]>([
    ['nothing is there', anyone, [], 'there is no BackendGroup with topology PrefillDecode'],
    [
      'two could be meant',
      anyone,
      ['a', 'b'],
      'there are 2 BackendGroups with topology PrefillDecode; name one by --backend-group',
    ],
    [
      'the named one is not there',
      { ...anyone, backendGroup: 'c' },
      ['a'],
      'no BackendGroup with topology PrefillDecode is called c',
    ],
  ])('is nothing where %s, with the cure', (_sentence, led, names, problem) => {
    const plan = new LeaderPlanner(led).plan(having(...names.map((name) => group(name))));
    expect(plan).toEqual({ snapshot: null, problem });
  });

  it('is the one that is named, of several', () => {
    expect(planned({ ...anyone, backendGroup: 'b' }, group('a'), group('b')).groups[0].metadata.name).toBe('b');
  });
});

describe('a group of Pods by their labels', () => {
  it('is one of pairs', () => {
    const { spec, metadata } = podsGroup({ app: 'vllm' }, 8100, 'ns');
    expect([metadata.namespace, spec.topology.type]).toEqual(['ns', 'PrefillDecode']);
    expect(spec.discovery).toMatchObject({ pods: { targetPorts: [{ number: 8100 }] } });
  });

  it.each<[string, Record<string, string>, number]>([
    ['no label name', { 'a b': 'c' }, 8000],
    ['no label value', { a: 'b c' }, 8000],
    ['no port', { a: 'b' }, 70_000],
  ])('is refused for %s', (_sentence, labels, port) => {
    expect(() => podsGroup(labels, port, 'ns')).toThrow(TypeError);
  });
});
