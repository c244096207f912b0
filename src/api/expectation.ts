import type { SchemaNode } from './schema-node.ts';

/** What a schema admits, in words that complete `write … as`. */
export function expectation(node: SchemaNode): string {
  if (node.enum !== undefined) return choice(node.enum);
  return node['x-words'] ?? phrases[node.type ?? 'object'](node);
}

const phrases: Readonly<Record<string, (node: SchemaNode) => string>> = {
  string: ({ minLength, maxLength }) => `text${count(minLength, maxLength, 'characters')}`,
  array: ({ minItems, maxItems }) => `a list${count(minItems, maxItems, 'items')}`,
  object: ({ minProperties, maxProperties }) => `a map${count(minProperties, maxProperties, 'fields')}`,
  integer: (node) => `an integer${range(node)}`,
  number: (node) => `a number${range(node)}`,
  boolean: () => '`true` or `false`',
};

const count = (least = 0, most: number | undefined, what: string): string =>
  most === undefined ? '' : ` of ${least} to ${most} ${what}`;

/** What stands before the host of an address: who, and mostly with which password. */
const userOfAddress = /\/\/[^/@\s]*@/g;

/** A value in a few characters, for a message; without what a password may be. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  // JSON has no word for infinity, which YAML has.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return cut(text.replace(userOfAddress, '//…@'));
}

function cut(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function choice(values: readonly (string | number)[]): string {
  const words = values.map((value) => `\`${value}\``);
  return words.length === 1 ? words[0] : `one of ${words.join(', ')}`;
}

function range(node: SchemaNode): string {
  const lower = node.minimum ?? node.exclusiveMinimum;
  const upper = node.maximum ?? node.exclusiveMaximum;
  if (lower === undefined || upper === undefined) return '';
  const exclusive = [
    ...(node.exclusiveMinimum === undefined ? [] : [`above ${lower}`]),
    ...(node.exclusiveMaximum === undefined ? [] : [`below ${upper}`]),
  ];
  return ` between ${lower} and ${upper}${exclusive.length === 0 ? '' : `, ${exclusive.join(' and ')}`}`;
}
