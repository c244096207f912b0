import type { Static, TObject, TObjectOptions, TProperties, TSchema } from 'typebox';
import { Type } from 'typebox';
import type { FaultReason, Rule } from './rule.ts';

/** Which member of a union belongs to which value of its `type`. */
export interface UnionTags {
  /** Union member by type; null for a type that has no fields of its own. */
  readonly members: ReadonlyMap<string, string | null>;
}

/** An object whose field `parameters` has the schema that the object's `type` names. */
export interface ParametersByType {
  readonly schemas: ReadonlyMap<string, SchemaNode>;
}

/** How a list merges under server-side apply; `set` and `map` lists hold no two equal items. */
export type ListType = 'atomic' | 'set' | 'map';

/**
 * The part of JSON Schema that a structural schema of Kubernetes allows, as the builder makes it, with the
 * annotations of this room. Defaults, checks, CRDs and docs all read this one view.
 */
export interface SchemaNode {
  /** The builder's mark of a schema whose static type is given by hand. */
  readonly '~unsafe'?: unknown;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly (string | number)[];
  readonly format?: string;
  readonly pattern?: string | RegExp;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[] | undefined;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-list-type'?: ListType;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  /** Words for a pattern, such as `a duration like 1m30s`. */
  readonly 'x-words'?: string;
  readonly 'x-rules'?: readonly Rule[];
  readonly 'x-union'?: UnionTags;
  readonly 'x-parameters'?: ParametersByType;
  /** The reason of faults at and below this node, where it is not Invalid. */
  readonly 'x-reason'?: FaultReason;
}

/** An object that has these fields and no others. */
export const closed = <P extends TProperties>(properties: P, options: TObjectOptions): TObject<P> =>
  Type.Object(properties, { ...options, additionalProperties: false });

/** Attaches further rules to a schema that has just been built, typed by the values that it admits. */
export function withRules<S extends TSchema>(schema: S, rules: readonly Rule<Static<S>>[]): S {
  const { 'x-rules': known = [] }: SchemaNode = schema;
  return Object.assign(schema, { 'x-rules': [...known, ...rules] });
}

/** The schemas of an object's fields; that of `parameters` may hang on the object's `type`. */
export function propertiesOf(
  node: SchemaNode,
  value: Readonly<Record<string, unknown>>,
): Readonly<Record<string, SchemaNode>> {
  const properties = node.properties ?? {};
  const byType = node['x-parameters'];
  const { type } = value;
  if (byType === undefined || typeof type !== 'string') return properties;
  const parameters = byType.schemas.get(type);
  return parameters === undefined
    ? properties
    : { ...properties, parameters: { ...properties.parameters, ...parameters } };
}

/** Whether a value is an object with named fields, not null and not a list. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
