import type { SchemaNode } from './schema-node.ts';

/** What a schema admits, in words that complete `write … as`. */
export function expectation(node: SchemaNode): string {
  if (node.enum !== undefined) return choice(node.enum);
  if (node['x-words'] !== undefined) return node['x-words'];
  switch (node.type) {
    case 'string':
      return `text of ${node.minLength ?? 0} to ${node.maxLength ?? 'any number of'} characters`;
    case 'integer':
      return `an integer${range(node)}`;
    case 'number':
      return `a number${range(node)}`;
    case 'boolean':
      return '`true` or `false`';
    case 'array':
      return `a list of ${node.minItems ?? 0} to ${node.maxItems ?? 'any number of'} items`;
    default:
      return node.minProperties === undefined ? 'a map of fields' : `a map of at least ${node.minProperties} field`;
  }
}

/** A value in a few characters, for a message. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  const text = JSON.stringify(value) ?? String(value);
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
