import { Type } from 'typebox';
import type { Static, TObject, TProperties, TUnsafe } from 'typebox';
import { fillable } from './defaults.ts';
import type { Rule } from './rule.ts';
import { closed } from './schema-node.ts';

/** One kind of a union: the schema of its fields, or null when it has none. */
type Members = Readonly<Record<string, TObject | null>>;

/** The values of a union, told apart by `type`. */
export type Tagged<M extends Members> = {
  [K in keyof M & string]: M[K] extends TObject ? { type: K } & { [P in Uncapitalize<K>]: Static<M[K]> } : { type: K };
}[keyof M & string];

/** A union's value: the fields of its type, and those that all types have. */
export type Union<M extends Members, S extends TProperties> = Tagged<M> & Static<TObject<S>>;

/** A union's member as a list of them describes it. */
export interface UnionMember {
  readonly type: string;
  /** Name of the field that holds the member. */
  readonly member: string;
  readonly schema: TObject;
}

/**
 * A union as the Gateway API writes it: `type`, and the member of that name in lower camel case. A member may be left
 * out when all its fields have defaults; run time then fills it in. `shared`: fields beside the member, of every type.
 */
export function union<M extends Members, S extends TProperties = Record<never, never>>(
  description: string,
  members: M,
  value?: Tagged<M>,
  shared?: S,
): TUnsafe<Union<M, S>> {
  const described: UnionMember[] = [];
  for (const [type, schema] of Object.entries(members)) {
    if (schema !== null) described.push({ type, member: lowerCamel(type), schema });
  }
  const schema = unionSchema(description, Object.keys(members), described, shared);
  return Type.Unsafe<Union<M, S>>(value === undefined ? schema : Object.assign(schema, { default: value }));
}

/** The schema of a union whose members are known only as a list. */
export function unionSchema(
  description: string,
  types: readonly string[],
  members: readonly UnionMember[],
  shared: TProperties = {},
): TObject {
  const properties: TProperties = {
    type: Type.Enum([...types], { type: 'string', description: 'Which member applies.' }),
  };
  for (const { member, schema } of members) properties[member] = Type.Optional(schema);
  Object.assign(properties, shared);
  const names = new Map<string, string | null>(types.map((type) => [type, null]));
  for (const { type, member } of members) names.set(type, member);
  return closed(properties, { description, 'x-union': { members: names }, 'x-rules': members.flatMap(tagRules) });
}

/** The tag's member and no other. */
function tagRules({ type, member, schema }: UnionMember): Rule<Readonly<Record<string, unknown>>>[] {
  const stray: Rule<Readonly<Record<string, unknown>>> = {
    cel: `self.type == '${type}' || !has(self.${member})`,
    message: `goes with type ${type} only`,
    cure: `remove \`${member}\`, or write \`type: ${type}\``,
    field: member,
    check: (value) => value.type === type || value[member] === undefined,
  };
  if (fillable(schema)) return [stray];
  const needed: Rule<Readonly<Record<string, unknown>>> = {
    cel: `self.type != '${type}' || has(self.${member})`,
    message: `is missing, and type ${type} needs it`,
    cure: `add \`${member}\`, or choose another type`,
    field: member,
    check: (value) => value.type !== type || value[member] !== undefined,
  };
  return [needed, stray];
}

const lowerCamel = (type: string): string => type.charAt(0).toLowerCase() + type.slice(1);
