import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import type { EndpointSeed } from '../../router/endpoint.ts';
import {
  clusterOf,
  groupWith,
  namespace,
  objects,
  PlainNamespace,
  podOf,
  podsGroup,
  poolGroup,
  serviceGroup,
  tell,
} from './cluster.fixture.ts';
import { discover } from './discover.ts';
import { fieldsOf } from './fields.ts';
import type { PodView } from './pod-view.ts';
import { keepService, type ServiceView } from './service-view.ts';
import { keepEndpointSlice, type SliceEndpoint, type SliceView } from './slice-view.ts';

const short = ({ name, address, discoveredReady }: EndpointSeed): string =>
  `${name} ${address}${discoveredReady === false ? ' not ready' : ''}`;
const withPods = (...pods: PodView[]): PlainNamespace => {
  const view = new PlainNamespace();
  for (const pod of pods) view.setPod(pod);
  return view;
};
const vllm = podsGroup({ app: 'vllm' });
const seedsOf = (
  ...[group, view, allow = false]: [Parameters<typeof discover>[0], PlainNamespace, boolean?]
): string[] => discover(group, view, allow).seeds.map(short);
const conditionOf = (
  ...[group, view, allow = false]: [Parameters<typeof discover>[0], PlainNamespace, boolean?]
): string => {
  const { status, reason, message } = discover(group, view, allow).condition;
  return `${status} ${reason}: ${message}`;
};

describe('Pods', () => {
  it('finds those of a real cluster: running ones, ready or not, and none that ends', () => {
    const { seeds, condition } = discover(podsGroup({ app: 'qwen3-8b' }), clusterOf(), false);
    expect(seeds.map(short)).toEqual([
      'qwen3-8b-6d5f7c9b84-8kx2p 10.244.1.17:8000',
      'qwen3-8b-6d5f7c9b84-loads 10.244.2.9:8000 not ready',
    ]);
    expect(seeds[0]).toMatchObject({
      labels: { 'openfuyao.com/pdRole': 'aggregate' },
      ports: { 'zmq-pub': 5557, 'zmq-replay': 5558 },
    });
    expect(condition).toEqual({ type: 'Discovered', status: 'True', reason: 'Discovered', message: '2 endpoints' });
  });

  it.each([
    { says: 'all labels must be there', labels: { app: 'qwen3-8b', 'openfuyao.com/pdRole': 'aggregate' }, count: 1 },
    {
      says: 'a label of another value is another',
      labels: { app: 'qwen3-8b', 'openfuyao.com/pdRole': 'decode' },
      count: 0,
    },
    {
      says: 'one on the network of its node is fine',
      labels: { 'statefulset.kubernetes.io/pod-name': 'deepseek-0' },
      count: 1,
    },
  ])('$says', ({ labels, count }) => {
    expect(discover(podsGroup(labels), clusterOf(), false).seeds).toHaveLength(count);
  });

  it('makes every port an endpoint that is called after it', () => {
    expect(seedsOf(podsGroup({ app: 'deepseek' }, [8001, 8000]), clusterOf())).toEqual([
      'deepseek-0-8000 192.168.7.23:8000',
      'deepseek-0-8001 192.168.7.23:8001',
    ]);
  });

  it.each([
    {
      says: 'ordered by name, whatever the order of events',
      pods: ['c 10.0.0.3', 'a 10.0.0.1', 'b 10.0.0.2'],
      is: ['a 10.0.0.1:8000', 'b 10.0.0.2:8000', 'c 10.0.0.3:8000'],
    },
    { says: 'written with brackets for IPv6', pods: ['a fd00::1'], is: ['a [fd00::1]:8000'] },
    { says: 'only the first of those with one address', pods: ['b 10.0.0.1', 'a 10.0.0.1'], is: ['a 10.0.0.1:8000'] },
    { says: 'none without an address', pods: ['a '], is: [] },
    { says: 'none on loopback', pods: ['a 127.0.0.1', 'b 10.0.0.1'], is: ['b 10.0.0.1:8000'] },
  ])('are $says', ({ pods, is }) => {
    const views = pods.map((pod) => {
      const [name, address] = pod.split(' ');
      return podOf(name, { addresses: address === '' ? [] : [address] });
    });
    expect(seedsOf(vllm, withPods(...views))).toEqual(is);
  });

  it('prefers the ready one of two with the same address', () => {
    expect(seedsOf(vllm, withPods(podOf('a', { ready: false }), podOf('b')))).toEqual(['b 10.0.0.1:8000']);
  });

  it('keeps names within what a status takes, and apart', () => {
    const name = 'p'.repeat(253);
    const { seeds } = discover(podsGroup({ app: 'vllm' }, [8000, 8001]), withPods(podOf(name)), false);
    expect(seeds.map((seed) => [seed.name.length, seed.name.slice(-5)])).toEqual([
      [252, '-8000'],
      [252, '-8001'],
    ]);
  });

  it.each([
    {
      says: 'nothing matches',
      pods: [podOf('a', { labels: { app: 'x' } })],
      is: 'False NoMatch: no Pod of the namespace has the labels app=vllm',
    },
    {
      says: 'nothing runs',
      pods: [podOf('a', { addresses: [] })],
      is: 'False NoMatch: 1 Pods have the labels app=vllm, but none runs and has an address',
    },
    {
      says: 'an address is refused',
      pods: [podOf('a', { addresses: ['169.254.169.254'] })],
      is: 'False NoMatch: Pod a is at 169.254.169.254, where no group may point without --allow-external-targets',
    },
    {
      says: 'an address is refused beside good ones',
      pods: [podOf('a', { addresses: ['::1'] }), podOf('b')],
      is: 'True Discovered: 1 endpoints; Pod a is at ::1, where no group may point without --allow-external-targets',
    },
  ])('says so when $says', ({ pods, is }) => {
    expect(conditionOf(vllm, withPods(...pods))).toBe(is);
  });

  it('tells three faults, and how many more there are', () => {
    const pods = ['a', 'b', 'c', 'd', 'e'].map((name) => podOf(name, { addresses: ['127.0.0.1'] }));
    expect(conditionOf(vllm, withPods(...pods))).toMatch(
      /^False NoMatch: Pod a .*Pod b .*Pod c .*; and 2 more like these$/,
    );
  });

  it('are anywhere with --allow-external-targets', () => {
    expect(seedsOf(vllm, withPods(podOf('a', { addresses: ['127.0.0.1'] })), true)).toEqual(['a 127.0.0.1:8000']);
  });
});

const service = (changes: Partial<ServiceView> = {}): ServiceView => {
  const view = keepService(objects.get('Service qwen3-8b'));
  if (view === null) throw new Error('no Service');
  return { ...view, name: 's', ...changes };
};
const slice = (
  endpoints: (Partial<SliceEndpoint> & { address: string })[],
  changes: Partial<SliceView> = {},
): SliceView => {
  const view = keepEndpointSlice(objects.get('EndpointSlice qwen3-8b-fh2zc'));
  if (view === null) throw new Error('no EndpointSlice');
  const full = endpoints.map((endpoint) => ({ pod: '', ready: true, ...endpoint }));
  return { ...view, name: 's-1', service: 's', endpoints: full, ...changes };
};
/** The Pods that slices speak of are there, unless others are given. */
const withService = (view: ServiceView, slices: SliceView[], pods = podsBehind(slices)): PlainNamespace => {
  const cluster = withPods(...pods);
  cluster.setService(view);
  for (const one of slices) cluster.setEndpointSlice(one);
  return cluster;
};
const podsBehind = (slices: SliceView[]): PodView[] =>
  slices.flatMap(({ endpoints }) =>
    endpoints.filter(({ pod }) => pod !== '').map(({ pod, address }) => podOf(pod, { addresses: [address] })),
  );
const byName = (name: string, port = 80) => serviceGroup({ name, port });

describe('Service', () => {
  it('finds the endpoints behind a real one, of its first family, with labels and ports of their Pods', () => {
    const { seeds, references } = discover(byName('qwen3-8b'), clusterOf(), false);
    expect(seeds.map(short)).toEqual([
      'qwen3-8b-6d5f7c9b84-8kx2p 10.244.1.17:8000',
      'qwen3-8b-6d5f7c9b84-loads 10.244.2.9:8000 not ready',
    ]);
    expect(seeds[0]).toMatchObject({ labels: { 'openfuyao.com/engine': 'vllm' }, ports: { 'zmq-pub': 5557 } });
    expect([[...references.services], [...references.pods].length]).toEqual([['qwen3-8b'], 2]);
  });

  it('finds the endpoints behind several by their labels, and their own address where nobody makes slices', () => {
    const view = clusterOf();
    tell(
      {
        ...(objects.get('Service alone') as object),
        metadata: { name: 'alone', namespace, labels: { hermes: 'yes' } },
      },
      view,
    );
    const group = serviceGroup({ selector: { matchLabels: { hermes: 'yes' } }, port: 80 });
    expect(seedsOf(group, view)).toEqual([
      'alone 10.96.31.9:80',
      'qwen3-8b-6d5f7c9b84-8kx2p 10.244.1.17:8000',
      'qwen3-8b-6d5f7c9b84-loads 10.244.2.9:8000 not ready',
    ]);
    expect(conditionOf(group, view)).toBe('True Discovered: 3 endpoints; the Service idle has no endpoints');
  });

  it.each([
    { says: 'of another port, by its name', port: 5557, is: ['a 10.0.0.1:5557'] },
    {
      says: 'whose name starts with at- where no Pod is named, if that is allowed',
      endpoints: [{ address: '10.0.0.1' }],
      allow: true,
      is: ['at-10-0-0-1-8000 10.0.0.1:8000'],
    },
    {
      says: 'named by an IPv6 address',
      endpoints: [{ address: 'fd00::1' }],
      allow: true,
      is: ['at-fd00--1-8000 [fd00::1]:8000'],
    },
    { says: 'never where no Pod is named', endpoints: [{ address: '10.0.0.1' }], is: [] },
    {
      says: 'named twice once',
      endpoints: [
        { address: '10.0.0.1', pod: 'a', ready: false },
        { address: '10.0.0.1', pod: 'a' },
      ],
      is: ['a 10.0.0.1:8000'],
    },
    { says: 'never on loopback', endpoints: [{ address: '127.0.0.1', pod: 'a' }], is: [] },
    { says: 'never by host name', endpoints: [{ address: 'engine.example' }], is: [] },
    {
      says: 'by host name if that is allowed',
      endpoints: [{ address: 'engine.example' }],
      allow: true,
      is: ['at-engine-example-8000 engine.example:8000'],
    },
  ])('gives endpoints $says', ({ port = 80, endpoints, allow, is }) => {
    const behind: Parameters<typeof slice>[0] = endpoints ?? [{ address: '10.0.0.1', pod: 'a' }];
    expect(seedsOf(byName('s', port), withService(service({ family: '' }), [slice(behind)]), allow)).toEqual(is);
  });

  it.each([
    { says: 'a Pod that is known to end is none', pod: podOf('a', { ending: true }), is: [] },
    {
      says: 'a Pod of that name made anew is not at the old address',
      pod: podOf('a', { addresses: ['10.0.0.9'] }),
      is: [],
    },
    { says: 'a Pod that is not there is nowhere', pod: podOf('b'), is: [] },
    { says: 'readiness is that of the slice', pod: podOf('a', { ready: false }), is: ['a 10.0.0.1:8000'] },
  ])('$says', ({ pod, is }) => {
    const view = withService(service(), [slice([{ address: '10.0.0.1', pod: 'a' }])], [pod]);
    expect(seedsOf(byName('s'), view)).toEqual(is);
  });

  it('says so when a slice names an address that is not that of its Pod, which only a hand can have written', () => {
    const behind = [slice([{ address: '10.0.0.1', pod: 'a' }, { address: '10.0.0.2' }])];
    const view = withService(service(), behind, [podOf('a', { addresses: ['10.0.0.9'] })]);
    const only = 'that is allowed with --allow-external-targets only';
    expect(conditionOf(byName('s'), view)).toBe(
      `False NoMatch: an EndpointSlice of the Service s names 10.0.0.1, where no Pod a of the namespace is: ${only}; ` +
        `an EndpointSlice of the Service s names 10.0.0.2, which is no Pod of the namespace: ${only}`,
    );
    const [known, unknown] = discover(byName('s'), view, true).seeds;
    expect([known.name, known.labels, unknown.name]).toEqual(['a', {}, 'at-10-0-0-2-8000']);
  });

  it('takes what a hand has written into a slice where slices are trusted, but nothing that no group may point at', () => {
    const behind = [slice([{ address: '10.0.0.1', pod: 'a' }, { address: '10.0.0.2' }, { address: '127.0.0.1' }])];
    const view = withService(service(), behind, [podOf('a', { addresses: ['10.0.0.9'] })]);
    expect(discover(byName('s'), view, false, true).seeds.map(short)).toEqual([
      'a 10.0.0.1:8000',
      'at-10-0-0-2-8000 10.0.0.2:8000',
    ]);
  });

  it('takes a Pod behind two Services once, though their ports lead to different ones of its own', () => {
    const view = withService(service({ labels: { a: 'b' } }), [slice([{ address: '10.0.0.1', pod: 'a' }])]);
    view.setService(service({ name: 't', labels: { a: 'b' } }));
    view.setEndpointSlice(
      slice([{ address: '10.0.0.1', pod: 'a' }], { name: 't-1', service: 't', ports: { http: 8001 } }),
    );
    expect(seedsOf(serviceGroup({ selector: { matchLabels: { a: 'b' } }, port: 80 }), view)).toEqual([
      'a 10.0.0.1:8000',
    ]);
  });

  it('follows a port whose number differs from slice to slice', () => {
    const view = withService(service(), [
      slice([{ address: '10.0.0.1', pod: 'a' }]),
      slice([{ address: '10.0.0.2', pod: 'b' }], { name: 's-2', ports: { http: 9000 } }),
      slice([{ address: '10.0.0.3', pod: 'c' }], { name: 's-3', ports: {} }),
    ]);
    expect(seedsOf(byName('s'), view)).toEqual(['a 10.0.0.1:8000', 'b 10.0.0.2:9000']);
  });

  it.each([
    { says: 'is not there', group: byName('gone'), is: 'False NoMatch: no Service of the namespace is called gone' },
    {
      says: 'is selected by labels that none has',
      group: serviceGroup({ selector: { matchLabels: { a: 'b' } }, port: 80 }),
      is: 'False NoMatch: no Service of the namespace has the labels a=b',
    },
    {
      says: 'lacks the port',
      group: byName('qwen3-8b', 8000),
      is: 'False PortNotFound: the Service qwen3-8b has no TCP port 8000 (it has 80, 5557)',
    },
    { says: 'is scaled to zero', group: byName('idle'), is: 'False NoMatch: the Service idle has no endpoints' },
    {
      says: 'is headless and has no slices',
      group: byName('headless'),
      is: 'False NoMatch: the headless Service headless has no EndpointSlices',
    },
    {
      says: 'is an ExternalName',
      group: byName('outside'),
      is: 'False NoMatch: the Service outside is an ExternalName, which is allowed with --allow-external-targets only',
    },
    {
      says: 'has endpoints by hand',
      group: byName('by-hand'),
      is: 'False NoMatch: the Service by-hand has no selector, so that its endpoints are written by hand, which is allowed with --allow-external-targets only',
    },
  ])('says so when it $says', ({ group, is }) => {
    expect(conditionOf(group, clusterOf())).toBe(is);
  });

  it('says so when nothing behind it has the port', () => {
    const view = withService(service(), [slice([{ address: '10.0.0.1', pod: 'a' }], { ports: {} })]);
    expect(conditionOf(byName('s'), view)).toBe('False PortNotFound: nothing behind the Service s has its port http');
  });

  it.each([
    ['alone', ['alone 10.96.31.9:80']],
    ['outside', ['outside engine.example:80']],
    ['by-hand', ['at-172-16-0-9-8000 172.16.0.9:8000']],
  ])('leads outside with --allow-external-targets: %s', (name, is) => {
    expect(seedsOf(byName(name), clusterOf(), true)).toEqual(is);
  });
});

describe('InferencePool', () => {
  it('makes every port of every Pod that it selects an endpoint', () => {
    const { seeds, references } = discover(poolGroup('pool'), clusterOf(), false);
    expect(seeds.map(short)).toEqual(['deepseek-0-8000 192.168.7.23:8000', 'deepseek-0-8001 192.168.7.23:8001']);
    expect([[...references.pools], references.podSelector]).toEqual([['pool'], { app: 'deepseek' }]);
  });

  it.each([
    { says: 'there is none', pool: null, is: 'False NoMatch: no InferencePool of the namespace is called pool' },
    {
      says: 'it has no ports',
      pool: { selector: { app: 'deepseek' }, targetPorts: [] },
      is: 'False PortNotFound: the InferencePool pool has no target ports',
    },
    {
      says: 'it selects nothing',
      pool: { selector: {}, targetPorts: [8000] },
      is: 'False NoMatch: the InferencePool pool selects nothing',
    },
  ])('says so when $says', ({ pool, is }) => {
    const view = withPods(podOf('a'));
    if (pool !== null) view.setInferencePool({ namespace, name: 'pool', ...pool });
    expect(conditionOf(poolGroup('pool'), view)).toBe(is);
  });
});

describe('docs/guides/discovery.md', () => {
  const guide = readFileSync(new URL('../../../docs/guides/discovery.md', import.meta.url), 'utf8');
  const examples = [...guide.matchAll(/```yaml\n([^]*?)```/g)].map(([, text]) => fieldsOf(load(text)));

  it('shows every way, as it is valid', () => {
    const ways = examples.map(({ discovery, spec }) => discovery ?? fieldsOf(spec).discovery);
    const types = ways.map((way) => groupWith(way).spec.discovery.type);
    expect(types).toEqual(['Pods', 'Service', 'InferencePool', 'Static']);
  });
});

describe('Static', () => {
  const group = groupWith({ type: 'Static', static: { endpoints: [{ name: 'e1', address: '127.0.0.1:9001' }] } });

  it('is refused in a cluster', () => {
    expect(seedsOf(group, clusterOf())).toEqual([]);
    expect(conditionOf(group, clusterOf())).toMatch(
      /^False NoMatch: discovery Static .* --allow-external-targets only/,
    );
  });

  it('is fine with --allow-external-targets', () => {
    expect(seedsOf(group, clusterOf(), true)).toEqual(['e1 127.0.0.1:9001']);
  });
});
