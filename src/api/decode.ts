import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { backendGroup } from './backend-group.ts';
import type { BackendGroup } from './backend-group.ts';
import { faultsOf } from './check.ts';
import type { Fault } from './check.ts';
import { withDefaults } from './defaults.ts';
import { shown } from './expectation.ts';
import { nearest } from './nearest.ts';
import { apiVersion, group } from './resource.ts';
import { routingPolicy } from './routing-policy.ts';
import type { RoutingPolicy } from './routing-policy.ts';
import { isObject } from './schema-node.ts';

export type Resource = BackendGroup | RoutingPolicy;

/** A resource with its defaults filled in, or everything that is wrong with it. */
export type Decoded = { ok: true; resource: Resource } | { ok: false; faults: Fault[] };

/** Whether a document claims to be of this group, in whatever version; others are not ours to judge. */
export function isOurs(document: unknown): boolean {
  if (!isObject(document) || typeof document.apiVersion !== 'string') return false;
  return document.apiVersion === group || document.apiVersion.startsWith(`${group}/`);
}

/** Checks a document as the API server would and fills in the defaults; a status is passed over. */
export function decodeResource(document: unknown): Decoded {
  if (!isObject(document)) return refused('', 'is no object', 'write a map with apiVersion, kind, metadata and spec');
  const { status: _status, ...input } = document;
  if (input.apiVersion !== apiVersion) return wrong('apiVersion', input.apiVersion, [apiVersion]);
  if (input.kind === 'BackendGroup') return decodeAs(backendGroup, input);
  if (input.kind === 'RoutingPolicy') return decodeAs(routingPolicy, input);
  return wrong('kind', input.kind, ['BackendGroup', 'RoutingPolicy']);
}

function decodeAs<S extends TSchema>(
  schema: S & Parameters<typeof faultsOf>[0],
  input: unknown,
): { ok: true; resource: Static<S> } | { ok: false; faults: Fault[] } {
  const value = withDefaults(schema, input);
  const faults = faultsOf(schema, value);
  if (faults.length > 0) return { ok: false, faults };
  // The library's own check, which also tells the compiler what the value is.
  if (Value.Check(schema, value)) return { ok: true, resource: value };
  throw new Error(`two checks of one schema disagree: ${Value.Errors(schema, value)[0].message}; please report it`);
}

function wrong(field: string, value: unknown, known: readonly string[]): Decoded {
  if (value === undefined || value === null)
    return refused(field, 'is missing', `add \`${field}: ${known.join('` or `')}\``);
  const near = typeof value === 'string' ? nearest(value, known) : null;
  const cure = near === null ? `write one of ${known.join(', ')}` : `write \`${near}\``;
  return refused(field, `is ${shown(value)}`, cure);
}

function refused(path: string, message: string, cure: string): Decoded {
  return { ok: false, faults: [{ path, message, cure, reason: 'Invalid' }] };
}
