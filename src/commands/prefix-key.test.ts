import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';
import { readPrefixKey } from './prefix-key.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-key-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(bytes: number): string {
  const path = join(folder, 'key');
  writeFileSync(path, Buffer.alloc(bytes, 7));
  return path;
}

describe('the prefix key', () => {
  it('is none without a file', () => {
    expect(readPrefixKey('')).toBeNull();
  });

  it('is what the file holds', () => {
    expect(readPrefixKey(file(32))).toEqual(Buffer.alloc(32, 7));
  });

  it('must be long enough, and is not shown when it is not', () => {
    expect(() => readPrefixKey(file(31))).toThrow(UsageError);
    expect(() => readPrefixKey(file(31))).toThrow(/--prefix-key-file .*31 bytes: it needs at least 32/);
  });

  it('must be there', () => {
    expect(() => readPrefixKey(join(folder, 'none'))).toThrow(OutsideError);
  });
});
