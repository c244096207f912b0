import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { namespace, objects } from './cluster.fixture.ts';
import { fieldsOf } from './fields.ts';
import { keepPod, samePod } from './pod-view.ts';
import { keepInferencePool, samePool } from './pool-view.ts';
import { keepService, sameService } from './service-view.ts';
import { keepEndpointSlice, sameSlice } from './slice-view.ts';

/** A copy of a fixture with some fields of one of its parts changed. */
function changed(name: string, part: 'metadata' | 'spec' | 'status' | '', changes: Record<string, unknown>): unknown {
  const object = fieldsOf(structuredClone(objects.get(name)));
  return part === '' ? { ...object, ...changes } : { ...object, [part]: { ...fieldsOf(object[part]), ...changes } };
}

const ready = 'Pod qwen3-8b-6d5f7c9b84-8kx2p';

describe('keepPod', () => {
  it('keeps what discovery reads and nothing else', () => {
    expect(keepPod(objects.get(ready))).toEqual({
      namespace,
      name: 'qwen3-8b-6d5f7c9b84-8kx2p',
      labels: {
        app: 'qwen3-8b',
        'openfuyao.com/engine': 'vllm',
        'openfuyao.com/model': 'qwen-qwen3-8b',
        'openfuyao.com/pdRole': 'aggregate',
        'pod-template-hash': '6d5f7c9b84',
      },
      addresses: ['10.244.1.17', 'fd00:10:244:1::11'],
      ports: { http: 8000, 'zmq-pub': 5557, 'zmq-replay': 5558, mooncake: 50051 },
      ready: true,
      ending: false,
    });
  });

  it.each([
    ['qwen3-8b-6d5f7c9b84-loads', { addresses: ['10.244.2.9'], ready: false, ending: false }],
    ['qwen3-8b-6d5f7c9b84-ends', { addresses: ['10.244.1.18'], ready: true, ending: true }],
    ['qwen3-8b-6d5f7c9b84-waits', { addresses: [], ready: false, ending: false, ports: {} }],
    ['warm-up-x7k2b', { ready: false, ending: true }],
    ['qwen3-8b-6d5f7c9b84-evict', { ready: false, ending: true, ports: {} }],
    ['deepseek-0', { addresses: ['192.168.7.23'], ready: true, ending: false }],
  ])('reads %s', (name, expected) => {
    expect(keepPod(objects.get(`Pod ${name}`))).toMatchObject(expected);
  });

  it.each([
    { says: 'an address that is none is passed over', part: 'status', changes: { podIP: 'x', podIPs: [{ ip: 7 }] } },
    { says: 'labels that are no texts are passed over', part: 'metadata', changes: { name: 'p', labels: { a: 7 } } },
    {
      says: 'ports that are none are passed over',
      part: 'spec',
      changes: { containers: [null, { ports: [{ name: 'a', containerPort: 70_000 }] }] },
    },
  ] as const)('$says', ({ part, changes }) => {
    const view = keepPod(changed(ready, part, { podIPs: [], ...changes }));
    expect([view?.addresses.length, Object.keys(view?.labels ?? {}).length, view?.ports.a]).toEqual(
      { status: [0, 5, undefined], metadata: [2, 0, undefined], spec: [2, 5, undefined] }[part],
    );
  });

  it('takes the port of the first container that has the name', () => {
    const containers = [{ ports: [{ name: 'a', containerPort: 1 }] }, { ports: [{ name: 'a', containerPort: 2 }] }];
    expect(keepPod(changed(ready, 'spec', { containers }))?.ports.a).toBe(1);
  });
});

describe('samePod', () => {
  const before = keepPod(objects.get(ready));
  const conditions = [{ type: 'Ready', status: 'False' }];
  it.each([
    {
      says: 'a heartbeat is no change',
      part: 'status',
      changes: { startTime: 'now', containerStatuses: [] },
      same: true,
    },
    {
      says: 'an annotation is no change',
      part: 'metadata',
      changes: { annotations: { a: 'b' }, resourceVersion: '9' },
      same: true,
    },
    { says: 'readiness is one', part: 'status', changes: { conditions }, same: false },
    { says: 'another address is one', part: 'status', changes: { podIP: '10.244.1.99' }, same: false },
    { says: 'a label is one', part: 'metadata', changes: { labels: { app: 'other' } }, same: false },
    {
      says: 'the order to end is one',
      part: 'metadata',
      changes: { deletionTimestamp: '2026-11-20T09:00:00Z' },
      same: false,
    },
    { says: 'its end is one', part: 'status', changes: { phase: 'Failed' }, same: false },
    { says: 'another named port is one', part: 'spec', changes: { containers: [] }, same: false },
  ] as const)('$says', ({ part, changes, same }) => {
    const after = keepPod(changed(ready, part, changes));
    expect(before !== null && after !== null && samePod(before, after)).toBe(same);
  });
});

describe('keepService', () => {
  it.each([
    [
      'qwen3-8b',
      {
        clusterIP: '10.96.31.7',
        family: 'IPv4',
        hasSelector: true,
        externalName: '',
        ports: [
          { name: 'http', number: 80 },
          { name: 'events', number: 5557 },
        ],
        labels: { app: 'qwen3-8b', hermes: 'yes' },
      },
    ],
    ['idle', { ports: [{ name: '', number: 80 }] }],
    ['headless', { clusterIP: '', hasSelector: true }],
    ['outside', { clusterIP: '', hasSelector: false, externalName: 'engine.example', ports: [] }],
    ['by-hand', { clusterIP: '10.96.31.10', hasSelector: false }],
  ])('reads %s', (name, expected) => {
    expect(keepService(objects.get(`Service ${name}`))).toMatchObject({ namespace, name, ...expected });
  });

  it('passes UDP ports over', () => {
    const ports = [{ port: 80, protocol: 'UDP' }, { port: 81 }];
    expect(keepService(changed('Service idle', 'spec', { ports }))?.ports).toEqual([{ name: '', number: 81 }]);
  });

  it.each([
    { says: 'its status is no change', part: 'status', changes: { loadBalancer: { ingress: [] } }, same: true },
    { says: 'a port is one', part: 'spec', changes: { ports: [{ port: 80, name: 'web' }] }, same: false },
    { says: 'a label is one', part: 'metadata', changes: { labels: {} }, same: false },
    { says: 'another type is one', part: 'spec', changes: { type: 'ExternalName', externalName: 'x' }, same: false },
    { says: 'a selector that is gone is one', part: 'spec', changes: { selector: null }, same: false },
    { says: 'another address is one', part: 'spec', changes: { clusterIP: '10.96.0.3' }, same: false },
    { says: 'another first family is one', part: 'spec', changes: { ipFamilies: ['IPv6'] }, same: false },
  ] as const)('$says', ({ part, changes, same }) => {
    const before = keepService(objects.get('Service qwen3-8b'));
    const after = keepService(changed('Service qwen3-8b', part, changes));
    expect(before !== null && after !== null && sameService(before, after)).toBe(same);
  });
});

describe('keepEndpointSlice', () => {
  it('keeps what does not terminate', () => {
    expect(keepEndpointSlice(objects.get('EndpointSlice qwen3-8b-fh2zc'))).toEqual({
      namespace,
      name: 'qwen3-8b-fh2zc',
      service: 'qwen3-8b',
      family: 'IPv4',
      ports: { http: 8000, events: 5557 },
      endpoints: [
        { address: '10.244.1.17', pod: 'qwen3-8b-6d5f7c9b84-8kx2p', ready: true },
        { address: '10.244.2.9', pod: 'qwen3-8b-6d5f7c9b84-loads', ready: false },
      ],
    });
  });

  it('reads one without endpoints and ports', () => {
    expect(keepEndpointSlice(objects.get('EndpointSlice idle-7kq2m'))).toMatchObject({ endpoints: [], ports: {} });
  });

  it('is null for one of no Service', () => {
    expect(keepEndpointSlice(changed('EndpointSlice idle-7kq2m', 'metadata', { labels: {} }))).toBeNull();
  });

  it.each([
    { conditions: undefined, is: [true] },
    { conditions: { ready: null }, is: [true] },
    { conditions: { ready: true, serving: false }, is: [true] },
    { conditions: { ready: false, serving: true }, is: [false] },
    { conditions: { serving: false }, is: [false] },
    { conditions: { ready: true, terminating: true }, is: [] },
    { conditions: { ready: false, serving: true, terminating: true }, is: [] },
  ])('takes $conditions as ready: $is', ({ conditions, is }) => {
    const endpoints = [{ addresses: ['10.0.0.1'], conditions }];
    const view = keepEndpointSlice(changed('EndpointSlice idle-7kq2m', '', { endpoints }));
    expect(view?.endpoints.map(({ ready }) => ready)).toEqual(is);
  });

  it.each([
    { says: 'of another namespace', targetRef: { kind: 'Pod', name: 'p', namespace: 'elsewhere' }, pod: '' },
    { says: 'of no namespace', targetRef: { kind: 'Pod', name: 'p' }, pod: 'p' },
    { says: 'that is no Pod', targetRef: { kind: 'Node', name: 'p' }, pod: '' },
  ])('names a target $says as $pod', ({ targetRef, pod }) => {
    const endpoints = [{ addresses: ['10.0.0.1'], targetRef }];
    expect(keepEndpointSlice(changed('EndpointSlice idle-7kq2m', '', { endpoints }))?.endpoints[0].pod).toBe(pod);
  });

  it.each([
    {
      says: 'a trigger time is no change',
      part: 'metadata',
      changes: { resourceVersion: '9', labels: { 'kubernetes.io/service-name': 'qwen3-8b' } },
      same: true,
    },
    {
      says: 'another Service is one',
      part: 'metadata',
      changes: { labels: { 'kubernetes.io/service-name': 'x' } },
      same: false,
    },
    { says: 'an endpoint less is one', part: '', changes: { endpoints: [] }, same: false },
    { says: 'a port is one', part: '', changes: { ports: [{ name: 'http', port: 8001 }] }, same: false },
    { says: 'another family is one', part: '', changes: { addressType: 'IPv6' }, same: false },
  ] as const)('$says', ({ part, changes, same }) => {
    const before = keepEndpointSlice(objects.get('EndpointSlice qwen3-8b-fh2zc'));
    const after = keepEndpointSlice(changed('EndpointSlice qwen3-8b-fh2zc', part, changes));
    expect(before !== null && after !== null && sameSlice(before, after)).toBe(same);
  });
});

describe('keepInferencePool', () => {
  it('keeps selector and ports, in order', () => {
    const view = keepInferencePool(objects.get('InferencePool pool'));
    expect(view).toEqual({ namespace, name: 'pool', selector: { app: 'deepseek' }, targetPorts: [8000, 8001] });
  });

  it('takes eight ports at most', () => {
    const targetPorts = Array.from({ length: 20 }, (_unused, i) => ({ number: 8000 + i }));
    expect(keepInferencePool(changed('InferencePool pool', 'spec', { targetPorts }))?.targetPorts).toHaveLength(8);
  });

  it.each([
    { says: 'its status is no change', part: 'status', changes: { parents: [] }, same: true },
    { says: 'a label is one', part: 'spec', changes: { selector: { matchLabels: {} } }, same: false },
    { says: 'a port is one', part: 'spec', changes: { targetPorts: [{ number: 8000 }] }, same: false },
  ] as const)('$says', ({ part, changes, same }) => {
    const before = keepInferencePool(objects.get('InferencePool pool'));
    const after = keepInferencePool(changed('InferencePool pool', part, changes));
    expect(before !== null && after !== null && samePool(before, after)).toBe(same);
  });
});

describe('rubbish', () => {
  const keeps = { keepPod, keepService, keepEndpointSlice, keepInferencePool };
  it.each(Object.entries(keeps))('never makes %s throw', (_name, keep) => {
    fc.assert(fc.property(fc.anything(), (value) => void keep(value)));
    // Objects that look right at the top and are anything below.
    const odd = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, 7, 'x', true, NaN, '10.0.0.1'),
        fc.array(tie('value')),
        tie('object'),
      ),
      object: fc.dictionary(
        fc.constantFrom(
          'spec',
          'status',
          'metadata',
          'containers',
          'ports',
          'name',
          'port',
          'podIP',
          'podIPs',
          'ip',
          'conditions',
          'endpoints',
          'addresses',
          'targetRef',
          'selector',
          'matchLabels',
          'targetPorts',
          'number',
          'labels',
        ),
        tie('value'),
      ),
    }));
    const metadata = { name: 'a', namespace: 'b', labels: { 'kubernetes.io/service-name': 's' } };
    fc.assert(fc.property(odd.object, (object) => keep({ ...object, metadata })?.name === 'a'));
  });
});
