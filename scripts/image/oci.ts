// Makes an OCI image as one tar file, without a container engine: `node scripts/image/oci.ts FILE [REFERENCE] [--arch arm64]`.
// Its files are those of the Dockerfile; Node's shared libraries are this machine's, for another architecture Debian's.
// `ctr images import FILE` takes it.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import manifest from '../../package.json' with { type: 'json' };
import { baseFiles, folders, programFiles, settings, type Architecture } from './files.ts';
import { ownArchitecture } from './stage.ts';
import { archiveOf, layerOf } from './tar.ts';

const types = {
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
} as const;

/** What a kubelet knows the image by unless another name is given. */
export const usualReference = `localhost/hermes-router:${manifest.version}`;

/** An image: its files in layers, and how it runs. */
export interface Image {
  readonly reference: string;
  readonly architecture: Architecture;
  readonly layers: readonly Buffer[];
  /** As in the specification of OCI images: User, Env, Entrypoint, … */
  readonly config: Readonly<Record<string, unknown>>;
}

/** The image of the project as a tar file. */
export function ociImage(reference: string, architecture: Architecture): Buffer {
  const { user, workdir, env, entrypoint } = settings;
  return ociArchive({
    reference,
    architecture,
    layers: [layerOf(baseFiles(architecture), folders), layerOf(programFiles(architecture), [])],
    config: {
      User: user,
      WorkingDir: workdir,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
    },
  });
}

/** An image as a tar file, of the layout that the OCI specifies; its layers are compressed. */
export function ociArchive({ reference, architecture, layers: plain, config: running }: Image): Buffer {
  const layers = plain.map((tar) => ({ digest: digestOf(tar), packed: gzipSync(tar, { level: 6 }) }));
  const config = json({
    architecture: architecture === 'x64' ? 'amd64' : architecture,
    os: 'linux',
    config: running,
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const image = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: described(types.config, config),
    layers: layers.map(({ packed }) => described(types.layer, packed)),
  });
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.split(':').at(-1),
  };
  const index = json({ schemaVersion: 2, manifests: [{ ...described(types.manifest, image), annotations }] });
  const blobs = [...layers.map(({ packed }) => packed), config, image];
  return archiveOf([
    ['oci-layout', json({ imageLayoutVersion: '1.0.0' })],
    ['index.json', index],
    ...blobs.map((blob) => [`blobs/sha256/${digestOf(blob).slice('sha256:'.length)}`, blob] as const),
  ]);
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const described = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { arch: { type: 'string' } }, allowPositionals: true });
  const [path, reference = usualReference] = positionals;
  const architecture = values.arch ?? ownArchitecture();
  if (path === undefined || (architecture !== 'x64' && architecture !== 'arm64'))
    throw new Error('usage: node scripts/image/oci.ts FILE [REFERENCE] [--arch x64|arm64]');
  const image = ociImage(reference, architecture);
  writeFileSync(path, image);
  console.log(`${path}: ${reference}, ${(image.length / 1e6).toFixed(0)} MB`);
}
