// Node and its shared libraries for another architecture than this machine's: Node of package-lock.json by npm, the libraries
// from Debian's packages by apt, which must be a bookworm's as the Dockerfile's base is. Kept in .cache. Needs readelf.
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import lock from '../../package-lock.json' with { type: 'json' };
import type { Architecture } from './files.ts';

const root = join(import.meta.dirname, '../..');
const packages = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1'];

/** Node, and the libraries that it is linked with by the paths under which they are asked for. */
export interface Base {
  /** Folder of the package with `bin/node`. */
  readonly node: string;
  /** Where each file lies on this machine, by its path in the image. */
  readonly libraries: ReadonlyMap<string, string>;
}

/** Debian's word and the GNU triplet of an architecture, and where its loader is asked for. */
const names = {
  x64: { debian: 'amd64', triplet: 'x86_64-linux-gnu', loader: '/lib64/ld-linux-x86-64.so.2' },
  arm64: { debian: 'arm64', triplet: 'aarch64-linux-gnu', loader: '/lib/ld-linux-aarch64.so.1' },
} as const;

/** Fetches what is not in the cache yet. Throws where a program is missing or npm hands out another Node than the locked one. */
export function foreignBase(architecture: Architecture): Base {
  const { version, integrity } = lock.packages[`node_modules/node-linux-${architecture}`];
  const folder = join(root, '.cache', `image-${architecture}-${version}`);
  if (!existsSync(folder)) {
    const draft = `${folder}.${process.pid}`;
    mkdirSync(draft, { recursive: true });
    try {
      fetchNode(draft, `node-linux-${architecture}@${version}`, integrity);
      fetchLibraries(draft, names[architecture].debian);
      renameSync(draft, folder);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  return { node: join(folder, 'package'), libraries: librariesIn(folder, architecture) };
}

function fetchNode(folder: string, name: string, integrity: string): void {
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', name], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
  ) as [{ filename: string }];
  const archive = join(folder, filename);
  const [algorithm] = integrity.split('-');
  const digest = createHash(algorithm).update(readFileSync(archive)).digest('base64');
  if (`${algorithm}-${digest}` !== integrity) throw new Error(`${name} is not what package-lock.json has: ${digest}`);
  execFileSync('tar', ['-xzf', archive, '-C', folder]);
  rmSync(archive);
}

/** By apt with lists of its own: the machine's stay as they are. */
function fetchLibraries(folder: string, architecture: string): void {
  const apt = join(folder, 'apt');
  for (const path of ['lists/partial', 'archives/partial', 'state']) mkdirSync(join(apt, path), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  const settings = {
    'Dir::State': join(apt, 'state'),
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': apt,
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    // Its own user may not write here.
    'APT::Sandbox::User': 'root',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  for (const command of [['update'], ['download', ...packages]])
    execFileSync('apt-get', ['-qq', ...options, ...command], { cwd: apt, stdio: ['ignore', 'ignore', 'inherit'] });
  for (const name of readdirSync(apt).filter((one) => one.endsWith('.deb')))
    execFileSync('dpkg-deb', ['-x', join(apt, name), join(folder, 'root')]);
  rmSync(apt, { recursive: true });
}

/** As the loader would find them, in the order in which they are named. */
function librariesIn(folder: string, architecture: Architecture): Map<string, string> {
  const { triplet, loader } = names[architecture];
  const places = [`/lib/${triplet}`, `/usr/lib/${triplet}`];
  const found = new Map<string, string>([[loader, join(folder, 'root', loader)]]);
  const waiting = neededBy(join(folder, 'package/bin/node'));
  // Name resolution is loaded by name.
  waiting.push('libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2');
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (loader.endsWith(`/${name}`)) continue;
    const path = places.map((place) => join(place, name)).find((one) => existsSync(join(folder, 'root', one)));
    if (path === undefined) throw new Error(`${name} is in none of the packages ${packages.join(', ')}`);
    const asked = `/lib/${triplet}/${name}`;
    if (found.has(asked)) continue;
    found.set(asked, join(folder, 'root', path));
    waiting.push(...neededBy(join(folder, 'root', path)));
  }
  return found;
}

function neededBy(file: string): string[] {
  const text = execFileSync('readelf', ['--dynamic', file], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  return [...text.matchAll(/\(NEEDED\)\s+Shared library: \[(.+)\]/g)].map(([, name]) => name);
}
