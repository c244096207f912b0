import { beforeEach, describe, expect, it } from 'vitest';
import { notYetDated } from './claims.ts';
import { ClusterState, type GoodVersion } from './cluster-state.ts';
import type { KubeObject } from './kube/contract.ts';
import { keepResource, type KeepOptions, type ResourceKind, type WatchedResource } from './watched.ts';

const goodPolicy = { backendRefs: [{ name: 'g' }], match: { models: ['m'] } };
const badPolicy = { ...goodPolicy, nonsense: 1 };
const goodGroup = {
  discovery: { type: 'Pods', pods: { selector: { matchLabels: { a: 'b' } }, targetPorts: [{ number: 1 }] } },
};

const usual: KeepOptions = { kind: 'RoutingPolicy', routerClass: 'hermes', allowExternalTargets: false };

function object(spec: object, over: Partial<KubeObject['metadata']> = {}): KubeObject {
  return {
    metadata: {
      name: 'x',
      namespace: 'ns',
      uid: 'u1',
      generation: 1,
      creationTimestamp: '2026-11-21T00:00:00Z',
      ...over,
    },
    spec,
  };
}

function kept(kind: ResourceKind, given: KubeObject): WatchedResource {
  const watched = keepResource({ ...usual, kind })(given);
  if (watched === null) throw new Error('of another class');
  return watched;
}

const policy = (spec: object, over: Partial<KubeObject['metadata']> = {}): WatchedResource =>
  kept('RoutingPolicy', object(spec, over));

let state: ClusterState;
beforeEach(() => (state = new ClusterState()));
const now = () => state.snapshot(new Map());

describe('keepResource', () => {
  it('keeps objects of its class only, the default class included', () => {
    expect(keepResource(usual)(object(goodPolicy))).not.toBeNull();
    expect(keepResource({ ...usual, routerClass: 'other' })(object(goodPolicy))).toBeNull();
    const other = object({ ...goodPolicy, routerClassName: 'other' });
    expect(keepResource(usual)(other)).toBeNull();
    expect(keepResource({ ...usual, routerClass: 'other' })(other)?.resource?.spec.routerClassName).toBe('other');
  });

  it('fills in the defaults of a valid object and names the faults of another', () => {
    expect(policy(goodPolicy)).toMatchObject({
      id: 'RoutingPolicy ns/x',
      key: 'ns/x',
      created: Date.parse('2026-11-21T00:00:00Z'),
      resource: { spec: { strategy: { type: 'Auto' } } },
      faults: [],
      document: null,
    });
    expect(policy(badPolicy)).toMatchObject({ resource: null, faults: [{ path: 'spec.nonsense' }] });
  });

  it('refuses a KV manager by URL unless targets outside are allowed', () => {
    const manager = { url: 'http://10.0.0.9:8080' };
    const given = object({ ...goodGroup, kvCache: { type: 'Manager', manager } });
    const options: KeepOptions = { ...usual, kind: 'BackendGroup' };
    expect(keepResource(options)(given)).toMatchObject({
      resource: null,
      faults: [{ path: 'spec.kvCache.manager.url' }],
    });
    expect(keepResource({ ...options, allowExternalTargets: true })(given)?.faults).toEqual([]);
    const byName = object({ ...goodGroup, kvCache: { type: 'Manager', manager: { service: { name: 's' } } } });
    expect(keepResource(options)(byName)?.faults).toEqual([]);
  });
});

describe('a store for prefixes', () => {
  it('by address is refused unless targets outside are allowed', () => {
    const prefixStore = { type: 'Redis', redis: { address: '127.0.0.1:6379' } };
    const given = object({ ...goodGroup, kvCache: { type: 'Approximate', prefixStore } });
    const options: KeepOptions = { ...usual, kind: 'BackendGroup' };
    expect(keepResource(options)(given)).toMatchObject({
      resource: null,
      faults: [{ path: 'spec.kvCache.prefixStore.redis.address' }],
    });
    expect(keepResource({ ...options, allowExternalTargets: true })(given)?.faults).toEqual([]);
  });
});

describe('the age of claims', () => {
  const day = Date.parse('2026-11-21T00:00:00Z');
  const withStatus = (spec: object, generation: number, claims?: object[]): WatchedResource =>
    kept('RoutingPolicy', { ...object(spec, { generation }), ...(claims === undefined ? {} : { status: { claims } }) });
  const recorded = [{ since: '2026-11-22T00:00:00Z', models: ['m'] }];
  const history = () => now().policies[0].history;

  it('is that of the policy while its spec is the one that it was made with', () => {
    state.set(policy(goodPolicy));
    expect(history()).toEqual({ recorded: new Map(), isOriginal: true });
  });

  it('is what its status records once it was changed, and changes with that alone', () => {
    state.set(withStatus(goodPolicy, 2));
    const before = now().policies[0];
    expect(history()).toEqual({ recorded: new Map(), isOriginal: false });
    expect(state.set(withStatus(goodPolicy, 2, recorded))).toBe(true);
    expect(history()?.recorded).toEqual(new Map([['m', day + 86_400_000]]));
    expect(now().policies[0]).not.toBe(before);
    expect(now().policies[0].resource).toBe(before.resource);
    expect(state.set(withStatus(goodPolicy, 2, recorded))).toBe(false);
  });

  it('is no news where a status says of a new policy what is known without it', () => {
    state.set(policy(goodPolicy));
    const before = now().policies[0];
    expect(state.set(withStatus(goodPolicy, 1, [{ since: '2026-11-21T00:00:00Z', models: ['m'] }]))).toBe(false);
    expect(now().policies[0]).toBe(before);
  });

  it('is told of groups, too: since they were made, or unknown once they were changed', () => {
    const dates = (generation: number): number[] => {
      state.set(kept('BackendGroup', object(goodGroup, { generation })));
      return [...(now().declaredSince?.values() ?? [])];
    };
    expect(dates(1)).toEqual([day]);
    expect(dates(2)).toEqual([notYetDated]);
  });
});

describe('ClusterState', () => {
  it('reads of a group that was never valid which models it was to serve', () => {
    state.set(kept('BackendGroup', object({ models: ['m', 7], discovery: {} })));
    expect(now().brokenGroups).toEqual([{ namespace: 'ns', name: 'x', models: ['m'] }]);
    state.set(kept('BackendGroup', object(goodGroup, { generation: 2 })));
    expect(now().brokenGroups).toEqual([]);
    // From here on its last good version is what counts.
    state.set(kept('BackendGroup', object({ models: ['m'] }, { generation: 3 })));
    expect([now().brokenGroups, now().groups.length]).toEqual([[], 1]);
  });

  it('puts valid objects in force', () => {
    state.set(policy(goodPolicy));
    state.set(kept('BackendGroup', object(goodGroup)));
    expect(now()).toMatchObject({
      groups: [{ kind: 'BackendGroup' }],
      policies: [{ created: Date.parse('2026-11-21T00:00:00Z'), resource: { kind: 'RoutingPolicy' } }],
      broken: [],
      faults: [],
    });
  });

  it('keeps the last good version of an object that is not valid any more, and says so', () => {
    state.set(policy(goodPolicy));
    expect(state.set(policy(badPolicy, { generation: 2 }))).toBe(true);
    expect(now()).toMatchObject({
      policies: [{ resource: { spec: { match: { models: ['m'] } } } }],
      broken: [],
      faults: [{ file: 'RoutingPolicy ns/x', path: 'spec.nonsense' }],
      lastGoodInForce: new Set(['RoutingPolicy ns/x']),
    });
    expect(state.get('RoutingPolicy ns/x')?.inForce?.generation).toBe(1);
  });

  it('takes over a version that is valid again', () => {
    state.set(policy(goodPolicy));
    state.set(policy(badPolicy, { generation: 2 }));
    state.set(policy({ ...goodPolicy, match: { models: ['n'] } }, { generation: 3 }));
    expect(now()).toMatchObject({ policies: [{ resource: { spec: { match: { models: ['n'] } } } }], faults: [] });
    expect(now().lastGoodInForce.size).toBe(0);
  });

  it('lets a policy that was never valid keep its match', () => {
    state.set(policy(badPolicy));
    expect(now()).toMatchObject({
      policies: [],
      broken: [{ namespace: 'ns', name: 'x', match: { models: ['m'] }, created: Date.parse('2026-11-21T00:00:00Z') }],
    });
  });

  it('forgets an object that is gone, its last good version included', () => {
    state.set(policy(goodPolicy));
    expect(state.remove('RoutingPolicy ns/x')).toBe(true);
    expect(state.remove('RoutingPolicy ns/x')).toBe(false);
    state.set(policy(badPolicy, { uid: 'u2' }));
    expect(now()).toMatchObject({ policies: [], broken: [{ name: 'x' }] });
  });

  it('keeps nothing of an object that was deleted and made anew between two looks', () => {
    state.set(policy(goodPolicy));
    state.set(policy(badPolicy, { uid: 'u2' }));
    expect(now()).toMatchObject({ policies: [], broken: [{ name: 'x' }] });
  });

  it('says when only the status has changed, and takes it in', () => {
    state.set(policy(goodPolicy));
    const before = now().policies[0];
    const written = kept('RoutingPolicy', { ...object(goodPolicy), status: { programmedReplicas: 1 } });
    expect(state.set(written)).toBe(false);
    expect(now().policies[0]).toBe(before);
    expect(state.get('RoutingPolicy ns/x')?.watched.status).toEqual({ programmedReplicas: 1 });
  });

  describe('with versions of an earlier run', () => {
    const version = (models: string[]): GoodVersion => {
      const { resource } = policy({ ...goodPolicy, match: { models } });
      if (resource === null) throw new Error('not valid');
      return { resource, generation: 7, created: 5 };
    };

    it('puts one in force where the object is not valid, whichever comes first', () => {
      expect(state.remember('u1', version(['old']))).toBe(false);
      state.set(policy(badPolicy));
      expect(now()).toMatchObject({ policies: [{ resource: { spec: { match: { models: ['old'] } } } }], broken: [] });
      state = new ClusterState();
      state.set(policy(badPolicy));
      expect(state.remember('u1', version(['old']))).toBe(true);
      expect(now().lastGoodInForce).toEqual(new Set(['RoutingPolicy ns/x']));
    });

    it('prefers what the object says where that is valid', () => {
      state.set(policy(goodPolicy));
      expect(state.remember('u1', version(['old']))).toBe(false);
      expect(now()).toMatchObject({ policies: [{ resource: { spec: { match: { models: ['m'] } } } }] });
    });

    it('gives nothing to another object of that name', () => {
      state.remember('u1', version(['old']));
      state.set(policy(badPolicy, { uid: 'u2' }));
      expect(now()).toMatchObject({ policies: [], broken: [{ name: 'x' }] });
    });
  });
});
