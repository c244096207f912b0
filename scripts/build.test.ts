import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFiles } from './build.ts';

const project = join(import.meta.dirname, '..');

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly version?: string }>>;
}

const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as Lock;

describe('dist/', () => {
  const files = builtFiles();

  it('holds the program and no tests', () => {
    expect(files.has('main.js')).toBe(true);
    expect(files.has('launch.js')).toBe(true);
    expect([...files.keys()].filter((path) => /\.(test|suite|fixture)\.|testkit|testdata/.test(path))).toEqual([]);
  });

  it('holds every module that another imports, and none as TypeScript', () => {
    for (const [path, text] of files) {
      for (const [, , name] of text.matchAll(/\b(from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)) {
        const target = join(path, '..', name);
        if (!name.endsWith('package.json')) expect([...files.keys()], `${path} imports it`).toContain(target);
      }
    }
  });

  it('holds the threads that modules start', () => {
    const starters = [...files].filter(([, text]) => text.includes('new Worker('));
    expect(starters.map(([path]) => path)).toEqual(['indexer/tokens/local-renderer.js']);
    expect(files.has('indexer/tokens/local-worker.js')).toBe(true);
  });

  it('holds the files that modules read beside themselves', () => {
    const readers = [...files].filter(([, text]) => /new URL\('\.\/[^']+'/.test(text));
    for (const [path, text] of readers) {
      for (const [, name] of text.matchAll(/new URL\('(\.\/[^']+)'/g))
        expect(files.has(join(path, '..', name)), `${path} reads ${name}`).toBe(true);
    }
  });

  it('keeps lines where they are in src', () => {
    const lines = (text: string): number => text.split('\n').length;
    expect(lines(files.get('main.js') ?? '')).toBe(lines(readFileSync(join(project, 'src/main.ts'), 'utf8')));
  });
});

describe('the packed package', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hermes-pack-'));
    const packed = execFileSync('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', folder], {
      cwd: project,
      encoding: 'utf8',
    });
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? packed;
    execFileSync('tar', ['-xzf', join(folder, tarball), '-C', folder]);
    install(folder);
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  /** As npm lays it out: the package among those that it needs, without anything that only developers need. */
  function install(within: string): void {
    const modules = join(within, 'node_modules');
    mkdirSync(modules);
    execFileSync('mv', [join(within, 'package'), join(modules, 'hermes-router')]);
    for (const [path, { dev }] of Object.entries(lock.packages)) {
      const name = path.slice('node_modules/'.length);
      if (path === '' || dev === true || name.includes('node_modules/')) continue;
      if (name.startsWith('@')) mkdirSync(join(modules, name, '..'), { recursive: true });
      symlinkSync(join(project, path), join(modules, name));
    }
  }

  const run = (...args: readonly string[]) =>
    new Promise<{ code: number; text: string }>((resolve) => {
      const program = join(folder, 'node_modules/hermes-router/bin/hermes-router');
      const child = execFile(program, [...args], { cwd: folder }, (_, out, err) =>
        resolve({ code: child.exitCode ?? -1, text: out + err }),
      );
    });

  it('runs where it is installed, on the Node that it brings', async () => {
    expect((await run('validate', join(project, 'examples/manifests/static.yaml'))).text).toContain(' 0 faults');
    expect((await run('serve', '--help')).text).toContain('usage: hermes-router serve');
    expect((await run('nonsense')).code).toBe(2);
  });

  it('starts every command', async () => {
    const { text } = await run('--help');
    const commands = [...text.matchAll(/^ {2}([a-z-]+) /gm)].map((match) => match[1]);
    expect(commands).toContain('cache-indexer');
    const helps = await Promise.all(commands.map((command) => run(command, '--help')));
    for (const [i, command] of commands.entries()) expect(helps[i].text).toContain(command);
  });
});
