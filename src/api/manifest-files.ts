import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const extensions = /\.(ya?ml|json)$/;

/**
 * The manifests of a path: the file itself whatever its name, or the .yaml, .yml and .json files of a folder and its
 * folders, sorted. Names that begin with a dot are passed over, links are followed: a mounted ConfigMap keeps its
 * files behind `..data`. Throws what the file system throws, ENOENT for a missing path.
 */
export function manifestFiles(path: string): string[] {
  return statSync(path).isDirectory() ? inFolder(path) : [path];
}

function inFolder(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return names.sort().flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return inFolder(path);
    return extensions.test(name) ? [path] : [];
  });
}
