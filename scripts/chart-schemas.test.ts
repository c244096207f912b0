import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { chartSchemas } from './chart-schemas.ts';

const project = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(project, path), 'utf8');

/** Paths of the keys of a schema's objects, as `image.tag`; what lies below lists and open objects is not looked at. */
function keysOf(schema: unknown, path: string): string[] {
  const { properties } = schema as { properties?: Record<string, unknown> };
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([key, below]) => keysOf(below, path === '' ? key : `${path}.${key}`));
}

describe.each([...chartSchemas()])('%s', (path, text) => {
  const values = load(read(path.replace('values.schema.json', 'values.yaml'))) as Record<string, unknown>;

  it('knows what values.yaml has, and nothing that it has not', () => {
    const umbrella = new Set(['global', 'enabled']);
    const known = Object.keys((JSON.parse(text) as { properties: object }).properties);
    const usual = Object.keys(values);
    expect(known.filter((key) => !umbrella.has(key)).sort()).toEqual(usual.filter((key) => key !== 'global').sort());
  });
});

describe('docs/guides/install.md', () => {
  it('tells every value of the chart hermes-router', () => {
    const text = read('docs/guides/install.md');
    const start = text.indexOf('## Values of the chart');
    const table = text.slice(start, text.indexOf('\n## ', start + 1));
    const schema: unknown = JSON.parse(chartSchemas().get('charts/hermes-router/values.schema.json') ?? '');
    const own = keysOf(schema, '').filter((key) => key !== 'enabled' && key !== 'global');
    const told = (key: string): boolean => {
      const parts = key.split('.');
      const [last] = parts.slice(-1);
      // The table writes what shares its beginning once: `image.repository`, `.tag`.
      return (
        table.includes(`\`${key}\``) || (table.includes(`\`.${last}\``) && table.includes(parts.slice(0, -1).join('.')))
      );
    };
    expect(own.filter((key) => !told(key))).toEqual([]);
  });
});
