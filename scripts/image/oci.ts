// Makes an OCI image as one tar file, without a container engine: `node scripts/image/oci.ts FILE [REFERENCE]`. Its files are
// those of the Dockerfile; Node's shared libraries are this machine's. `ctr images import FILE` takes it.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
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

/** The image as a tar file. */
export function ociImage(reference: string, architecture: Architecture): Buffer {
  const layers = [layerOf(baseFiles(architecture), folders), layerOf(programFiles(architecture), [])].map((tar) => ({
    digest: digestOf(tar),
    packed: gzipSync(tar, { level: 6 }),
  }));
  const { user, workdir, env, entrypoint } = settings;
  const config = json({
    architecture: architecture === 'x64' ? 'amd64' : architecture,
    os: 'linux',
    config: {
      User: user,
      WorkingDir: workdir,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  });
  const image = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: described(types.config, config),
    layers: layers.map(({ packed }) => described(types.layer, packed)),
  });
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        ...described(types.manifest, image),
        annotations: {
          'io.containerd.image.name': reference,
          'org.opencontainers.image.ref.name': reference.split(':').at(-1),
        },
      },
    ],
  });
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
  const [path, reference = usualReference] = process.argv.slice(2);
  if (path === undefined) throw new Error('usage: node scripts/image/oci.ts FILE [REFERENCE]');
  const image = ociImage(reference, ownArchitecture());
  writeFileSync(path, image);
  console.log(`${path}: ${reference}, ${(image.length / 1e6).toFixed(0)} MB`);
}
