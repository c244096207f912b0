// The image that the Dockerfile makes and the one that is made without an engine hold the same; that for arm64 runs.
import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from './cluster/kit/command.ts';
import { ImageBuild, whyNotBuilt, whyNotMade } from './testkit/dockerfile.ts';
import { get } from './testkit/router.ts';

const project = join(import.meta.dirname, '../..');
const why = whyNotBuilt();

interface Descriptor {
  readonly digest: string;
}
interface Config {
  readonly architecture: string;
  readonly os: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What an OCI archive holds, its layers laid on each other below `root`. */
function unpacked(archive: string, root: string): Config {
  const read = (name: string): Buffer => execFileSync('tar', ['-xOf', archive, name], { maxBuffer: 1 << 28 });
  const blob = (digest: string): Buffer => read(`blobs/sha256/${digest.slice('sha256:'.length)}`);
  const json = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
  const index = json(read('index.json')) as { manifests: Descriptor[] };
  const image = json(blob(index.manifests[0].digest)) as { config: Descriptor; layers: Descriptor[] };
  mkdirSync(root);
  for (const { digest } of image.layers)
    execFileSync('tar', ['-xzpf', '-', '-C', root], { input: blob(digest), maxBuffer: 1 << 28 });
  return json(blob(image.config.digest)) as Config;
}

/** Each file and folder with its type, mode, owner and content. */
function listing(root: string): Record<string, string> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    paths.map((path) => {
      const { mode, uid, gid } = statSync(join(root, path));
      const isFile = statSync(join(root, path)).isFile();
      const content = isFile
        ? createHash('sha256')
            .update(readFileSync(join(root, path)))
            .digest('hex')
        : '';
      return [path, `${mode.toString(8)} ${uid}:${gid} ${content}`];
    }),
  );
}

describe.skipIf(why !== null)(`the image of the Dockerfile${why === null ? '' : ` (${why})`}`, () => {
  let build: ImageBuild;
  let folder: string;
  let docker: string;
  let direct: string;
  let configs: Config[];

  beforeAll(async () => {
    build = new ImageBuild();
    folder = mkdtempSync(join(tmpdir(), 'hermes-images-'));
    [docker, direct] = [join(folder, 'docker'), join(folder, 'direct')];
    const archive = join(folder, 'direct.tar');
    execFileSync('node', [join(project, 'scripts/image/oci.ts'), archive], { cwd: project, stdio: 'ignore' });
    configs = [unpacked(await build.build(), docker), unpacked(archive, direct)];
  }, 900_000);
  afterAll(async () => {
    await build.close();
    rmSync(folder, { recursive: true });
  }, 60_000);

  it('has the files of the one that is made without an engine: names, modes, owners, contents', () => {
    const [built, made] = [listing(docker), listing(direct)];
    expect(Object.keys(built)).toEqual(Object.keys(made));
    expect(Object.keys(built).length).toBeGreaterThan(500);
    expect(built).toEqual(made);
  });

  it('is run in the same way', () => {
    const [built, made] = configs.map(({ architecture, os, config }) => ({ architecture, os, config }));
    expect(built).toMatchObject(made);
    expect(made.config).toMatchObject({ User: '65532:65532', WorkingDir: '/app' });
  });

  it('runs', async () => {
    const { code, stdout } = await run('chroot', ['--userspec=65532:65532', docker, '/usr/local/bin/node', '/app/dist/launch.js', '--help']); // prettier-ignore
    expect([code, stdout]).toEqual([0, expect.stringContaining('usage: hermes-router')]);
  });
});

const otherWhy = process.arch === 'arm64' ? 'this is an arm64 itself' : whyNotMade('apt-get', 'dpkg-deb', 'readelf', 'qemu-aarch64-static'); // prettier-ignore

describe.skipIf(otherWhy !== null)(`the image for arm64${otherWhy === null ? '' : ` (${otherWhy})`}`, () => {
  let folder: string;
  let root: string;
  let config: Config;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hermes-arm64-'));
    root = join(folder, 'root');
    const archive = join(folder, 'image.tar');
    const args = [join(project, 'scripts/image/oci.ts'), archive, '--arch', 'arm64'];
    execFileSync('node', args, { cwd: project, stdio: 'ignore' });
    config = unpacked(archive, root);
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('holds binaries of that machine alone', () => {
    expect(config).toMatchObject({ architecture: 'arm64', os: 'linux' });
    const magic = Buffer.from('7f454c46', 'hex');
    const binaries = Object.keys(listing(root)).filter((path) => {
      const isFile = statSync(join(root, path)).isFile();
      return isFile && readFileSync(join(root, path)).subarray(0, 4).equals(magic);
    });
    expect(binaries).toEqual(expect.arrayContaining(['usr/local/bin/node', 'lib/ld-linux-aarch64.so.1']));
    // e_machine of an ELF file: EM_AARCH64.
    for (const path of binaries) expect([path, readFileSync(join(root, path)).readUInt16LE(18)]).toEqual([path, 183]);
  });

  it('runs, addons and all, by what it holds', async () => {
    const asked = ['sim-engine', '--listen', '127.0.0.1:0', '--model', 'm', '--kv-events', 'tcp://127.0.0.1:0'];
    const program = [join(root, 'usr/local/bin/node'), join(root, 'app/dist/main.js'), ...asked];
    const engine = spawn('qemu-aarch64-static', ['-L', root, ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: engine.stdout }).once('line', resolve);
      engine.once('close', (code) => reject(new Error(`it ended with ${code}`)));
    });
    const address = /127\.0\.0\.1:\d+/.exec(line)?.[0];
    expect((await get(`http://${address}/v1/models`)).status).toBe(200);
    const closed = new Promise((resolve) => engine.once('exit', resolve));
    engine.kill('SIGTERM');
    expect(await closed).toBe(0);
  });
});
