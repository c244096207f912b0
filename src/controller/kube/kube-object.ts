import type { KubeObject } from './contract.ts';
import { isObject } from '../../api/schema-node.ts';

/** One page of a list as the API server sends it. */
export interface KubeList {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** For the next page; empty on the last. */
  readonly next: string;
}

export function isKubeObject(value: unknown): value is KubeObject {
  return isObject(value) && isObject(value.metadata) && typeof value.metadata.name === 'string';
}

/** Null when it is no list. */
export function asList(value: unknown): KubeList | null {
  if (!isObject(value) || !isObject(value.metadata)) return null;
  const { resourceVersion, continue: next } = value.metadata;
  // Go writes an empty list of some types as null.
  const items: unknown = value.items ?? [];
  if (typeof resourceVersion !== 'string' || !Array.isArray(items) || !items.every(isKubeObject)) return null;
  return { items, resourceVersion, next: typeof next === 'string' ? next : '' };
}

/** The resource version of an object or of a bookmark, which has nothing else. */
export function versionOf(value: unknown): string | null {
  const version = isObject(value) && isObject(value.metadata) ? value.metadata.resourceVersion : null;
  return typeof version === 'string' ? version : null;
}

/** `namespace/name`, or the name alone of what has no namespace. */
export function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** Code and words of a `Status` object, or of whatever came in its place. */
export function statusOf(value: unknown): { readonly code: number | null; readonly message: string } {
  if (!isObject(value)) return { code: null, message: String(value).slice(0, 200) };
  const { code, message } = value;
  return { code: typeof code === 'number' ? code : null, message: typeof message === 'string' ? message : '' };
}

/** Whether one resource version is older than another: decimal numbers without a bound. False for anything else. */
export function isOlder(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}

/** A point in time as `metav1.MicroTime` writes it. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
