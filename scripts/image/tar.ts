import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { FileList } from './files.ts';

const block = 512;

/**
 * A layer of the image as a tar archive (ustar): files and the folders above them, owned by root, of no time, in the order
 * of their names, so that the same files make the same bytes.
 */
export function layerOf(files: FileList, folders: readonly string[]): Buffer {
  const above = [...files.keys()].flatMap(ancestors);
  const all = [...new Set([...above, ...folders, ...folders.flatMap(ancestors)])].sort();
  const parts = all.map((path) => header(`${path}/`, { mode: path === '/tmp' ? 0o1777 : 0o755, size: 0, type: '5' }));
  for (const [path, { source, mode }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const content = 'path' in source ? readFileSync(source.path) : Buffer.from(source.text);
    parts.push(header(path, { mode, size: content.length, type: '0' }), content, padding(content.length));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

/** An archive of files at its top level. */
export function archiveOf(entries: readonly (readonly [name: string, content: Buffer])[]): Buffer {
  const parts = entries.flatMap(([name, content]) => [
    header(`/${name}`, { mode: 0o644, size: content.length, type: '0' }),
    content,
    padding(content.length),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function ancestors(path: string): string[] {
  const above = dirname(path);
  return above === '/' ? [] : [above, ...ancestors(above)];
}

const padding = (size: number): Buffer => Buffer.alloc((block - (size % block)) % block);

interface Entry {
  readonly mode: number;
  readonly size: number;
  readonly type: '0' | '5';
}

function header(path: string, { mode, size, type }: Entry): Buffer {
  const bytes = Buffer.alloc(block);
  const [prefix, name] = split(path.slice(1));
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits - 1, '0')}\0`;
  bytes.write(name, 0);
  bytes.write(octal(mode, 8), 100);
  bytes.write(octal(0, 8), 108);
  bytes.write(octal(0, 8), 116);
  bytes.write(octal(size, 12), 124);
  bytes.write(octal(0, 12), 136);
  bytes.write('        ', 148);
  bytes.write(type, 156);
  bytes.write('ustar\x0000', 257, 'latin1');
  bytes.write(prefix, 345);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

/** ustar holds 155 bytes of folders and 100 of a name. */
function split(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let at = path.indexOf('/'); at !== -1 && at < path.length - 1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return [prefix, name];
  }
  throw new Error(`${path} is too long for an archive`);
}
