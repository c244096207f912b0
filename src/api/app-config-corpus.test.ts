import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAppConfig } from './app-config-file.ts';
import { appConfigSchema } from './app-config-schema.ts';
import type { SchemaNode } from './schema-node.ts';

const root = join(import.meta.dirname, '../..');
const files = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => join(root, folder, name));
const bad = files('test/corpus/app-config/bad');
const good = [...files('test/corpus/app-config/good'), ...files('examples/config')];
const read = (file: string) => readAppConfig(readFileSync(file, 'utf8'), file);

describe('the corpus of bad configurations', () => {
  it('is large', () => {
    expect(bad.length).toBeGreaterThanOrEqual(50);
  });

  it.each(bad)('%s has one fault, at the field and line and with the cure that it says', (file) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const [, path, message] = /^# expect: (\S+) (.+)$/.exec(lines[0]) ?? [];
    const [, cure] = /^# cure: (.+)$/.exec(lines[1]) ?? [];
    const { config, faults } = read(file);
    expect(config).toBeNull();
    expect(faults).toEqual([
      {
        file,
        line: lines.findIndex((text) => text.includes('# <- here')) + 1,
        path: path === '-' ? '' : path,
        message: expect.stringContaining(message),
        cure: expect.stringContaining(cure),
      },
    ]);
  });

  it('has a fault at every key', () => {
    const faulty = new Set(bad.flatMap((file) => read(file).faults.map(({ path }) => path.replace(/\[.*/, ''))));
    expect(keysOf(appConfigSchema).filter((key) => !faulty.has(key))).toEqual([]);
  });
});

describe('the corpus of good configurations and the example', () => {
  it.each(good)('%s is accepted', (file) => {
    expect(read(file)).toMatchObject({ faults: [], config: { resources: { groups: [{}], policies: [{}] } } });
  });
});

/** Paths of all keys: `app`, `app.namespace` … */
function keysOf({ properties = {} }: SchemaNode, path = ''): string[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return [at, ...keysOf(field, at)];
  });
}
