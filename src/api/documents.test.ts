import { describe, expect, it } from 'vitest';
import { parseDocuments } from './documents.ts';

const values = (text: string): unknown[] => parseDocuments(text, 'f.yaml').documents.map(({ value }) => value);
const lines = (text: string, paths: readonly string[], document = 0): number[] =>
  paths.map((path) => parseDocuments(text, 'f.yaml').documents[document].lineOf(path));

describe('documents of a file', () => {
  it.each([
    ['an empty file holds none', '', []],
    ['comments alone are none', '# nothing\n', []],
    ['empty documents are passed over', '---\n---\na: 1\n---\n', [{ a: 1 }]],
    ['several documents come in order', 'a: 1\n---\nb: 2\n', [{ a: 1 }, { b: 2 }]],
    ['JSON is read as it is, tabs too', '{"a":\n\t{"b": 1}}', [{ a: { b: 1 } }]],
    ['a byte order mark is no content', '\ufeffa: 1\n', [{ a: 1 }]],
    ['merge keys are followed', 'a: &x {k: 1}\nb: {<<: *x, z: 2}\n', [{ a: { k: 1 }, b: { k: 1, z: 2 } }]],
    ['dates stay text', 'a: 2001-01-01\n', [{ a: '2001-01-01' }]],
  ])('%s', (_, text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('keeps a field called __proto__ a field', () => {
    const [value] = values('__proto__: {polluted: true}\n');
    expect(Object.hasOwn(Object(value), '__proto__')).toBe(true);
    expect('polluted' in {}).toBe(false);
  });
});

describe('lines', () => {
  const text =
    'a: 1\nb:\n  - x: 1\n\n    y:\n      z: 2\n  - q\nc: {d: 1,\n  "e.f/g": 2}\n---\nk: >\n  folded\n\nn: 2\n';

  it('are those of the field names and list items', () => {
    expect(lines(text, ['a', 'b', 'b[0]', 'b[0].x', 'b[0].y', 'b[0].y.z', 'b[1]', 'c.d', 'c[e.f/g]'])).toEqual([
      1, 2, 3, 3, 5, 6, 7, 8, 9,
    ]);
  });

  it('are those of the nearest field around a missing one', () => {
    expect(lines(text, ['b[1].weight', 'b[0].y.z.deeper[3]', 'c.gone', 'gone', ''])).toEqual([7, 6, 8, 1, 1]);
  });

  it('count through the whole file in its later documents', () => {
    expect(lines(text, ['', 'k', 'n'], 1)).toEqual([11, 11, 14]);
  });

  it('are right behind a byte order mark and with carriage returns', () => {
    expect(lines('\ufeffa: 1\r\nb: 2\r\nc:\r\n  d: 3\r\n', ['a', 'b', 'c.d'])).toEqual([1, 2, 4]);
  });

  it('of a field under an alias are those of the alias', () => {
    expect(lines('a: &x\n  k: 1\nb: *x\n', ['a.k', 'b.k'])).toEqual([2, 3]);
  });
});

describe('faults of a file', () => {
  it.each([
    ['a list that is not closed', 'a: 1\nb: [1\n', 3, ''],
    ['a tab as indentation', 'a:\n\tb: 1\n', 2, ''],
    ['an unknown tag', 'a: 1\nb: !secret x\n', 2, ''],
    ['an alias to nothing', 'a: 1\nb: *gone\n', 2, ''],
    ['a map as a key', '? {b: 1}\n: 2\n', 1, ''],
    ['a binary file', 'PK\u0003\u0000\n', 1, ''],
    ['a key that stands there twice', 'a:\n  b: 1\n  c: 2\n  b: 3\n', 4, 'a.b'],
    ['endless nesting', '['.repeat(5000), 1, ''],
    ['more aliases than anybody needs', `a: &a 1\nb: [${'*a, '.repeat(101)}]\n`, 2, ''],
  ])('%s', (_, text, line, path) => {
    const { faults } = parseDocuments(text, 'f.yaml');
    expect(faults.map((fault) => [fault.file, fault.line, fault.path])).toEqual([['f.yaml', line, path]]);
    expect(faults[0].message).not.toContain('\n');
  });

  it('of one document lose no other', () => {
    const { documents, faults } = parseDocuments('a: 1\n---\nb: 1\nb: 2\n---\nc: 1\n', 'f.yaml');
    expect(documents.map(({ value }) => value)).toEqual([{ a: 1 }, { c: 1 }]);
    expect(faults).toHaveLength(1);
  });
});
