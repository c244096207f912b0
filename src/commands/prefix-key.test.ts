import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';
import { prefixSecrets } from './prefix-key.ts';

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
  it('is none without a file, and prompts are hashed by chance', async () => {
    const [one, other] = [await prefixSecrets(''), await prefixSecrets('')];
    expect(one.prefixKey).toBeNull();
    expect(one.promptSecret).not.toBe(other.promptSecret);
  });

  it('is what the file holds, and prompts are hashed alike by all who hold it', async () => {
    const [one, other] = [await prefixSecrets(file(32)), await prefixSecrets(file(32))];
    expect(one).toEqual(other);
    expect(one.prefixKey).toEqual(Buffer.alloc(32, 7));
  });

  it('must be long enough', async () => {
    const short = prefixSecrets(file(31));
    await expect(short).rejects.toThrow(UsageError);
    await expect(short).rejects.toThrow(/--prefix-key-file .*31 bytes: it needs at least 32/);
  });

  it('must be there', async () => {
    await expect(prefixSecrets(join(folder, 'none'))).rejects.toThrow(OutsideError);
  });
});
