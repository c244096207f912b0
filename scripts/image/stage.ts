// Copies the image's files into a folder: `node scripts/image/stage.ts FOLDER`. The Dockerfile ships that folder.
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { baseFiles, folders, programFiles, type Architecture } from './files.ts';

/** Writes everything below `folder`, which is to be empty. */
export function stage(folder: string, architecture: Architecture): void {
  for (const path of folders) mkdirSync(join(folder, path), { recursive: true });
  chmodSync(join(folder, '/tmp'), 0o1777);
  for (const [path, { source, mode }] of [...baseFiles(architecture), ...programFiles(architecture)]) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    if ('path' in source) copyFileSync(source.path, target);
    else writeFileSync(target, source.text);
    chmodSync(target, mode);
  }
}

/** The machine's own architecture. */
export function ownArchitecture(): Architecture {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch;
  throw new Error(`images are for x64 and arm64, not ${process.arch}`);
}

if (import.meta.main) {
  const folder = process.argv[2];
  if (folder === undefined) throw new Error('usage: node scripts/image/stage.ts FOLDER');
  stage(folder, ownArchitecture());
}
