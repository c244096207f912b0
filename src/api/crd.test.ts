import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { staleFiles } from '../../scripts/generate.ts';
import { customResourceDefinition, structural } from './crd.ts';
import { kinds } from './kinds.ts';
import type { SchemaNode } from './schema-node.ts';
import { validateFiles } from './validate.ts';

const root = join(import.meta.dirname, '../..');

/** Every node of a schema, by path. */
function nodes(node: SchemaNode, path: string): [string, SchemaNode][] {
  const { items, additionalProperties: other } = node;
  return [
    [path, node],
    ...Object.entries(node.properties ?? {}).flatMap(([name, field]) => nodes(field, `${path}.${name}`)),
    ...(items === undefined ? [] : nodes(items, `${path}[]`)),
    ...(typeof other === 'object' ? nodes(other, `${path}[*]`) : []),
  ];
}

const written = kinds.flatMap(({ kind, schema, status }) => [
  ...nodes(schema.properties?.spec ?? {}, `${kind}.spec`),
  ...nodes(status, `${kind}.status`),
]);

describe('generated files', () => {
  it('are current', () => {
    expect(staleFiles(root)).toEqual([]);
  });
});

describe('every node of the schemas', () => {
  it.each(written)('%s has a description and a type', (_, node) => {
    expect(node.description).toMatch(/^.{8,}\.$/s);
    expect(['object', 'array', 'string', 'integer', 'number', 'boolean']).toContain(node.type);
  });

  it.each(written)('%s is bounded', (_, node) => {
    if (node.type === 'string') expect(node.maxLength ?? node.enum).toBeDefined();
    if (node.type === 'array') expect([node.maxItems, node['x-kubernetes-list-type']]).not.toContain(undefined);
    if (typeof node.additionalProperties === 'object') expect(node.maxProperties).toBeDefined();
    if (node.type === 'integer' || node.type === 'number') {
      expect(node.minimum).toBeDefined();
      expect(node.maximum ?? node.format).toBeDefined();
    }
  });

  it.each(written)('%s refuses unknown fields at run time', (_, node) => {
    if (node.type !== 'object' || node['x-kubernetes-preserve-unknown-fields'] === true) return;
    expect(node.additionalProperties).toBeDefined();
  });

  it.each(written)('%s says what the keys of its list are', (_, node) => {
    if (node['x-kubernetes-list-type'] !== 'map') return;
    for (const key of node['x-kubernetes-list-map-keys'] ?? ['none']) {
      const named = node.items?.required?.includes(key) === true || node.items?.properties?.[key].default !== undefined;
      expect(named).toBe(true);
    }
  });
});

/** Every map inside a JSON value, by path. */
function maps(value: unknown, path: string): [string, Record<string, unknown>][] {
  if (typeof value !== 'object' || value === null) return [];
  const below = Object.entries(value).flatMap(([name, field]) => maps(field, `${path}.${name}`));
  return Array.isArray(value) ? below : [[path, { ...value }], ...below];
}

describe('a CRD', () => {
  const definitions = kinds.map((kind) => customResourceDefinition(kind));
  const schemas = definitions.flatMap((definition) => maps(definition, ''));

  it('is of JSON alone', () => {
    expect(JSON.parse(JSON.stringify(definitions))).toEqual(definitions);
  });

  it.each(['const', 'anyOf', 'oneOf', 'patternProperties', '$ref', 'exclusiveMinimum', 'not'])(
    'has no %s',
    (keyword) => {
      expect(schemas.filter(([path, map]) => !path.endsWith('.properties') && Object.hasOwn(map, keyword))).toEqual([]);
    },
  );

  it('never forbids additional properties, since the API server prunes them', () => {
    expect(schemas.filter(([, map]) => map.additionalProperties === false)).toEqual([]);
  });

  it('requires no field that has a default', () => {
    const both = schemas.flatMap(([path, { required, properties }]) => {
      if (!Array.isArray(required)) return [];
      return required
        .filter((name) => Object.hasOwn(Object(Object(properties)[name]), 'default'))
        .map((name) => `${path}.${name}`);
    });
    expect(both).toEqual([]);
  });

  it('has patterns that RE2 knows: no look-around, no back reference', () => {
    for (const [, { pattern }] of schemas)
      if (typeof pattern === 'string') expect(pattern).not.toMatch(/\(\?[=!<]|\\[1-9]/);
  });

  it('names its kind, its short name and its columns as the contract does', () => {
    const text = (file: string): string => readFileSync(join(root, 'crds', file), 'utf8');
    expect(readdirSync(join(root, 'crds'))).toEqual([
      'hermes-router.io_backendgroups.yaml',
      'hermes-router.io_routingpolicies.yaml',
    ]);
    expect(text('hermes-router.io_backendgroups.yaml')).toMatch(/shortNames:\n\s+- bg\n\s+categories:\n\s+- hermes\n/);
    expect(kinds.map(({ columns }) => columns.map(({ name }) => name.toUpperCase()).join(' '))).toEqual([
      'MODELS ENGINE TOPOLOGY READY TOTAL KVCACHE AGE',
      'STRATEGY BACKENDS PROGRAMMED REQ/S HIT TTFT-P90 AGE',
    ]);
  });
});

describe('a structural schema', () => {
  it('writes exclusive bounds as OpenAPI 3.0 does', () => {
    expect(structural(Type.Number({ exclusiveMinimum: 0, maximum: 1 }))).toEqual({
      type: 'number',
      minimum: 0,
      exclusiveMinimum: true,
      maximum: 1,
    });
    expect(structural(Type.Number({ exclusiveMaximum: 2 }))).toEqual({
      type: 'number',
      maximum: 2,
      exclusiveMaximum: true,
    });
  });

  it('takes no keyword that Kubernetes does not know', () => {
    const union: SchemaNode = Object.assign({ type: 'string' }, { anyOf: [] });
    expect(() => structural(union)).toThrow('has no keyword anyOf');
  });
});

describe('rules', () => {
  const rules = written.flatMap(([path, node]) => (node['x-rules'] ?? []).map((rule) => ({ path, node, rule })));
  // Tags of unions are alike for every member; one manifest each for a missing and for a stray member is enough.
  const kindOf = (message: string): string => message.replace(/^(goes with type|is missing, and type) .*/, '$1');
  const broken = validateFiles([join(root, 'test/corpus/bad')], { strict: false }).faults.map(({ message }) =>
    kindOf(message),
  );

  it('are many', () => {
    expect(rules.length).toBeGreaterThan(20);
  });

  it.each(rules)('$path: `$rule.message` is told in CEL and checked at run time', ({ node, rule }) => {
    expect(rule.cel).toContain('self');
    expect(rule.cure.length).toBeGreaterThan(5);
    expect(typeof rule.check).toBe('function');
    if (rule.field !== undefined) expect(Object.keys(node.properties ?? {})).toContain(rule.field);
    if (rule.field !== undefined) expect(rule.cel).toContain(`self.${rule.field}`);
  });

  it.each([...new Set(rules.map(({ rule }) => kindOf(rule.message)))])(
    'are broken by some manifest: `%s`',
    (message) => {
      expect(broken).toContain(message);
    },
  );
});
