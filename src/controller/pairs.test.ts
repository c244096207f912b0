import { describe, expect, it } from 'vitest';
import { contextOf, endpoint, endpoints, group, pairGroup, profile, readyStates } from '../../test/fixtures/fleet.ts';
import { topologyOf as topologyLike } from '../../test/fixtures/pairs.ts';
import { decodeResource } from '../api/decode.ts';
import type { Topology } from '../api/topology.ts';
import { registry } from '../policies/index.ts';
import type { Endpoint } from '../router/endpoint.ts';
import { noPrefixSource } from '../router/prefix.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import type { RoutingPolicy } from '../api/routing-policy.ts';
import { compile, Compiler, type CompileInput } from './compile.ts';
import { met, type Condition } from './conditions.ts';
import { mismatchOf, pairsCondition, topologyOf } from './pairs.ts';
import { effectiveProfile } from './status/effective-profile.ts';
import { rolesOf } from './status/roles.ts';

const apiVersion = 'hermes-router.io/v1alpha1';
const discovery = { type: 'Static', static: { endpoints: [{ name: 'e0', address: '10.0.0.1:8000' }] } };

function groupResource(name: string, topology: object = {}): BackendGroup {
  const result = decodeResource({
    apiVersion,
    kind: 'BackendGroup',
    metadata: { name },
    spec: { discovery, ...topology },
  });
  if (!result.ok || result.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(result));
  return result.resource;
}

function policyResource(type: string, weights: Record<string, number>): RoutingPolicy {
  const backendRefs = Object.entries(weights).map(([name, weight]) => ({ name, weight }));
  const spec = { backendRefs, strategy: { type } };
  const result = decodeResource({ apiVersion, kind: 'RoutingPolicy', metadata: { name: 'p' }, spec });
  if (!result.ok || result.resource.kind !== 'RoutingPolicy') throw new Error(JSON.stringify(result));
  return result.resource;
}

const topologyIn = (prefillDecode: object): Topology =>
  groupResource('g', { topology: { type: 'PrefillDecode', prefillDecode } }).spec.topology;

const pairs = pairGroup({ name: 'x', from: 0, prefills: 1, decodes: 1 });

describe('the topology of a resource', () => {
  it('is none where each engine does all', () => {
    expect(topologyOf(groupResource('g').spec.topology)).toBeUndefined();
  });

  it("has seed 2's labels, a leader, and disaggregates always by default", () => {
    const found = topologyOf(topologyIn({}));
    expect(found).toMatchObject({
      handover: 'Leader',
      disaggregateAbove: -1,
      stages: { prefill: 60_000, decode: 60_000 },
    });
    expect(pairs.map((one) => [found?.grouping.roleOf(one), found?.grouping.groupOf(one)])).toEqual([
      ['prefill', 'x'],
      ['decode', 'x'],
      ['leader', 'x'],
    ]);
  });

  it('takes each field to its place', () => {
    const found = topologyOf(
      topologyIn({
        roleLabel: 'r',
        groupLabel: 'g',
        prefillValue: 'P',
        decodeValue: 'D',
        leaderValue: 'L',
        handover: 'Router',
        disaggregate: { type: 'Threshold', uncachedTokens: 256 },
        timeouts: { prefill: '1500ms', decode: '0s' },
      }),
    );
    expect(found).toMatchObject({ handover: 'Router', disaggregateAbove: 256, stages: { prefill: 1500, decode: 0 } });
    const roles = ['P', 'D', 'L'].map((r) => found?.grouping.roleOf(endpoint(0, { labels: { r, g: '1' } })));
    expect(roles).toEqual(['prefill', 'decode', 'leader']);
    expect(found?.grouping.groupOf(endpoint(0, { labels: { g: '1' } }))).toBe('1');
  });
});

describe('what is missing for pairs', () => {
  const told = (list: readonly Endpoint[], topology = topologyLike({ handover: 'Leader' })): string | null =>
    pairsCondition(group({ endpoints: list, topology }))?.message ?? null;

  it('is nothing where none are wanted, nothing is found yet, or one group is whole', () => {
    expect(pairsCondition(group({ endpoints: endpoints(3) }))).toBeNull();
    expect(told([])).toBeNull();
    expect(told([...pairs, ...pairGroup({ name: 'y', from: 5, prefills: 1, decodes: 0 })])).toBeNull();
  });

  it('is the label that no endpoint has', () => {
    expect(pairsCondition(group({ endpoints: endpoints(2), topology: topologyLike() }))).toEqual({
      type: 'Discovered',
      status: 'False',
      reason: 'NoMatch',
      message:
        'none of 2 endpoints has a place in a group of prefillers and decoders (e0: no label openfuyao.com/pdRole, not prefill, decode or leader); label the Pods with role and group, or name your labels in topology.prefillDecode',
    });
    const halfLabelled = [endpoint(0, { labels: { 'openfuyao.com/pdRole': 'prefill' } })];
    expect(told(halfLabelled)).toContain('e0: no label openfuyao.com/pdGroupID');
  });

  it('is what each group lacks, a leader only where one is needed', () => {
    const lists = [
      pairGroup({ name: 'a', from: 0, prefills: 0, decodes: 1 }),
      pairGroup({ name: 'b', from: 2, prefills: 1, decodes: 0, leaders: 0 }),
      pairGroup({ name: 'c', from: 4, prefills: 1, decodes: 1, leaders: 0 }),
      pairGroup({ name: 'd', from: 6, prefills: 0, decodes: 1 }),
    ];
    expect(told(lists.flat())).toContain(
      'no group is whole: a has no prefill, b has no decode and no leader, c has no leader and 1 more; start',
    );
    expect(told(lists.flat(), topologyLike())).toBeNull();
    expect(told(lists[1], topologyLike())).toContain('b has no decode; start');
  });
});

describe('a strategy and a backend', () => {
  const states = readyStates(8);
  const single = profile({}, states);
  const paired = profile({ filters: [{ type: 'filter-by-pd-label' }] }, states);
  const byLeader = group({ name: 'pd', endpoints: pairs, topology: topologyLike({ handover: 'Leader' }) });
  const byRouter = group({ name: 'pd', endpoints: pairs, topology: topologyLike() });
  const plain = group({ name: 'plain', endpoints: endpoints(2) });
  const fit: [string, Parameters<typeof mismatchOf>, RegExp | null, boolean?][] = [
    ['single endpoints of a plain group', ['KVAware', { profile: single }, plain, { handsOver: true }], null],
    ['pairs of a group that says how', ['PDBucket', { profile: paired }, byRouter, { handsOver: true }], null],
    ['pairs with a leader behind a picker', ['PDBucket', { profile: paired }, byLeader, { handsOver: false }], null],
    ['pairs of a plain group with the labels', ['PDBucket', { profile: paired }, { ...plain, endpoints: [...endpoints(1, 7), ...pairs] }, { handsOver: false }], null],
    ['pairs of a plain group without endpoints yet', ['PDBucket', { profile: paired }, group(), { handsOver: false }], null],
    ['Auto of a group of pairs', ['Auto', { profile: single, pairProfile: paired }, byRouter, { handsOver: true }], null],
    ['single endpoints of a group of pairs', ['KVAware', { profile: single }, byLeader, { handsOver: true }], /^strategy KVAware picks single endpoints, and BackendGroup pd has .* use Auto, PDLeastTime, PDKVAware, PDBucket or RandomPDBucket$/, true],
    ['pairs of a plain group without labels', ['PDBucket', { profile: paired }, plain, { handsOver: true }], /^strategy PDBucket looks for pairs, and no endpoint of BackendGroup plain .*\(e0: no label openfuyao.com\/pdRole.*label the Pods, or use Auto$/, false],
    ['hand-over by a picker', ['PDBucket', { profile: paired }, byRouter, { handsOver: false }], /an endpoint picker cannot hand over.*write `handover: Leader`/, true],
  ]; // prettier-ignore
  it.each(fit)('%s', (_sentence, asked, message, isBar) => {
    const found = mismatchOf(...asked);
    if (message === null) expect(found).toBeNull();
    else {
      expect(found?.message).toMatch(message);
      expect(found?.isBar).toBe(isBar);
    }
  });
});

describe('compiling', () => {
  const context = contextOf(readyStates(8));
  const surroundings = (list: readonly Endpoint[]) => ({
    endpoints: list,
    learnedModels: [],
    connection: { scheme: 'http' as const, forwardAuthorization: false },
    prefixSource: noPrefixSource,
    discovered: met('Discovered', 'some endpoints'),
  });
  const byRouter = { topology: { type: 'PrefillDecode', prefillDecode: { handover: 'Router' } } };
  const groups = [groupResource('plain'), groupResource('pd', byRouter)];
  const lists: Record<string, readonly Endpoint[]> = { 'default/plain': endpoints(2, 4), 'default/pd': pairs };
  const input = (...policies: RoutingPolicy[]): CompileInput => ({
    generation: 1,
    groups,
    policies: policies.map((resource) => ({ resource, created: 0 })),
    broken: [],
    surroundings: (key) => surroundings(lists[key]),
  });
  const refs = (conditions: readonly Condition[] | undefined): Condition | undefined =>
    conditions?.find(({ type }) => type === 'ResolvedRefs');

  it('Auto serves both kinds of backends, each by its own profile, and says so', () => {
    const { table, verdicts } = compile(input(policyResource('Auto', { plain: 95, pd: 5 })), registry, context);
    const [policy] = table.policies;
    expect(policy.backends.map(({ group: { name }, weight }) => [name, weight])).toEqual([['plain', 95], ['pd', 5]]); // prettier-ignore
    expect(policy.profile?.parts.pairs).toBeUndefined();
    expect(policy.pairProfile?.parts.pairs).toBeDefined();
    expect(refs(verdicts.at(-1)?.conditions)).toMatchObject({ status: 'True' });
    expect(effectiveProfile(policy)).toBe(
      `${policy.profile?.parts.description ?? ''}; pairs: ${policy.pairProfile?.parts.description ?? ''}`,
    );
    expect([...rolesOf(policy.backends[1].group)]).toEqual([['x-p0', 'prefill'], ['x-d1', 'decode'], ['x-l2', 'leader']]); // prettier-ignore
    expect(rolesOf(policy.backends[0].group).size + rolesOf(undefined).size).toBe(0);
  });

  it.each([
    ['Auto', { pd: 1 }, /^filter-by-pd-label → scorer-pd-[^;]+$/],
    ['Auto', { plain: 1 }, /^scorer-auto x1 → picker-min-random$/],
    ['Auto', {}, /^scorer-auto x1 → picker-min-random$/],
    ['PDBucket', { plain: 1, pd: 1 }, /^filter-by-pd-label → scorer-pd-bucket[^;]+$/],
  ])('%s over %o is in effect one profile', (type, weights, wanted) => {
    const resource = policyResource(type, { gone: 1, ...weights });
    const [policy] = compile(input(resource), registry, context).table.policies;
    expect(effectiveProfile(policy)).toMatch(wanted);
    expect(effectiveProfile({ ...policy, profile: null })).toBeNull();
  });

  it.each(['KVAware', 'Random', 'SessionAffinity', 'Profile'])('%s leaves a group of pairs out', (type) => {
    const resource = policyResource(type === 'Profile' ? 'Random' : type, { plain: 95, pd: 5 });
    const spelled = { ...resource.spec, strategy: { type: 'Profile', profile: { scorers: [] } } };
    const asked = type === 'Profile' ? { ...resource, spec: spelled } : resource;
    const { table, verdicts } = compile(input(asked), registry, context);
    expect(table.policies[0].backends.map(({ group: { name } }) => name)).toEqual(['plain']);
    expect(refs(verdicts.at(-1)?.conditions)).toMatchObject({ status: 'False', reason: 'UnsupportedInMode' });
    expect(refs(verdicts.at(-1)?.conditions)?.message).toContain('their share goes to the other backends');
  });

  it('an endpoint picker leaves out groups whose router is to hand over', () => {
    const asked = input(policyResource('PDBucket', { pd: 1 }));
    const { table, verdicts } = compile(asked, registry, context, { handsOver: false });
    expect(table.policies[0].backends).toEqual([]);
    expect(refs(verdicts.at(-1)?.conditions)).toMatchObject({ status: 'False', reason: 'UnsupportedInMode' });
  });

  it('a policy without a match keeps the models of a group that it cannot use', () => {
    const [policy] = compile(input(policyResource('KVAware', { pd: 1 })), registry, context).table.policies;
    expect([policy.backends, policy.barred?.map(({ name }) => name)]).toEqual([[], ['pd']]);
  });

  it('tells a group of pairs what it lacks', () => {
    const asked = { ...input(), surroundings: () => surroundings(endpoints(2)) };
    const { verdicts } = compile(asked, registry, context);
    expect(verdicts.map(({ conditions }) => conditions.map(({ status }) => status))).toEqual([
      ['True', 'True'],
      ['True', 'True', 'False'],
    ]);
  });

  it('keeps both profiles while a policy stays, and makes that of pairs when it is first asked for', () => {
    const compiler = new Compiler(registry, context);
    const asked = input(policyResource('Auto', { plain: 1, pd: 1 }));
    const first = compiler.compile({ ...asked, groups: groups.slice(0, 1) }).table.policies[0];
    expect(first.pairProfile).toBeUndefined();
    const second = compiler.compile(asked).table.policies[0];
    expect(second.profile).toBe(first.profile);
    expect(second.pairProfile).toBeDefined();
    const moved = { ...asked, surroundings: () => surroundings(pairs) };
    expect(compiler.compile(moved).table.policies[0].pairProfile).toBe(second.pairProfile);
  });
});
