import { expectation, shown } from './expectation.ts';
import { nearest } from './nearest.ts';
import type { Path } from './path.ts';
import { pathText } from './path.ts';
import type { FaultReason, Rule } from './rule.ts';
import { isObject, propertiesOf } from './schema-node.ts';
import type { SchemaNode } from './schema-node.ts';

/** Something wrong in a resource. */
export interface Fault {
  /** The field at fault: `spec.backendRefs[0].weight`; empty for the document itself. */
  readonly path: string;
  readonly reason: FaultReason;
  /** What is wrong. */
  readonly message: string;
  /** What to do about it. */
  readonly cure: string;
}

/** Every way in which a value with its defaults filled in does not fit a schema, in the order of the document. */
export function faultsOf(node: SchemaNode, value: unknown): Fault[] {
  const check = new Check();
  check.value(node, value, []);
  return check.faults;
}

/** One walk over a document and its schema. */
class Check {
  readonly faults: Fault[] = [];
  private reason: FaultReason = 'Invalid';

  value(node: SchemaNode, value: unknown, path: Path): void {
    const outer = this.reason;
    this.reason = node['x-reason'] ?? outer;
    const before = this.faults.length;
    if (isOfType(node, value)) this.content(node, value, path);
    else this.wrongValue(node, value, path);
    // As in the API server, rules see only values that fit their schema.
    if (this.faults.length === before) for (const rule of node['x-rules'] ?? []) this.rule(rule, value, path);
    this.reason = outer;
  }

  private content(node: SchemaNode, value: unknown, path: Path): void {
    if (!scalarFits(node, value)) this.wrongValue(node, value, path);
    else if (Array.isArray(value)) this.list(node, value, path);
    else if (isObject(value)) this.object(node, value, path);
  }

  private list(node: SchemaNode, list: readonly unknown[], path: Path): void {
    if (list.length < (node.minItems ?? 0) || list.length > (node.maxItems ?? Infinity)) {
      this.add(path, `has ${list.length} items`, `write ${nameOf(path)} as ${expectation(node)}`);
      return;
    }
    const before = this.faults.length;
    const { items } = node;
    if (items !== undefined) list.forEach((item, i) => this.value(items, item, [...path, i]));
    if (this.faults.length === before) this.duplicates(node, list, path);
  }

  private duplicates(node: SchemaNode, list: readonly unknown[], path: Path): void {
    const keys = node['x-kubernetes-list-map-keys'] ?? [];
    const type = node['x-kubernetes-list-type'];
    if (type !== 'set' && type !== 'map') return;
    const seen = new Map<string, number>();
    list.forEach((item, i) => {
      const identity = JSON.stringify(isObject(item) ? keys.map((key) => item[key]) : item);
      const first = seen.get(identity);
      if (first === undefined) seen.set(identity, i);
      else this.add([...path, i], `is the same as item ${first}`, duplicateCure(keys));
    });
  }

  private object(node: SchemaNode, value: Readonly<Record<string, unknown>>, path: Path): void {
    const count = Object.keys(value).length;
    if (count < (node.minProperties ?? 0) || count > (node.maxProperties ?? Infinity)) {
      this.add(path, `has ${count} fields`, `write ${nameOf(path)} as ${expectation(node)}`);
    }
    const properties = propertiesOf(node, value);
    for (const name of node.required ?? []) {
      if (value[name] === undefined) this.missing(properties[name], [...path, name]);
    }
    for (const [name, field] of Object.entries(value)) {
      if (Object.hasOwn(properties, name)) this.value(properties[name], field, [...path, name]);
      else this.otherField(node, field, [...path, name]);
    }
  }

  /** A field that the schema does not name. */
  private otherField(node: SchemaNode, value: unknown, path: Path): void {
    const { additionalProperties: other } = node;
    if (typeof other === 'object') this.value(other, value, path);
    else if (other === false) this.unknown(Object.keys(node.properties ?? {}), path);
  }

  private unknown(known: readonly string[], path: Path): void {
    const near = nearest(String(path.at(-1)), known);
    const list = known.length === 0 ? 'no fields are known here' : `known here: ${known.join(', ')}`;
    const cure = near === null ? `remove it; ${list}` : `write \`${near}\`, or remove it; ${list}`;
    this.add(path, 'is no known field', cure);
  }

  private missing(node: SchemaNode, path: Path): void {
    const what = node.description === undefined ? '' : ` (${node.description.replace(/\.$/, '')})`;
    this.add(path, 'is missing', `add ${nameOf(path)}${what}: ${expectation(node)}`);
  }

  private wrongValue(node: SchemaNode, value: unknown, path: Path): void {
    const words = (node.enum ?? []).map(String);
    const near = typeof value === 'string' ? nearest(value, words) : null;
    const hint = near === null || near === value ? '' : `; did you mean \`${near}\`?`;
    this.add(path, `is ${shown(value)}`, `write ${nameOf(path)} as ${expectation(node)}${hint}`);
  }

  private rule(rule: Rule, value: unknown, path: Path): void {
    if (rule.check(value)) return;
    const { message, cure, reason = this.reason } = rule;
    const at = rule.field === undefined ? path : [...path, rule.field];
    this.faults.push({ path: pathText(at), message, cure, reason });
  }

  private add(path: Path, message: string, cure: string): void {
    this.faults.push({ path: pathText(path), message, cure, reason: this.reason });
  }
}

/** The field's own name, in backquotes; for an item of a list, that of the list. */
function nameOf(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'the document';
  return typeof last === 'number' ? `each item of \`${path.at(-2) ?? ''}\`` : `\`${last}\``;
}

function duplicateCure(keys: readonly string[]): string {
  return keys.length === 0
    ? 'name each once'
    : `give each item its own ${keys.map((key) => `\`${key}\``).join(' and ')}`;
}

const typeChecks: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  integer: Number.isSafeInteger,
  number: Number.isFinite,
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
};

const isOfType = ({ type }: SchemaNode, value: unknown): boolean => type === undefined || typeChecks[type](value);

/** Bounds of strings and numbers; everything else fits. */
function scalarFits(node: SchemaNode, value: unknown): boolean {
  if (node.enum !== undefined && !node.enum.some((allowed) => allowed === value)) return false;
  if (typeof value === 'string') return textFits(node, value);
  return typeof value !== 'number' || numberFits(node, value);
}

function textFits(node: SchemaNode, text: string): boolean {
  // Lengths are code points, as the API server counts them.
  const length = [...text].length;
  const { minLength = 0, maxLength = Infinity, pattern } = node;
  return length >= minLength && length <= maxLength && (pattern === undefined || new RegExp(pattern).test(text));
}

function numberFits(node: SchemaNode, value: number): boolean {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } = node;
  return value >= minimum && value <= maximum && value > exclusiveMinimum && value < exclusiveMaximum;
}
