import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeResource, type Resource } from '../../api/decode.ts';
import { planRevisions, type PresentRevision } from './plan.ts';
import { fromRevision, lastGood, revisionName, toRevision, type Kept } from './revision.ts';

function resource(kind: string, name: string, spec: object): Resource {
  const decoded = decodeResource({ apiVersion: 'hermes-router.io/v1alpha1', kind, metadata: { name }, spec });
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.faults));
  return decoded.resource;
}

const policy = (name: string, spec: object = {}) => resource('RoutingPolicy', name, { backendRefs: [{ name: 'g' }], ...spec }); // prettier-ignore
const group = resource('BackendGroup', 'g', {
  discovery: { type: 'Static', static: { endpoints: [{ name: 'e0', address: '10.0.0.1:8000' }] } },
  connection: { apiKeySecretRef: { name: 'keys', key: 'api' } },
});
const kept = (fields: Partial<Kept> = {}): Kept => ({ uid: 'u1', generation: 3, resource: policy('p'), ...fields });

describe('toRevision', () => {
  it('is an owned ControllerRevision of the spec', () => {
    const { metadata, ...rest } = toRevision(kept());
    expect(rest).toEqual({
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      revision: 3,
      data: { kind: 'RoutingPolicy', generation: 3, spec: policy('p').spec },
    });
    expect(metadata).toEqual({
      name: expect.stringMatching(/^hermes-rp-[0-9a-f]{20}-3$/) as string,
      namespace: 'default',
      labels: { 'hermes-router.io/router-class': 'hermes' },
      ownerReferences: [{ apiVersion: 'hermes-router.io/v1alpha1', kind: 'RoutingPolicy', name: 'p', uid: 'u1' }],
    });
  });

  it('names what concerns secrets and never holds one', () => {
    const text = JSON.stringify(toRevision(kept({ resource: group })).data);
    expect(text).toContain('"apiKeySecretRef":{"name":"keys","key":"api"}');
    expect(Object.keys(toRevision(kept({ resource: group })).data)).toEqual(['kind', 'generation', 'spec']);
  });

  it('has another name for another object, kind or generation, short however long the object is called', () => {
    const names = [
      kept(),
      kept({ generation: 4 }),
      kept({ uid: 'u2' }),
      kept({ resource: group }),
      kept({ uid: 'u3', resource: policy('x'.repeat(253)) }),
    ].map(revisionName);
    expect(new Set(names).size).toBe(5);
    expect(Math.max(...names.map((name) => name.length))).toBeLessThan(64);
  });
});

describe('fromRevision', () => {
  it.each([kept(), kept({ resource: group })])('is the way back', (one) => {
    expect(fromRevision(JSON.parse(JSON.stringify(toRevision(one))))).toEqual(one);
  });

  const broken: [string, (revision: ReturnType<typeof toRevision>) => unknown][] = [
    ['nothing', () => null],
    ['no metadata', ({ data }) => ({ data })],
    ['no data', (revision) => ({ ...revision, data: undefined })],
    ['data of a DaemonSet', (revision) => ({ ...revision, data: { spec: { template: {} } } })],
    ['no owner', (revision) => ({ ...revision, metadata: { ...revision.metadata, ownerReferences: undefined } })],
    ['an owner of another kind', (revision) => ({ ...revision, data: { ...revision.data, kind: 'BackendGroup' } })],
    ['another object’s name', (revision) => ({ ...revision, metadata: { ...revision.metadata, name: 'hermes-rp-0-3' } })],
    ['another generation', (revision) => ({ ...revision, data: { ...revision.data, generation: 4 } })],
    ['a spec that is not valid here', (revision) => ({ ...revision, data: { ...revision.data, spec: { invented: 1 } } })],
  ]; // prettier-ignore
  it.each(broken)('is null for %s', (_name, change) => {
    expect(fromRevision(change(toRevision(kept())))).toBeNull();
  });

  it('is null or a version, whatever it is given', () => {
    fc.assert(fc.property(fc.anything(), (value) => void expect(fromRevision(value)).toBeNull()));
  });
});

it('lastGood is the newest of each object of this class, by uid', () => {
  const other = kept({ uid: 'u3', resource: policy('p', { routerClassName: 'other' }) });
  const revisions = [kept(), kept({ generation: 5 }), kept({ generation: 4 }), kept({ uid: 'u2' }), other].map(toRevision);
  const found = lastGood([...revisions, { rubbish: true }], 'hermes');
  expect([...found].map(([uid, { generation }]) => [uid, generation])).toEqual([
    ['u1', 5],
    ['u2', 3],
  ]);
}); // prettier-ignore

describe('planRevisions', () => {
  const present = (one: Kept): PresentRevision => ({ namespace: 'default', name: revisionName(one), uid: one.uid });
  const [two, three] = [kept({ generation: 2 }), kept()];
  const cases: [string, Kept[], PresentRevision[], number[], string[]][] = [
    ['creates what is not there', [three], [], [3], []],
    ['does nothing where all is there', [three], [present(three)], [], []],
    ['creates the new before the old one goes', [three], [present(two)], [3], []],
    ['removes the old one when the new one is there', [three], [present(two), present(three)], [], [revisionName(two)]],
    ['leaves those of objects that nothing is wanted of', [], [present(two), present(three)], [], []],
    ['keeps objects apart', [kept({ uid: 'u2' })], [present(three)], [3], []],
  ];
  it.each(cases)('%s', (_name, wanted, there, create, surplus) => {
    const plan = planRevisions(wanted, there);
    expect(plan.create.map(({ revision }) => revision)).toEqual(create);
    expect(plan.delete.map(({ name }) => name)).toEqual(surplus);
  });
});
