import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { serveUsage } from './serve-flags.ts';

const bin = fileURLToPath(new URL('../../bin/hermes-router', import.meta.url));
let folder: string;
let taken: Server | null = null;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-serve-'));
  writeFileSync(join(folder, 'empty.txt'), '');
});

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(() => {
  taken?.close();
  taken = null;
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the program to its end, in an environment of its own. */
async function run(...argv: string[]): Promise<Ended> {
  const child = spawn(bin, argv, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (out += piece));
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (err += piece));
  await once(child, 'close');
  return { code: child.exitCode, out, err };
}

const anyPort = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];

describe('hermes-router', () => {
  it('tells its commands, and how to go on', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    expect(out).toContain('serve');
    expect(out.split('\n').length).toBeLessThanOrEqual(40);
  });

  const usage: [string, string[], string][] = [
    ['no command', [], ''],
    ['an unknown command', ['sevre'], 'sevre'],
    ['an unknown flag', ['serve', '--manifest', 'x'], '--manifest'],
    ['manifests and a configuration', ['serve', '--manifests', '.', '--config', 'x'], 'not both'],
    [
      'flags of a cluster without one',
      ['serve', '--manifests', '.', '--peers', 'a:1', '--namespaces', 'x'],
      '--namespaces, --peers: without effect beside --manifests',
    ],
    [
      'a router class of a configuration',
      ['serve', '--config', 'x', '--router-class', 'y'],
      '--router-class: without effect beside --config',
    ],
    [
      'an indexer that is to watch namespaces of a folder',
      ['cache-indexer', '--manifests', '.', '--all-namespaces'],
      '--all-namespaces: without effect',
    ],
    ['a size that is none', ['serve', '--manifests', '.', '--max-body', 'much'], '--max-body much'],
    ['a duration that is none', ['serve', '--manifests', '.', '--drain-delay', 'soon'], '--drain-delay soon'],
    ['an address that is none', ['serve', '--manifests', '.', '--listen', '8000'], '--listen 8000'],
    [
      'an admin API for everybody without a token',
      ['serve', '--manifests', '.', '--admin', ':8081'],
      '--admin-token-file',
    ],
    ['a certificate without its key', ['serve', '--manifests', '.', '--tls-cert', 'x'], '--tls-key'],
  ];
  it.each(usage)('ends with 2 and one sentence on %s', async (_name, argv, words) => {
    const { code, err, out } = await run(...argv);
    expect(code).toBe(2);
    expect(err + out).toContain(words);
    expect(err).not.toContain('    at ');
  });

  it('points to the help of the command that was called wrongly', async () => {
    expect((await run('serve', '--manifest', 'x')).err).toContain('\nhermes-router serve --help tells');
    expect((await run('sevre')).err).toContain('\nhermes-router --help tells');
  });
});

describe('hermes-router serve', () => {
  it('has a help that fits a screen and names every flag', async () => {
    const { code, out } = await run('serve', '--help');
    expect(code).toBe(0);
    expect(out.trimEnd()).toBe(serveUsage);
    const lines = serveUsage.split('\n');
    expect(lines.length).toBeLessThanOrEqual(40);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('ends with 3 and a sentence where a port is in use, whichever of the three', async () => {
    taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    for (const server of ['listen', 'admin', 'metrics']) {
      const { code, err } = await run('serve', '--manifests', folder, ...anyPort, `--${server}`, address);
      expect(code, server).toBe(3);
      expect(err).toMatch(new RegExp(`^hermes-router: the \\w+ server cannot listen on ${address}: .*EADDRINUSE`));
      expect(err).toContain(`; give another address by --${server}\n`);
      expect(err).not.toContain('    at ');
    }
  });

  const outside: [string, () => string[], string][] = [
    ['manifests that are not there', () => ['--manifests', join(folder, 'none')], 'cannot be read'],
    ['a kubeconfig that is not there', () => ['--kubeconfig', join(folder, 'none')], 'none'],
    ['a token file that is not there', () => ['--manifests', folder, '--admin-token-file', join(folder, 'none')], 'cannot be read'],
    ['a certificate that is not there', () => ['--manifests', folder, '--tls-cert', join(folder, 'a'), '--tls-key', join(folder, 'b')], 'cannot be read'],
  ]; // prettier-ignore
  it.each(outside)('ends with 3 and a sentence on %s', async (_name, argv, words) => {
    const { code, err } = await run('serve', ...anyPort, ...argv());
    expect(code).toBe(3);
    expect(err).toContain(words);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });

  it('says where it listens, and ends with 0 when it is told to stop', async () => {
    const argv = ['serve', '--manifests', folder, ...anyPort, '--drain-delay', '0s'];
    const child = spawn(bin, argv, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    for await (const piece of child.stdout.setEncoding('utf8')) {
      out += String(piece);
      if (out.includes('"server":"proxy"') && !child.killed) child.kill('SIGTERM');
    }
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    const lines = out.trimEnd().split('\n').map((line): unknown => JSON.parse(line)); // prettier-ignore
    for (const server of ['proxy', 'admin', 'metrics']) {
      const address: unknown = expect.stringMatching(/^127\.0\.0\.1:[1-9][0-9]*$/);
      expect(lines).toContainEqual({ level: 'info', msg: 'listening', server, address });
    }
  });
});
