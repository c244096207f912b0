import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Sequence } from './sequence.ts';
import { folderNames, sharedStore } from './shared-store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sim-store-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function sequence(prompt: readonly number[], salt = ''): Sequence {
  return new Sequence(
    { prompt: Uint32Array.from(prompt), maxOutput: 1, salt, listener: { progressed: () => undefined } },
    4,
  );
}

const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

describe('shared storage of a prompt of ten tokens, in blocks of four', () => {
  const cases: [string, readonly number[], string, number][] = [
    ['is found by the same prompt, in whole blocks', ten, '', 8],
    ['by one that differs behind the last whole block', [...ten.slice(0, 9), 99], '', 8],
    ['not by a longer one: a prefix alone is no hit', [...ten, 11, 12, 13], '', 0],
    ['not by a shorter one', ten.slice(0, 8), '', 0],
    ['not by one of another salt', ten, 'salt', 0],
    ['not by one that has no whole block before its last token', ten.slice(0, 4), '', 0],
  ];
  test.each(cases)('%s', (_name, prompt, salt, found) => {
    const store = sharedStore(folderNames(folder));
    store.save(sequence(ten));
    expect(store.find(sequence(prompt, salt))).toBe(found);
  });

  test('is found by another engine through the same folder, which is made where it is missing', () => {
    const deep = join(folder, 'a', 'b');
    const [one, other] = [sharedStore(folderNames(deep)), sharedStore(folderNames(deep))];
    expect(other.find(sequence(ten))).toBe(0);
    one.save(sequence(ten));
    one.save(sequence(ten));
    expect(other.find(sequence(ten))).toBe(8);
    expect(readdirSync(deep)).toHaveLength(1);
  });
});
