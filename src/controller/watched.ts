import type { Fault } from '../api/check.ts';
import { decodeResource, type Decoded, type Resource } from '../api/decode.ts';
import { apiVersion } from '../api/resource.ts';
import { routerClassOf } from './broken-policy.ts';
import type { KubeObject } from './kube/contract.ts';

export type ResourceKind = Resource['kind'];

/** One of our objects as the API server holds it, trimmed to what is read of it. */
export interface WatchedResource {
  /** `Kind namespace/name`. */
  readonly id: string;
  readonly kind: ResourceKind;
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The spec with its defaults, or null where it is not valid. */
  readonly resource: Resource | null;
  readonly faults: readonly Fault[];
  /** The object as it came, only where it is not valid: what can be read of it still counts. */
  readonly document: unknown;
  readonly status: unknown;
}

/** Whether a watched object asks for this router. */
const ofClass = (routerClass: string, document: unknown): boolean => routerClassOf(document) === routerClass;

export interface KeepOptions {
  readonly kind: ResourceKind;
  readonly routerClass: string;
  /** Whether groups may name targets outside of the cluster (`--allow-external-targets`). */
  readonly allowExternalTargets: boolean;
}

/** Reads objects of one kind and one router class; others are null. */
export function keepResource(options: KeepOptions): (object: KubeObject) => WatchedResource | null {
  const { kind, routerClass } = options;
  return (object) => {
    const { metadata, spec, status } = object;
    const { name, namespace = 'default' } = metadata;
    // What the API server adds (managed fields above all) is most of an object; nobody here reads it.
    const document = { apiVersion, kind, metadata: { name, namespace }, spec };
    if (!ofClass(routerClass, document)) return null;
    const decoded = judged(decodeResource(document), options);
    return {
      id: `${kind} ${namespace}/${name}`,
      kind,
      key: `${namespace}/${name}`,
      namespace,
      name,
      ...versionOf(metadata),
      resource: decoded.ok ? decoded.resource : null,
      faults: decoded.ok ? [] : decoded.faults,
      document: decoded.ok ? null : document,
      status,
    };
  };
}

/** What the API server always sets, and a test's object may lack. */
const versionOf = ({ resourceVersion = '', uid = '', generation = 0, creationTimestamp }: KubeObject['metadata']) => ({
  resourceVersion,
  uid,
  generation,
  created: Date.parse(creationTimestamp ?? '') || 0,
});

/** Whoever may write a group must not reach through the router what only the router reaches. */
function judged(decoded: Decoded, { allowExternalTargets }: KeepOptions): Decoded {
  if (!decoded.ok || allowExternalTargets || decoded.resource.kind !== 'BackendGroup') return decoded;
  const { kvCache } = decoded.resource.spec;
  const faults: Fault[] = [];
  if (kvCache.type === 'Manager' && kvCache.manager.url !== undefined) faults.push(outside('manager.url'));
  const { prefixStore } = kvCache;
  if (prefixStore?.type === 'Redis' && prefixStore.redis.address !== undefined)
    faults.push(outside('prefixStore.redis.address'));
  return faults.length === 0 ? decoded : { ok: false, faults };
}

const outside = (field: string): Fault => ({
  path: `spec.kvCache.${field}`,
  message: 'names a target that may lie outside of the cluster',
  cure: 'name a Service by `service`, or start the router with --allow-external-targets',
  reason: 'Invalid',
});

/** Whether anything but the status has changed. */
export const hasNewSpec = (previous: WatchedResource, next: WatchedResource): boolean =>
  previous.generation !== next.generation || previous.uid !== next.uid;
