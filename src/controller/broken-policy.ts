import { routerClassName } from '../api/resource.ts';
import { isObject } from '../api/schema-node.ts';
import type { BrokenGroup, BrokenPolicy } from './compile.ts';

/** Which object a document is about, as far as that can be read. */
export interface Identity {
  readonly kind: 'BackendGroup' | 'RoutingPolicy' | 'Secret';
  readonly namespace: string;
  /** For a secret `namespace/name`, else the name. */
  readonly name: string;
  /** `Kind namespace/name`. */
  readonly key: string;
}

const kinds = ['BackendGroup', 'RoutingPolicy', 'Secret'] as const;

/** The identity of a document, or null for one that has none that matters here. */
export function identityOf(document: unknown): Identity | null {
  if (!isObject(document) || !isObject(document.metadata)) return null;
  const kind = kinds.find((known) => known === document.kind);
  const { name } = document.metadata;
  if (kind === undefined || typeof name !== 'string') return null;
  if (kind === 'Secret' && document.apiVersion !== 'v1') return null;
  const namespace = typeof document.metadata.namespace === 'string' ? document.metadata.namespace : 'default';
  return {
    kind,
    namespace,
    name: kind === 'Secret' ? `${namespace}/${name}` : name,
    key: `${kind} ${namespace}/${name}`,
  };
}

const defaultClass: unknown = Reflect.get(routerClassName, 'default');

/** Which router a document that is not valid is for, as far as that can be read. */
export function routerClassOf(document: unknown): unknown {
  const spec = isObject(document) && isObject(document.spec) ? document.spec : {};
  return spec.routerClassName ?? defaultClass;
}

/** What can still be read of a policy that is not valid: which requests it was meant for. */
export function asBrokenPolicy(document: unknown, identity: Identity): BrokenPolicy {
  const spec = isObject(document) && isObject(document.spec) ? document.spec : {};
  const match = isObject(spec.match) ? spec.match : {};
  const headers = records(match.headers).flatMap(({ name, value }) =>
    typeof name === 'string' && typeof value === 'string' ? [{ name: name.toLowerCase(), value }] : [],
  );
  return {
    namespace: identity.namespace,
    name: identity.name,
    created: 0,
    match: { models: strings(match.models), headers },
    backends: records(spec.backendRefs).flatMap(({ kind, name }) =>
      typeof name === 'string' ? [{ kind: kind === 'InferencePool' ? 'InferencePool' : 'BackendGroup', name }] : [],
    ),
  };
}

/** What can still be read of a group that is not valid: which models it was meant to serve. */
export function asBrokenGroup(document: unknown, { namespace, name }: Identity): BrokenGroup {
  const spec = isObject(document) && isObject(document.spec) ? document.spec : {};
  return { namespace, name, models: strings(spec.models) };
}

function records(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
