import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tokenizerFolder, TokenizerFolderError } from './tokenizer-folder.ts';
import { afterTest } from './tokens.fixture.ts';

function world(): string {
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'folders-')));
  afterTest(() => rmSync(top, { recursive: true }));
  mkdirSync(join(top, 'models/qwen/8b'), { recursive: true });
  mkdirSync(join(top, 'models/..qwen'));
  mkdirSync(join(top, 'models-private'));
  writeFileSync(join(top, 'models/file'), '');
  symlinkSync(join(top, 'models/qwen'), join(top, 'models/link'));
  symlinkSync(join(top, 'models-private'), join(top, 'models/way-out'));
  return join(top, 'models');
}

describe('tokenizerFolder', () => {
  it.each([
    ['qwen', 'qwen'],
    ['qwen/8b', 'qwen/8b'],
    ['./qwen//8b/', 'qwen/8b'],
    ['qwen/../qwen', 'qwen'],
    ['..qwen', '..qwen'],
    ['link/8b', 'qwen/8b'],
    ['.', '.'],
  ])('takes %s', (name, folder) => {
    const root = world();
    expect(tokenizerFolder(root, name)).toBe(join(root, folder));
  });

  it.each([
    ['an absolute path', '/etc', 'must be a path beneath'],
    ['the folder above', '..', 'leads out'],
    ['a sibling whose name begins alike', '../models-private', 'leads out'],
    ['a link that leads out', 'way-out', 'leads out'],
    ['a way out and in again', 'qwen/../../models-private', 'leads out'],
    ['what is not there', 'nothing', 'cannot be opened'],
    ['a file', 'file', 'is not a folder'],
    ['a name with a NUL', 'qwen\0', 'must be a path beneath'],
  ])('refuses %s', (_sentence, name, message) => {
    const root = world();
    expect(() => tokenizerFolder(root, name)).toThrow(TokenizerFolderError);
    expect(() => tokenizerFolder(root, name)).toThrow(message);
  });

  it('refuses everything where the operator has set no folder aside', () => {
    expect(() => tokenizerFolder(null, 'qwen')).toThrow('--tokenizers');
  });
});
