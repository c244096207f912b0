import type { Kind } from './kinds.ts';
import { group, version } from './resource.ts';
import type { Rule } from './rule.ts';
import type { SchemaNode } from './schema-node.ts';

/** A JSON value, as it is written to YAML. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** The CustomResourceDefinition of a kind, for apiextensions.k8s.io/v1. */
export function customResourceDefinition(kind: Kind): Json {
  const { kind: name, plural, singular, shortName } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind: name, listKind: `${name}List`, plural, singular, shortNames: [shortName], categories: ['hermes'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: kind.columns.map((column) => ({ ...column })),
          schema: { openAPIV3Schema: rootSchema(kind) },
        },
      ],
    },
  };
}

/** The whole object: apiVersion, kind and metadata have schemas of their own in the API server. */
function rootSchema({ schema, status }: Kind): Json {
  const { apiVersion, kind, spec } = schema.properties ?? {};
  return {
    type: 'object',
    description: schema.description ?? '',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: apiVersion.description ?? '' },
      kind: { type: 'string', description: kind.description ?? '' },
      metadata: { type: 'object' },
      spec: structural(spec),
      status: structural(status),
    },
  };
}

/** Keywords that a structural schema takes over unchanged. */
const plain = [
  'type',
  'description',
  'default',
  'enum',
  'format',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
] as const;

/** Annotations of this room, and keywords that are written in another way. */
const handled = new Set([
  ...plain,
  ...['pattern', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['items', 'properties', 'required', 'additionalProperties'],
  ...['x-words', 'x-rules', 'x-union', 'x-parameters', 'x-reason'],
]);

/** A schema as Kubernetes allows it. Throws a TypeError on a keyword that it does not. */
export function structural(node: SchemaNode): Json {
  const foreign = Object.keys(node).find((keyword) => !handled.has(keyword));
  if (foreign !== undefined)
    throw new TypeError(`a structural schema has no keyword ${foreign}; build the schema without it`);
  const written: Record<string, Json> = {};
  for (const keyword of plain) {
    const value = node[keyword];
    if (value !== undefined) written[keyword] = toJson(value);
  }
  Object.assign(written, pattern(node), bounds(node), children(node));
  if (node['x-rules'] !== undefined) written['x-kubernetes-validations'] = node['x-rules'].map(validation);
  return written;
}

const pattern = ({ pattern: source }: SchemaNode): Record<string, Json> =>
  source === undefined ? {} : { pattern: source instanceof RegExp ? source.source : source };

/** JSON Schema's exclusive bounds are numbers; those of OpenAPI 3.0 are booleans beside the bound. */
function bounds(node: SchemaNode): Record<string, Json> {
  const written: Record<string, Json> = {};
  if (node.minimum !== undefined) written.minimum = node.minimum;
  if (node.maximum !== undefined) written.maximum = node.maximum;
  if (node.exclusiveMinimum !== undefined)
    Object.assign(written, { minimum: node.exclusiveMinimum, exclusiveMinimum: true });
  if (node.exclusiveMaximum !== undefined)
    Object.assign(written, { maximum: node.exclusiveMaximum, exclusiveMaximum: true });
  return written;
}

/**
 * Fields with defaults are not required, since defaults come before the check. `additionalProperties: false` is left
 * out: the API server prunes what it does not know.
 */
function children({ items, properties, required = [], additionalProperties: other }: SchemaNode): Record<string, Json> {
  const written: Record<string, Json> = {};
  if (items !== undefined) written.items = structural(items);
  if (typeof other === 'object') written.additionalProperties = structural(other);
  const fields = Object.entries(properties ?? {});
  if (fields.length > 0)
    written.properties = Object.fromEntries(fields.map(([name, field]) => [name, structural(field)]));
  const needed = required.filter((name) => properties?.[name]?.default === undefined);
  if (needed.length > 0) written.required = needed;
  return written;
}

function validation({ cel, message, cure, field }: Rule): Json {
  const text = { rule: cel, message: `${message}; ${cure}` };
  return field === undefined ? text : { ...text, fieldPath: `.${field}` };
}

function toJson(value: unknown): Json {
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toJson(field)]));
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null)
    return value;
  throw new TypeError(`a schema cannot hold a ${typeof value}`);
}
