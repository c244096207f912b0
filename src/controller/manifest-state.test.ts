import { describe, expect, it } from 'vitest';
import { ManifestState, type FileText } from './manifest-state.ts';
import type { ResourceSnapshot } from './resource-snapshot.ts';

const group = (name: string, spec = '', endpoint = 'a:1'): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  discovery: {type: Static, static: {endpoints: [{name: e1, address: "10.0.0.1:8000"}]}}
  models: ["${endpoint}"]
${spec}`;

const policy = (name: string, spec = ''): string => `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: ${name}}
spec:
  match: {models: [m-${name}], headers: [{name: X-Tenant, value: t}]}
  backendRefs: [{name: g}]
${spec}`;

const secret = (name: string, fields: string): string => `
apiVersion: v1
kind: Secret
metadata: {name: ${name}, namespace: ns}
${fields}`;

const wrong = '  nonsense: true\n';

/** The files as they are now, by name. */
const files = (texts: Record<string, string | readonly string[]>): FileText[] =>
  Object.entries(texts).map(([path, text]) => ({ path, text: typeof text === 'string' ? text : text.join('\n---\n') }));

function names({ groups, policies, broken, lastGoodInForce }: ResourceSnapshot) {
  return {
    groups: groups.map(({ metadata }) => metadata.name),
    policies: policies.map(({ resource }) => resource.metadata.name),
    broken: broken.map(({ name }) => name),
    lastGood: [...lastGoodInForce],
  };
}

describe('ManifestState', () => {
  it('takes in groups and policies of many files and documents', () => {
    const state = new ManifestState('hermes');
    const snapshot = state.update(files({ 'a.yaml': [group('g'), policy('p')], 'b.yaml': policy('q') }));
    expect(names(snapshot)).toEqual({ groups: ['g'], policies: ['p', 'q'], broken: [], lastGood: [] });
    expect(snapshot.faults).toEqual([]);
    expect(snapshot.policies[0]).toMatchObject({ created: 0 });
  });

  it('keeps the last good version of a bad object while others go on changing', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: [group('g', '', 'm1'), group('h', '', 'm1')] }));
    const snapshot = state.update(files({ a: [group('g', wrong, 'm2'), group('h', '', 'm2')] }));
    expect(snapshot.groups.map(({ metadata, spec }) => [metadata.name, spec.models])).toEqual([
      ['g', ['m1']],
      ['h', ['m2']],
    ]);
    expect([...snapshot.lastGoodInForce]).toEqual(['BackendGroup default/g']);
    expect(snapshot.faults).toMatchObject([{ file: 'a', path: 'spec.nonsense' }]);
  });

  it('keeps it through further bad versions, until a good one comes', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: policy('p') }));
    for (let i = 0; i < 3; i++) {
      expect(names(state.update(files({ a: policy('p', wrong) })))).toMatchObject({
        policies: ['p'],
        broken: [],
        lastGood: ['RoutingPolicy default/p'],
      });
    }
    expect(names(state.update(files({ a: policy('p') })))).toMatchObject({ policies: ['p'], lastGood: [] });
  });

  it('keeps it where an object moves to another file and goes bad on the way', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: policy('p') }));
    expect(names(state.update(files({ b: policy('p', wrong) })))).toMatchObject({ policies: ['p'] });
  });

  it('keeps all that a file had where it does not parse', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: [group('g'), policy('p')], b: policy('q') }));
    const snapshot = state.update(files({ a: 'kind: [', b: policy('r') }));
    expect(names(snapshot)).toEqual({ groups: ['g'], policies: ['p', 'r'], broken: [], lastGood: [] });
    expect(snapshot.faults).toMatchObject([{ file: 'a' }]);
    expect(names(state.update(files({ a: policy('p'), b: policy('r') })))).toMatchObject({ groups: [] });
  });

  it('has nothing of a file that never parsed', () => {
    expect(names(new ManifestState('hermes').update(files({ a: 'kind: [' })))).toMatchObject({
      groups: [],
      broken: [],
    });
  });

  it('takes what is gone for deleted, and does not bring it back', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: [policy('p'), policy('q')], b: policy('r') }));
    expect(names(state.update(files({ a: policy('p') }))).policies).toEqual(['p']);
    const again = state.update(files({ a: [policy('p'), policy('q', wrong)] }));
    expect(names(again)).toMatchObject({ policies: ['p'], broken: ['q'], lastGood: [] });
  });

  it('makes a policy that was never good refuse the requests it was meant for', () => {
    const { broken } = new ManifestState('hermes').update(files({ a: policy('p', wrong) }));
    expect(broken).toEqual([
      {
        namespace: 'default',
        name: 'p',
        created: 0,
        match: { models: ['m-p'], headers: [{ name: 'x-tenant', value: 't' }] },
        backends: [{ kind: 'BackendGroup', name: 'g' }],
      },
    ]);
  });

  it('leaves out a group that was never good', () => {
    expect(names(new ManifestState('hermes').update(files({ a: group('g', wrong) })))).toMatchObject({ groups: [] });
  });

  const unreadable: [string, string][] = [
    ['a spec that is a text', 'spec: x'],
    ['no spec', ''],
    ['a match that is a list', 'spec: {match: [], backendRefs: []}'],
    ['models that are numbers', 'spec: {match: {models: [1]}, backendRefs: [{name: 1}, x]}'],
    ['headers that are texts', 'spec: {match: {headers: [x, {name: 1}]}, backendRefs: x}'],
  ];
  it.each(unreadable)('reads of a broken policy what there is: %s', (_name, spec) => {
    const text = `apiVersion: hermes-router.io/v1alpha1\nkind: RoutingPolicy\nmetadata: {name: p}\n${spec}`;
    const { broken } = new ManifestState('hermes').update(files({ a: text }));
    expect(broken).toMatchObject([{ name: 'p', match: { models: [], headers: [] }, backends: [] }]);
  });

  it('puts the first of two objects of one name in force and says so', () => {
    const snapshot = new ManifestState('hermes').update(files({ a: group('g', '', 'm1'), b: group('g', '', 'm2') }));
    expect(snapshot.groups.map(({ spec }) => spec.models)).toEqual([['m1']]);
    expect(snapshot.faults).toMatchObject([{ file: 'b', path: 'metadata.name' }]);
    expect(snapshot.faults[0].message).toContain('BackendGroup default/g');
  });

  it('tells objects of one name and another namespace or kind apart', () => {
    const other = group('g').replace('{name: g}', '{name: g, namespace: other}');
    const snapshot = new ManifestState('hermes').update(files({ a: [group('g'), other, policy('g')] }));
    expect(snapshot.faults).toEqual([]);
    expect(names(snapshot)).toMatchObject({ groups: ['g', 'g'], policies: ['g'] });
  });

  it('takes objects of its own class only, good or bad', () => {
    const foreign = '  routerClassName: other\n';
    const texts = files({ a: [group('g', foreign), policy('p', foreign), policy('q', foreign + wrong), policy('r')] });
    expect(names(new ManifestState('hermes').update(texts))).toMatchObject({ groups: [], policies: ['r'], broken: [] });
    expect(names(new ManifestState('other').update(texts))).toMatchObject({
      groups: ['g'],
      policies: ['p'],
      broken: ['q'],
    });
  });

  it('does not fall back to an older class of an object that has gone bad', () => {
    const state = new ManifestState('hermes');
    state.update(files({ a: policy('p') }));
    expect(names(state.update(files({ a: policy('p', '  routerClassName: other\n') })))).toMatchObject({
      policies: [],
    });
  });

  it('reads secrets of either spelling', () => {
    const { secrets } = new ManifestState('hermes').update(
      files({ a: secret('s', 'data: {a: aGVsbG8=, n: 5}\nstringData: {b: plain}') }),
    );
    expect(secrets).toEqual(new Map([['ns/s', { a: 'hello', b: 'plain' }]]));
  });

  it('passes over objects of other groups, and documents that are no objects', () => {
    const other = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}';
    const foreign = 'apiVersion: example.io/v1\nkind: Secret\nmetadata: {name: s}';
    const snapshot = new ManifestState('hermes').update(files({ a: [other, foreign, 'just a text', '[]', 'null'] }));
    expect(names(snapshot)).toEqual({ groups: [], policies: [], broken: [], lastGood: [] });
    expect(snapshot.secrets.size).toBe(0);
    expect(snapshot.faults).toEqual([]);
  });

  it('says what is wrong with an object without a name', () => {
    const { faults } = new ManifestState('hermes').update(
      files({ a: 'apiVersion: hermes-router.io/v1alpha1\nkind: RoutingPolicy\nspec: {}' }),
    );
    expect(faults.length).toBeGreaterThan(0);
  });
});
