// Builds the Dockerfile where there is no Docker and no registry: buildah as root, on a base image of the name that the
// Dockerfile asks for, made of Debian's packages and the Node of package-lock.json.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { mustRun } from '../cluster/kit/command.ts';

const project = join(import.meta.dirname, '../../..');
const certificates = '/etc/ssl/certs/ca-certificates.crt';

/** Why the Dockerfile cannot be built here, or null. */
export function whyNotBuilt(): string | null {
  if (process.getuid?.() !== 0) return 'only root may build an image without an engine';
  return whyNotMade('buildah', 'debootstrap');
}

/** Why an image of Debian's packages cannot be made here with these programs, or null. */
export function whyNotMade(...programs: readonly string[]): string | null {
  const missing = [...programs, 'npm'].filter((name) => programAt(name) === null);
  if (missing.length > 0) return `there is no ${missing.join(', no ')} here`;
  return sourcesOfApt() === null ? 'its base are packages of Debian bookworm, which this is not' : null;
}

/** Where a program lies on the PATH, behind its links. */
function programAt(name: string): string | null {
  const places = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  const found = places.find((path) => existsSync(path));
  return found === undefined ? null : realpathSync(found);
}

/** Where apt of a bookworm gets its packages from, as a file. */
function sourcesOfApt(): string | null {
  const files = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].filter((path) => existsSync(path));
  return files.find((path) => /^[^#]*\bbookworm\b/m.test(readFileSync(path, 'utf8'))) ?? null;
}

/** Builds in a folder of its own, which close removes. */
export class ImageBuild {
  readonly folder = mkdtempSync(join(tmpdir(), 'hermes-dockerfile-'));

  /** Writes the image as an OCI archive; its path. */
  async build(): Promise<string> {
    await this.makeBase();
    await this.buildah(
      'build',
      '--isolation=chroot',
      '--pull=never',
      '--format=oci',
      '--tag=hermes-router:built',
      project,
    );
    const archive = join(this.folder, 'image.tar');
    await this.buildah('push', 'localhost/hermes-router:built', `oci-archive:${archive}`);
    return archive;
  }

  async close(): Promise<void> {
    await this.buildah('rm', '--all');
    await this.buildah('rmi', '--all', '--force');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The image that the Dockerfile begins with. */
  private async makeBase(): Promise<void> {
    const [, name] = /^FROM (\S+) AS build$/m.exec(readFileSync(join(project, 'Dockerfile'), 'utf8')) ?? [];
    const root = join(this.folder, 'base');
    await mustRun('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root]);
    const sources = sourcesOfApt() ?? '';
    rmSync(join(root, 'etc/apt/sources.list'));
    copyFileSync(sources, join(root, sources));
    copyFileSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'));
    await mustRun('chroot', [root, 'apt-get', 'update']);
    await mustRun('chroot', [root, 'apt-get', 'upgrade', '-y']);
    // Those that this machine trusts, such as a proxy's on the way to the packages.
    copyFileSync(certificates, join(root, certificates));
    await this.putNode(root);
    await mustRun('tar', ['-C', root, '-cf', join(this.folder, 'base.tar'), '.']);
    const lines = ['FROM scratch', 'ADD base.tar /', `ENV NODE_EXTRA_CA_CERTS=${certificates}`];
    writeFileSync(join(this.folder, 'Base'), lines.join('\n'));
    await this.buildah(
      'build',
      '--pull=never',
      `--tag=docker.io/library/${name}`,
      '-f',
      join(this.folder, 'Base'),
      this.folder,
    );
  }

  /** Node as package-lock.json pins it, and the npm of this machine. */
  private async putNode(root: string): Promise<void> {
    const npm = join(programAt('npm') ?? '', '../..');
    const modules = join(root, 'usr/local/lib/node_modules');
    mkdirSync(modules, { recursive: true });
    await mustRun('cp', ['-r', npm, join(modules, 'npm')]);
    await mustRun('ln', ['-s', '../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm')]);
    copyFileSync(process.execPath, join(root, 'usr/local/bin/node'));
  }

  private buildah(...args: string[]): Promise<string> {
    const stores = ['--root', join(this.folder, 'store'), '--runroot', join(this.folder, 'run')];
    return mustRun('buildah', [...stores, ...args]);
  }
}
