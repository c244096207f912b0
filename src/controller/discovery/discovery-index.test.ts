import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { BackendGroup } from '../../api/backend-group.ts';
import type { EndpointSeed } from '../../router/endpoint.ts';
import { keyOf } from '../compile.ts';
import type { Found } from '../found.ts';
import {
  groupWith,
  objects,
  PlainNamespace,
  podOf,
  podsGroup,
  poolGroup,
  serviceGroup,
  tell,
  type Teller,
} from './cluster.fixture.ts';
import { discover } from './discover.ts';
import { DiscoveryIndex, type DiscoveryOptions } from './discovery-index.ts';
import type { PodView } from './pod-view.ts';
import type { PoolView } from './pool-view.ts';
import type { ServiceView } from './service-view.ts';
import type { SliceView } from './slice-view.ts';

/** An index that can be asked by the key of a group that it was told of. */
class AskedByKey extends DiscoveryIndex {
  private readonly told = new Map<string, BackendGroup>();

  override setGroup(group: BackendGroup): void {
    this.told.set(keyOf(group.metadata), group);
    super.setGroup(group);
  }

  foundOf(key: string): Found {
    const group = this.told.get(key);
    if (group === undefined) throw new Error(`nobody has told of the group ${key}`);
    return this.find(group);
  }

  seedsOf(key: string): readonly EndpointSeed[] {
    return this.foundOf(key).seeds;
  }
}

let index: AskedByKey;
beforeEach(() => {
  index = new AskedByKey({ allowExternalTargets: false });
});

const namespace = 'ai-inference';
const vllm = podsGroup({ app: 'vllm' });
const names = (key = `${namespace}/g`): string[] => index.seedsOf(key).map(({ name }) => name);
const dirty = (): string[] => [...index.takeDirty()].map((key) => key.replace(/^.*\//, '')).sort();

const teller = (): Teller => ({
  setPod: (view) => index.setPod(view),
  setService: (view) => index.setService(view),
  setEndpointSlice: (view) => index.setEndpointSlice(view),
  setInferencePool: (view) => index.setInferencePool(view),
});

describe('DiscoveryIndex', () => {
  it('finds the endpoints of a group, whichever is told first', () => {
    index.setPod(podOf('a'));
    index.setGroup(vllm);
    index.setPod(podOf('b', { addresses: ['10.0.0.2'] }));
    expect([dirty(), names()]).toEqual([['g'], ['a', 'b']]);
    expect(index.foundOf(`${namespace}/g`).condition.message).toBe('2 endpoints');
  });

  it('gives the very same answer while nothing has changed', () => {
    for (const object of objects.values()) tell(object, index);
    const group = podsGroup({ app: 'qwen3-8b' });
    const before = index.find(group);
    dirty();
    for (const object of objects.values()) tell(structuredClone(object), index);
    expect(dirty()).toEqual([]);
    expect(index.find(podsGroup({ app: 'qwen3-8b' }))).toBe(before);
    expect(Object.isFrozen(before.seeds)).toBe(true);
  });

  it('keeps the endpoints that stay as they are when others change', () => {
    index.setPod(podOf('a'));
    index.setGroup(vllm);
    const [a] = index.seedsOf(`${namespace}/g`);
    index.setPod(podOf('b', { addresses: ['10.0.0.2'], ready: false }));
    expect(index.seedsOf(`${namespace}/g`)[0]).toBe(a);
    expect(dirty()).toEqual(['g']);
    index.setPod(podOf('b', { addresses: ['10.0.0.2'] }));
    expect([dirty(), index.seedsOf(`${namespace}/g`)[1].discoveredReady]).toEqual([['g'], undefined]);
  });

  it('changes no endpoint when only the condition changes', () => {
    index.setPod(podOf('a'));
    const before = index.find(vllm);
    index.setPod(podOf('b', { addresses: ['127.0.0.1'] }));
    expect(index.find(vllm)).not.toBe(before);
    expect(index.find(vllm).seeds).toBe(before.seeds);
    expect(index.find(vllm).condition.message).toContain('Pod b is at 127.0.0.1');
  });

  it('concerns only the groups that select a Pod', () => {
    index.setGroup(podsGroup({ app: 'vllm', model: 'x' }, [8000], 'x'));
    index.setGroup(podsGroup({ app: 'vllm', model: 'y' }, [8000], 'y'));
    index.setGroup(podsGroup({ app: 'vllm' }, [8000], 'all'));
    expect(dirty()).toEqual(['all', 'x', 'y']);
    index.setPod(podOf('a', { labels: { app: 'vllm', model: 'x' } }));
    expect(dirty()).toEqual(['all', 'x']);
    index.setPod(podOf('a', { labels: { app: 'vllm', model: 'y' } }));
    expect(dirty()).toEqual(['all', 'x', 'y']);
    index.removePod({ namespace, name: 'a' });
    expect(dirty()).toEqual(['all', 'y']);
  });

  it('keeps namespaces apart', () => {
    index.setGroup(groupWith(podsGroup({ app: 'vllm' }).spec.discovery, 'g', 'other'));
    index.setPod(podOf('a'));
    expect(names('other/g')).toEqual([]);
    index.setPod(podOf('a', { namespace: 'other' }));
    expect(names('other/g')).toEqual(['a']);
  });

  it('follows a Service from its slices to the labels of its Pods', () => {
    index.setGroup(serviceGroup({ name: 'qwen3-8b', port: 80 }));
    expect(dirty()).toEqual(['g']);
    const steps = ['Service qwen3-8b', 'EndpointSlice qwen3-8b-fh2zc', 'Pod qwen3-8b-6d5f7c9b84-8kx2p'];
    for (const step of steps) {
      tell(objects.get(step), index);
      expect([step, dirty()]).toEqual([step, ['g']]);
    }
    expect(index.seedsOf(`${namespace}/g`)[0].labels.app).toBe('qwen3-8b');
    tell(objects.get('Service idle'), index);
    tell(objects.get('Pod deepseek-0'), index);
    expect(dirty()).toEqual([]);
    index.removeService({ namespace, name: 'qwen3-8b' });
    expect([dirty(), names()]).toEqual([['g'], []]);
  });

  it('follows a slice from one Service to another', () => {
    for (const name of ['a', 'b']) {
      tell(objects.get('Service alone'), { ...teller(), setService: (view) => index.setService({ ...view, name }) });
      index.setGroup(serviceGroup({ name, port: 80 }, name));
    }
    const slice = { namespace, name: 'l', family: 'IPv4', ports: { '': 8000 } };
    const endpoints = [{ address: '10.0.0.1', pod: 'p', ready: true }];
    index.setPod(podOf('p'));
    index.setEndpointSlice({ ...slice, service: 'a', endpoints });
    expect([dirty(), names(`${namespace}/a`)]).toEqual([['a', 'b'], ['p']]);
    index.setEndpointSlice({ ...slice, service: 'b', endpoints });
    expect(dirty()).toEqual(['a', 'b']);
    expect([names(`${namespace}/a`), names(`${namespace}/b`)]).toEqual([['a'], ['p']]);
  });

  it('follows an InferencePool to other Pods', () => {
    index.setGroup(poolGroup('pool'));
    tell(objects.get('Pod deepseek-0'), index);
    tell(objects.get('InferencePool pool'), index);
    expect([dirty(), names()]).toEqual([['g'], ['deepseek-0-8000', 'deepseek-0-8001']]);
    index.setInferencePool({ namespace, name: 'pool', selector: { app: 'vllm' }, targetPorts: [8000] });
    expect([dirty(), names()]).toEqual([['g'], []]);
    index.setPod(podOf('a'));
    expect(names()).toEqual(['a']);
    index.removeInferencePool({ namespace, name: 'pool' });
    expect(names()).toEqual([]);
  });

  it('knows nothing of a group that is gone', () => {
    index.setGroup(vllm);
    index.removeGroup(`${namespace}/g`);
    index.setPod(podOf('a'));
    expect(dirty()).toEqual([]);
  });

  it('refuses what may lead outside unless it is allowed', () => {
    const group = groupWith({ type: 'Static', static: { endpoints: [{ name: 'e1', address: '127.0.0.1:1' }] } });
    const open = new DiscoveryIndex({ allowExternalTargets: true });
    expect([index.find(group).seeds.length, open.find(group).seeds.length]).toEqual([0, 1]);
  });
});

describe('Services that groups name for other things', () => {
  const asked = (options: Partial<DiscoveryOptions>, name: string, address: string): string | null => {
    const all = new DiscoveryIndex({ allowExternalTargets: false, watchesNamedServices: true, ...options });
    for (const object of objects.values())
      tell(object, {
        setPod: (view) => all.setPod(view),
        setService: (view) => all.setService(view),
        setEndpointSlice: (view) => all.setEndpointSlice(view),
        setInferencePool: (view) => all.setInferencePool(view),
      });
    return all.refusalOf({ namespace, name }, address);
  };
  const strict = {};
  const unseen = { watchesNamedServices: false };
  const only = 'which is allowed with --allow-external-targets only';
  const cases: [string, Partial<DiscoveryOptions>, string, string, string | null][] = [
    ['are reached at their own address', strict, 'idle', '10.96.31.8', null],
    ['are reached at that of their second family', strict, 'qwen3-8b', 'fd00:10:96::1f07', null],
    ['are reached, where headless, at a Pod', strict, 'headless', '10.244.1.17', null],
    ['are reached nowhere else, whatever their name means', strict, 'idle', '10.96.31.9', 'the Service idle is not at 10.96.31.9'],
    ['are reached, where headless, at nothing but a Pod', strict, 'headless', '10.96.31.8', 'the Service headless is not at 10.96.31.8'],
    ['must be there', strict, 'gone', '10.96.31.8', 'no Service of the namespace is called gone'],
    ['must not be names for others', strict, 'outside', '10.96.31.8', `the Service outside is an ExternalName, ${only}`],
    ['must not have endpoints by hand', strict, 'by-hand', '10.96.31.10', `the Service by-hand has no selector, so that its endpoints are written by hand, ${only}`],
    ['never lead to loopback', strict, 'idle', '127.0.0.1', 'the Service idle leads to 127.0.0.1, where no group may point'],
    ['never lead to link-local, watched or not', unseen, 'idle', '169.254.169.254', 'the Service idle leads to 169.254.169.254, where no group may point'],
    ['lead anywhere else where nobody watches them', unseen, 'gone', '10.0.0.1', null],
    ['lead anywhere with --allow-external-targets', { allowExternalTargets: true }, 'gone', '127.0.0.1', null],
  ]; // prettier-ignore
  it.each(cases)('%s', (_sentence, options, name, address, refusal) => {
    expect(asked(options, name, address)).toBe(refusal);
  });
});

const labels = fc.dictionary(fc.constantFrom('app', 'model'), fc.constantFrom('x', 'y'), { maxKeys: 2 });
const selector = fc.dictionary(fc.constantFrom('app', 'model'), fc.constantFrom('x', 'y'), { minKeys: 1, maxKeys: 2 });
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', '127.0.0.1');
const podName = fc.constantFrom('p1', 'p2', 'p3');
const serviceName = fc.constantFrom('s1', 's2');
const poolName = fc.constantFrom('q1', 'q2');
const ports = fc.constantFrom<readonly number[]>([8000], [8000, 8001], [9000]);

const pod: fc.Arbitrary<PodView> = fc.record({
  namespace: fc.constant(namespace),
  name: podName,
  labels,
  addresses: fc.uniqueArray(address, { maxLength: 2 }),
  ports: fc.constantFrom<Record<string, number>>({}, { 'zmq-pub': 5557 }),
  ready: fc.boolean(),
  ending: fc.boolean(),
});
const service: fc.Arbitrary<ServiceView> = fc.record({
  namespace: fc.constant(namespace),
  name: serviceName,
  labels,
  clusterIP: fc.constantFrom('', '10.96.0.1', '10.96.0.2'),
  clusterIPs: fc.constantFrom([], ['10.96.0.1'], ['10.96.0.1', 'fd00::1']),
  family: fc.constantFrom('', 'IPv4', 'IPv6'),
  ports: fc.constantFrom([{ name: 'http', number: 80 }], [{ name: '', number: 80 }], []),
  hasSelector: fc.boolean(),
  externalName: fc.constantFrom('', 'x.example'),
});
const slice: fc.Arbitrary<SliceView> = fc.record({
  namespace: fc.constant(namespace),
  name: fc.constantFrom('l1', 'l2', 'l3'),
  service: serviceName,
  family: fc.constantFrom('IPv4', 'IPv6'),
  ports: fc.constantFrom<Record<string, number>>({}, { http: 8000 }, { '': 8000 }),
  endpoints: fc.array(fc.record({ address, pod: fc.oneof(podName, fc.constant('')), ready: fc.boolean() }), {
    maxLength: 3,
  }),
});
const pool: fc.Arbitrary<PoolView> = fc.record({
  namespace: fc.constant(namespace),
  name: poolName,
  selector: labels,
  targetPorts: ports,
});
const group: fc.Arbitrary<BackendGroup> = fc
  .tuple(
    fc.constantFrom('g1', 'g2', 'g3'),
    fc.oneof(
      fc.tuple(selector, ports).map(([matchLabels, numbers]) => ({
        type: 'Pods',
        pods: { selector: { matchLabels }, targetPorts: numbers.map((number) => ({ number })) },
      })),
      serviceName.map((name) => ({ type: 'Service', service: { name, port: 80 } })),
      selector.map((matchLabels) => ({ type: 'Service', service: { selector: { matchLabels }, port: 80 } })),
      poolName.map((name) => ({ type: 'InferencePool', inferencePool: { name } })),
    ),
  )
  .map(([name, discovery]) => groupWith(discovery, name));

/** Every object there is, by kind and name, beside the index. */
class Truth {
  readonly groups = new Map<string, BackendGroup>();
  readonly pods = new Map<string, PodView>();
  readonly services = new Map<string, ServiceView>();
  readonly slices = new Map<string, SliceView>();
  readonly pools = new Map<string, PoolView>();

  namespace(): PlainNamespace {
    const view = new PlainNamespace();
    for (const one of this.pods.values()) view.setPod(one);
    for (const one of this.services.values()) view.setService(one);
    for (const one of this.slices.values()) view.setEndpointSlice(one);
    for (const one of this.pools.values()) view.setInferencePool(one);
    return view;
  }
}

type Step = (index: DiscoveryIndex, truth: Truth) => void;
const set =
  <V extends { name: string }>(
    kind: Exclude<keyof Truth, 'groups' | 'namespace'>,
    tellIndex: (index: DiscoveryIndex, view: V) => void,
  ) =>
  (view: V): Step =>
  (to, truth) => {
    (truth[kind] as unknown as Map<string, V>).set(view.name, view);
    tellIndex(to, view);
  };
const steps: fc.Arbitrary<Step> = fc.oneof(
  pod.map(set<PodView>('pods', (to, view) => to.setPod(view))),
  service.map(set<ServiceView>('services', (to, view) => to.setService(view))),
  slice.map(set<SliceView>('slices', (to, view) => to.setEndpointSlice(view))),
  pool.map(set<PoolView>('pools', (to, view) => to.setInferencePool(view))),
  group.map((one): Step => (to, truth) => {
    truth.groups.set(`${namespace}/${one.metadata.name}`, one);
    to.setGroup(one);
  }),
  podName.map((name): Step => (to, truth) => {
    truth.pods.delete(name);
    to.removePod({ namespace, name });
  }),
  serviceName.map((name): Step => (to, truth) => {
    truth.services.delete(name);
    to.removeService({ namespace, name });
  }),
  fc.constantFrom('l1', 'l2', 'l3').map((name): Step => (to, truth) => {
    truth.slices.delete(name);
    to.removeEndpointSlice({ namespace, name });
  }),
  poolName.map((name): Step => (to, truth) => {
    truth.pools.delete(name);
    to.removeInferencePool({ namespace, name });
  }),
  fc.constantFrom('g1', 'g2', 'g3').map((name): Step => (to, truth) => {
    truth.groups.delete(`${namespace}/${name}`);
    to.removeGroup(`${namespace}/${name}`);
  }),
);

describe('any sequence of changes', () => {
  it('leads to what a look at everything finds, and tells every group that has changed', () => {
    const run = fc.property(fc.array(fc.tuple(steps, fc.boolean()), { maxLength: 40 }), (sequence) => {
      const incremental = new AskedByKey({ allowExternalTargets: false });
      const truth = new Truth();
      let told = new Map<string, unknown>();
      for (const [step, look] of sequence) {
        step(incremental, truth);
        if (!look) continue;
        const changed = incremental.takeDirty();
        const now = new Map<string, unknown>();
        for (const [key, one] of truth.groups) {
          const { seeds, condition } = discover(one, truth.namespace(), false);
          expect(incremental.foundOf(key)).toEqual({ seeds, condition });
          now.set(key, incremental.foundOf(key));
          expect([key, changed.has(key)]).toEqual([key, told.get(key) !== now.get(key)]);
        }
        told = now;
      }
    });
    fc.assert(run, { numRuns: 300 });
  });

  it('gives every name and every address once, in order', () => {
    const run = fc.property(fc.array(steps, { maxLength: 40 }), (sequence) => {
      const incremental = new AskedByKey({ allowExternalTargets: true });
      const truth = new Truth();
      for (const step of sequence) step(incremental, truth);
      for (const key of truth.groups.keys()) {
        const seeds = incremental.seedsOf(key);
        expect(seeds.map(({ name }) => name)).toEqual([...new Set(seeds.map(({ name }) => name))].sort());
        expect(new Set(seeds.map((seed) => seed.address)).size).toBe(seeds.length);
      }
    });
    fc.assert(run);
  });
});
