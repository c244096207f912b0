import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { selfSigned } from '../../epp/carrier/self-signed.ts';
import { until } from '../../../test/e2e/testkit/until.ts';
import { HermesProcess } from '../../../test/e2e/testkit/process.ts';
import { usage } from './flags.ts';

const bin = fileURLToPath(new URL('../../../bin/hermes-router', import.meta.url));
const group = `apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: pool}
spec: {models: [m], discovery: {type: Static, static: {endpoints: [{name: e, address: "127.0.0.1:9"}]}}}
`;
let folder: string;
let taken: Server | null = null;
let running: HermesProcess | null = null;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-epp-'));
  writeFileSync(join(folder, 'group.yaml'), group);
  writeFileSync(
    join(folder, 'bad.txt'),
    'apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{type: no-such-scorer}]\n',
  );
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  taken?.close();
  taken = null;
  await running?.kill();
  running = null;
});

/** Runs the program to its end, in an environment of its own. */
async function run(...argv: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(bin, ['epp', ...argv], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (out += piece));
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (err += piece));
  await once(child, 'close');
  return { code: child.exitCode, out, err };
}

const servers = ['listen', 'health', 'admin', 'metrics'];
const anyPort = servers.flatMap((server) => [`--${server}`, '127.0.0.1:0']);
const start = (...argv: string[]): HermesProcess => {
  running = new HermesProcess(['epp', '--manifests', folder, ...argv]);
  return running;
};

describe('hermes-router epp', () => {
  it('has a help that is told', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, out: `${usage}\n` });
  });

  it.each<[string, string[], number, string]>([
    ['no pool', ['--manifests', '.'], 2, '--pool-name'],
    ['a flag of the reference picker that we do otherwise', ['--pool-name', 'p', '--ha-enable-leader-election'], 2, 'leave the flag out'],
    ['a certificate that nobody would see', ['--manifests', '.', '--pool-name', 'p', '--secure-serving=false', '--cert-path', 'x'], 2, '--cert-path: without effect'],
    ['two configurations', ['--manifests', '.', '--pool-name', 'p', '--config-file', 'x', '--config-text', 'y'], 2, 'not both'],
    ['external targets of files', ['--manifests', '.', '--pool-name', 'p', '--allow-external-targets'], 2, 'without effect beside --manifests'],
    ['a configuration text at fault', ['--manifests', '.', '--pool-name', 'p', '--config-text', 'kind: EndpointPickerConfig'], 1, '--config-text:1: plugins'],
    ['a configuration file that is not there', [...anyPort, '--manifests', '.', '--pool-name', 'p', '--config-file', '/nonexistent'], 3, '--config-file /nonexistent cannot be read'],
    ['a certificate that is not there', [...anyPort, '--manifests', '.', '--pool-name', 'p', '--cert-path', '/nonexistent'], 3, 'cannot be read'],
    ['a kubeconfig that is not there', ['--kubeconfig', '/nonexistent', '--pool-name', 'p'], 3, '/nonexistent'],
  ])('ends with a sentence on %s', async (_name, argv, code, words) => {
    const ended = await run(...argv);
    expect(ended).toMatchObject({ code, err: expect.stringContaining(words) });
    expect(ended.err).not.toContain('    at ');
  }); // prettier-ignore

  it('ends with 1 and a line a fault on a configuration at fault', async () => {
    const file = join(folder, 'bad.txt');
    const { code, err } = await run(...anyPort, '--manifests', folder, '--pool-name', 'pool', '--config-file', file);
    expect(code).toBe(1);
    expect(err).toContain(`${file}:3: plugins[0].type`);
  });

  it('ends with 3 and a sentence where a port is in use, whichever it is', async () => {
    taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    for (const server of servers) {
      const argv = ['--manifests', folder, '--pool-name', 'pool', ...anyPort, `--${server}`, address];
      const { code, err } = await run(...argv);
      expect(code, server).toBe(3);
      expect(err).toMatch(new RegExp(`^hermes-router: the \\w+ server cannot listen on ${address}: .*EADDRINUSE`));
      expect(err).toContain(`; give another address by --${server}\n`);
    }
  });

  it('says where it listens and for which pool, and ends with 0 when it is told to stop', async () => {
    const picker = start('--pool-name', 'pool', ...anyPort, '--drain-delay', '0s');
    await picker.address('health');
    picker.signal('SIGTERM');
    expect(await picker.exit).toBe(0);
    const listening = picker.entries().filter(({ msg }) => msg === 'listening');
    expect(listening.map(({ server, pool }) => [server, pool])).toEqual([
      ['metrics', undefined],
      ['admin', undefined],
      ['epp', 'default/pool'],
      ['health', undefined],
    ]);
  });

  it('shows a renewed certificate to those who connect after it', async () => {
    const cert = mkdtempSync(join(folder, 'cert-'));
    const write = (): string => {
      const { cert: text, key } = selfSigned(new Date());
      for (const [name, content] of [['tls.crt', text], ['tls.key', key]] as const) {
        writeFileSync(join(cert, `${name}.new`), content);
        renameSync(join(cert, `${name}.new`), join(cert, name));
      } // prettier-ignore
      return new X509Certificate(text).fingerprint256;
    };
    const first = write();
    const picker = start('--pool-name', 'pool', ...anyPort, '--cert-path', cert);
    const [host, port] = (await picker.address('epp')).split(':');
    const shown = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connectTls(
          { host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] },
          () => {
            resolve(socket.getPeerCertificate().fingerprint256);
            socket.destroy();
          },
        );
        socket.on('error', reject);
      });
    expect(await shown()).toBe(first);
    const second = write();
    await until('the new certificate is shown', async () => (await shown()) === second);
    copyFileSync(join(folder, 'bad.txt'), join(cert, 'tls.key'));
    await until('the fault is told', () => picker.stdout.includes('the old one stays'));
    expect(await shown()).toBe(second);
    expect(readFileSync(join(cert, 'tls.crt'), 'utf8')).toContain('BEGIN CERTIFICATE');
  });
});
