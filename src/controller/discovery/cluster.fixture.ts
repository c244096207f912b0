import { readFileSync } from 'node:fs';
import { loadAll } from 'js-yaml';
import { decodeResource } from '../../api/decode.ts';
import type { BackendGroup } from '../../api/backend-group.ts';
import type { DiscoveryIndex } from './discovery-index.ts';
import { fieldsOf, textOf } from './fields.ts';
import { Namespace } from './namespace.ts';
import { keepPod, type PodView } from './pod-view.ts';
import { keepInferencePool } from './pool-view.ts';
import { keepService, type ServiceView } from './service-view.ts';
import { keepEndpointSlice, type SliceView } from './slice-view.ts';

export const namespace = 'ai-inference';

/** Objects as an API server gives them, by `Kind name`. */
export const objects: ReadonlyMap<string, unknown> = new Map(
  ['pods', 'services'].flatMap((file) =>
    loadAll(readFileSync(new URL(`testdata/${file}.yaml`, import.meta.url), 'utf8')).map((object) => {
      const fields = fieldsOf(object);
      return [`${textOf(fields.kind)} ${textOf(fieldsOf(fields.metadata).name)}`, object];
    }),
  ),
);

/** What can be told to discovery: a namespace by itself, or the index. */
export type Teller = Pick<DiscoveryIndex, 'setPod' | 'setService' | 'setEndpointSlice' | 'setInferencePool'>;

/** Tells an object as a watch would. */
export function tell(object: unknown, to: Teller): void {
  const { kind } = fieldsOf(object);
  const pod = kind === 'Pod' ? keepPod(object) : null;
  const service = kind === 'Service' ? keepService(object) : null;
  const slice = kind === 'EndpointSlice' ? keepEndpointSlice(object) : null;
  const pool = kind === 'InferencePool' ? keepInferencePool(object) : null;
  if (pod !== null) to.setPod(pod);
  if (service !== null) to.setService(service);
  if (slice !== null) to.setEndpointSlice(slice);
  if (pool !== null) to.setInferencePool(pool);
}

/** A namespace without an index around it. */
export class PlainNamespace extends Namespace implements Teller {
  setPod(pod: PodView): void {
    this.pods.set(pod);
  }

  setService(service: ServiceView): void {
    this.services.set(service);
  }

  setEndpointSlice(slice: SliceView): void {
    this.setSlice(slice);
  }

  setInferencePool(pool: Parameters<Teller['setInferencePool']>[0]): void {
    this.pools.set(pool.name, pool);
  }
}

/** A namespace that holds the objects of the files of these names, or all of them. */
export function clusterOf(...names: string[]): PlainNamespace {
  const view = new PlainNamespace();
  const chosen = names.length === 0 ? [...objects.keys()] : names;
  for (const name of chosen) {
    if (!objects.has(name)) throw new Error(`no object ${name} in testdata`);
    tell(objects.get(name), view);
  }
  return view;
}

/** A valid group with such a discovery. */
export function groupWith(discovery: unknown, name = 'g', where = namespace): BackendGroup {
  const decoded = decodeResource({
    apiVersion: 'hermes-router.io/v1alpha1',
    kind: 'BackendGroup',
    metadata: { name, namespace: where },
    spec: { discovery },
  });
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

/** A ready Pod; `address` and what else differs. */
export function podOf(name: string, changes: Partial<PodView> = {}): PodView {
  const known = {
    namespace,
    name,
    labels: { app: 'vllm' },
    addresses: ['10.0.0.1'],
    ports: {},
    ready: true,
    ending: false,
  };
  return { ...known, ...changes };
}

export const podsGroup = (matchLabels: Record<string, string>, ports = [8000], name = 'g'): BackendGroup =>
  groupWith(
    { type: 'Pods', pods: { selector: { matchLabels }, targetPorts: ports.map((number) => ({ number })) } },
    name,
  );

export const serviceGroup = (service: Record<string, unknown>, name = 'g'): BackendGroup =>
  groupWith({ type: 'Service', service }, name);

export const poolGroup = (pool: string, name = 'g'): BackendGroup =>
  groupWith({ type: 'InferencePool', inferencePool: { name: pool } }, name);
