// The list of what the image holds. The Dockerfile copies it (stage.ts), and so does what makes an image without a
// container engine (oci.ts).
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { builtFiles } from '../build.ts';
import { foreignBase, type Base } from './foreign.ts';

const root = join(import.meta.dirname, '../..');

/** A file of the image: what is read from a path, or its text. */
export type Source = { readonly path: string } | { readonly text: string };

export interface ImageFile {
  readonly source: Source;
  readonly mode: number;
}

/** Files by their absolute path in the image. */
export type FileList = ReadonlyMap<string, ImageFile>;

export type Architecture = 'x64' | 'arm64';

/** How the image runs. The Dockerfile says the same, which a test compares. */
export const settings = {
  user: '65532:65532',
  workdir: '/app',
  env: { PATH: '/usr/local/bin', NODE_ENV: 'production', MALLOC_ARENA_MAX: '1' },
  entrypoint: ['/usr/local/bin/node', '/app/dist/launch.js'],
} as const;

/** Folders that are there though empty; programs may write into /tmp where the container lets them. */
export const folders = ['/tmp', '/etc/hermes-router'] as const;

/** Node and what it is linked with: changes with the version of Node only. */
export function baseFiles(architecture: Architecture): FileList {
  const { node, libraries } = architecture === process.arch ? ownBase(architecture) : foreignBase(architecture);
  const files = new Map<string, ImageFile>([['/usr/local/bin/node', file(join(node, 'bin/node'), 0o755)]]);
  for (const [path, source] of libraries) files.set(path, file(realpathSync(source), 0o755));
  files.set('/usr/share/doc/node/LICENSE', file(join(node, 'LICENSE')));
  files.set('/etc/passwd', text('nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n'));
  files.set('/etc/group', text('nonroot:x:65532:\n'));
  // Names of the cluster come from DNS, those of the pod's hosts file first.
  files.set('/etc/nsswitch.conf', text('hosts: files dns\n'));
  return files;
}

function ownBase(architecture: Architecture): Base {
  const node = join(root, `node_modules/node-linux-${architecture}`);
  if (!existsSync(join(node, 'bin/node'))) throw new Error(`${node} is missing; run npm ci`);
  return { node, libraries: new Map(librariesOf(join(node, 'bin/node')).map((path) => [path, path])) };
}

/** The program and the packages that it needs. */
export function programFiles(architecture: Architecture): FileList {
  const files = new Map<string, ImageFile>();
  for (const [path, content] of builtFiles()) files.set(`/app/dist/${path}`, text(content));
  for (const name of ['package.json', 'LICENSE']) files.set(`/app/${name}`, file(join(root, name)));
  for (const folder of productionPackages()) {
    for (const path of filesBelow(join(root, folder), '')) {
      if (isNeeded(`${folder}/${path}`, architecture))
        files.set(`/app/${folder}/${path}`, file(join(root, folder, path)));
    }
  }
  return files;
}

const file = (path: string, mode = 0o644): ImageFile => ({ source: { path }, mode });
const text = (content: string): ImageFile => ({ source: { text: content }, mode: 0o644 });

/** Shared libraries that the loader would take, and the loader, by the paths under which they are asked for. */
function librariesOf(program: string): string[] {
  const lines = execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n');
  const paths = lines.map((line) => /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1]).filter((path) => path !== undefined);
  // Name resolution is loaded by name.
  const resolver = paths
    .filter((path) => path.endsWith('/libc.so.6'))
    .map((path) => join(dirname(path), 'libnss_dns.so.2'));
  const more = resolver.flatMap((path) => [path, path.replace('_dns', '_files'), path.replace('nss_dns', 'resolv')]);
  return [...paths, ...more.filter((path) => existsSync(path))];
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>;
}

/** Folders of the packages that are no development dependencies. */
function productionPackages(): string[] {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  const folders = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  // Node itself is the base's; what is optional may be another machine's.
  return folders
    .map(([path]) => path)
    .filter((path) => !path.startsWith('node_modules/node-linux-') && !path.startsWith('node_modules/@types/'))
    .filter((path) => existsSync(join(root, path)));
}

function* filesBelow(folder: string, path: string): Generator<string> {
  for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    // Packages within packages have entries of their own.
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* filesBelow(folder, below);
    if (entry.isFile()) yield below.replaceAll(sep, '/');
  }
}

const scripts = /\.(js|cjs|mjs|json|wasm)$|(^|\/)(LICEN[CS]E|NOTICE|COPYING)[^/]*$/i;
const addons = /^node_modules\/zeromq\/build\/([a-z0-9]+)\/([a-z0-9]+)\/node\/(glibc-[^/]+|\d+)\/addon\.node$/;

/** Types, sources, maps and pages are for developers, and one machine's binaries for that machine. */
function isNeeded(path: string, architecture: Architecture): boolean {
  const addon = addons.exec(path);
  if (addon !== null) return addon[1] === 'linux' && addon[2] === architecture && addon[3].startsWith('glibc-');
  return scripts.test(path) && !/^node_modules\/zeromq\/(src|script)\//.test(path);
}
