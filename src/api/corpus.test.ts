import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { validateFiles } from './validate.ts';

const root = join(import.meta.dirname, '../..');
const files = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => join(root, folder, name));
const bad = files('test/corpus/bad');
const good = [...files('test/corpus/good'), ...files('examples/manifests')];

describe('the corpus of bad manifests', () => {
  it('is large', () => {
    expect(bad.length).toBeGreaterThanOrEqual(70);
  });

  it.each(bad)('%s has one fault, at the field and line that it says', (file) => {
    const lines = readFileSync(file, 'utf8').split('\n');
    const [, path, message] = /^# expect: (\S+) (.+)$/.exec(lines[0]) ?? [];
    const { faults } = validateFiles([file], { strict: false });
    expect(faults.map((fault) => ({ path: fault.path, line: fault.line }))).toEqual([
      { path, line: lines.findIndex((text) => text.includes('# <- here')) + 1 },
    ]);
    expect(faults[0].message).toContain(message);
    expect(faults[0].cure.length).toBeGreaterThan(5);
  });
});

describe('the corpus of good manifests and the examples', () => {
  it('is large', () => {
    expect(good.length).toBeGreaterThanOrEqual(16);
  });

  it.each(good)('%s is accepted', (file) => {
    const { faults, resources } = validateFiles([file], { strict: false });
    expect(faults).toEqual([]);
    expect(resources).toBeGreaterThan(0);
  });
});
