// What a node is made of beside Kubernetes, each fetched or built once and kept in .cache.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ociArchive, ociImage } from '../../../../scripts/image/oci.ts';
import { ownArchitecture } from '../../../../scripts/image/stage.ts';
import { layerOf } from '../../../../scripts/image/tar.ts';
import manifest from '../../../../package.json' with { type: 'json' };
import { cached } from '../../cluster/kit/cache.ts';
import { mustRun, run } from '../../cluster/kit/command.ts';

const packages = ['containerd', 'runc', 'containernetworking-plugins', 'nftables'];

/**
 * Path of a folder with containerd, runc, the CNI plugins and nft as Debian or Ubuntu packs them, with the libraries that
 * this machine lacks: 36 MB to fetch. Nothing is installed.
 */
export function nodeParts(): Promise<string> {
  return cached('node-parts', [import.meta.filename], async (draft) => {
    const apt = await run('apt-get', ['--version']).catch(() => null);
    if (apt?.code !== 0) {
      throw new Error(
        'The box takes containerd from Debian packages, and here is no apt-get: set KUBECONFIG to a cluster.',
      );
    }
    const options = Object.entries({
      'Dir::State::lists': join(draft, 'lists'),
      'Dir::Cache': join(draft, 'cache'),
      'APT::Sandbox::User': 'root',
    }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    for (const folder of ['lists/partial', 'cache/archives/partial', 'packed'])
      mkdirSync(join(draft, folder), { recursive: true });
    const cwd = join(draft, 'packed');
    await mustRun('apt-get', [...options, '-q', 'update'], { cwd });
    const install = ['--print-uris', '-q', '-y', '--no-install-recommends', '--reinstall', 'install', ...packages];
    const lines = await mustRun('apt-get', [...options, ...install], { cwd });
    const names = [...lines.matchAll(/^'\S+' ([^_ ]+)_\S+\.deb /gm)].map(([, name]) => name);
    await mustRun('apt-get', [...options, '-q', 'download', ...names], { cwd });
    for (const file of readdirSync(cwd)) await mustRun('dpkg', ['-x', join(cwd, file), draft]);
    for (const folder of ['lists', 'cache', 'packed']) rmSync(join(draft, folder), { recursive: true });
  });
}

/** What of the environment makes programs of the parts' folder run. */
export function partsEnvironment(parts: string): { PATH: string; LD_LIBRARY_PATH: string } {
  const below = (...folders: string[]): string => folders.map((folder) => join(parts, folder)).join(':');
  const triple = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[ownArchitecture()];
  return {
    PATH: `${below('usr/bin', 'usr/sbin', 'sbin')}:${process.env.PATH}`,
    LD_LIBRARY_PATH: below(`usr/lib/${triple}`, `lib/${triple}`),
  };
}

/** Path of the archive of the image that holds pods' namespaces. */
export async function pauseImage(): Promise<string> {
  const source = join(import.meta.dirname, '../pause/pause.go');
  const folder = await cached('pause', [source, import.meta.filename], async (draft) => {
    const program = join(draft, 'program');
    const env = { ...process.env, CGO_ENABLED: '0' };
    await mustRun('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', program, source], { env });
    const layer = layerOf(new Map([['/pause', { source: { path: program }, mode: 0o755 }]]), []);
    const config = { User: '65532:65532', Entrypoint: ['/pause'] };
    const image = { reference: 'localhost/pause:1', architecture: ownArchitecture(), layers: [layer], config };
    writeFileSync(join(draft, 'pause.tar'), ociArchive(image));
  });
  return join(folder, 'pause.tar');
}

/** What charts and config/ ask for, as a kubelet reads it. */
export const routerReference = `docker.io/library/hermes-router:${manifest.version}`;

/** Writes the image of the project, as it is now, into a folder; its path. */
export function routerImage(folder: string): string {
  const path = join(folder, 'hermes-router.tar');
  writeFileSync(path, ociImage(routerReference, ownArchitecture()));
  return path;
}
