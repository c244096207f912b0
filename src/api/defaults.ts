import { faultsOf } from './check.ts';
import { isObject, propertiesOf } from './schema-node.ts';
import type { SchemaNode } from './schema-node.ts';

/**
 * A copy of a document with the defaults of its schema filled in. As in the API server, a field of value null is a
 * field left out; beyond it, the member of a union that the tag names is filled in when all its fields have defaults.
 */
export function withDefaults(node: SchemaNode, value: unknown): unknown {
  if (Array.isArray(value)) {
    const { items } = node;
    return items === undefined ? value : value.map((item) => withDefaults(items, item));
  }
  return isObject(value) && node.type === 'object' ? objectWithDefaults(node, value) : value;
}

function objectWithDefaults(node: SchemaNode, value: Readonly<Record<string, unknown>>): unknown {
  const given = Object.entries(value).filter(([, field]) => field !== null);
  // fromEntries defines own properties, so that a field called __proto__ stays a field.
  const filled: Record<string, unknown> = Object.fromEntries(given);
  const { additionalProperties: other } = node;
  const properties = propertiesOf(node, filled);
  if (typeof other === 'object') for (const [name, field] of given) filled[name] = withDefaults(other, field);
  for (const [name, property] of Object.entries(properties)) {
    const field = Object.hasOwn(filled, name) ? filled[name] : startingValue(node, name, property, filled);
    if (field !== undefined) filled[name] = withDefaults(property, field);
  }
  return filled;
}

/** What a field that was left out starts from; undefined where it stays out. */
function startingValue(node: SchemaNode, name: string, property: SchemaNode, filled: Record<string, unknown>): unknown {
  if (property.default !== undefined) return property.default;
  const { type } = filled;
  const chosen = typeof type === 'string' ? node['x-union']?.members.get(type) : undefined;
  return chosen === name && fillable(property) ? {} : undefined;
}

/** Whether an object may be left out, because its defaults alone make a good one. */
export function fillable(node: SchemaNode): boolean {
  return faultsOf(node, withDefaults(node, {})).length === 0;
}
