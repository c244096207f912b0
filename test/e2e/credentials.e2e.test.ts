import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { group, policy } from './testkit/manifests.ts';
import { HermesProcess } from './testkit/process.ts';
import { get, startRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';

/** In every credential of this suite; found nowhere unless somebody has written it there. */
const canary = `canary${randomBytes(8).toString('hex')}`;
const anyPort = ['--listen', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);
const folder = mkdtempSync(join(tmpdir(), 'hermes-credentials-'));
let number = 0;

afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  number += 1;
  const path = join(folder, `${number}.yaml`);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Starts the router and waits until it has ended or has said something that fits. */
async function saidOf(args: readonly string[], wanted: RegExp, env: Record<string, string> = {}): Promise<string> {
  const process = new HermesProcess(['serve', ...args, ...anyPort], env);
  onTestFinished(() => process.kill());
  const said = (): string => process.stdout + process.stderr;
  await until(`it says ${String(wanted)}`, () => wanted.test(said()) || !process.running).catch((error: unknown) => {
    throw new Error(`${String(error)}; it said: ${said()}`);
  });
  expect(said()).toMatch(wanted);
  return said();
}

describe('credentials of the API server', () => {
  let server: Server;
  let heard = '';
  beforeAll(async () => {
    server = createServer((request, response) => {
      const { authorization = '' } = request.headers;
      heard += authorization;
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', message: 'Unauthorized', reason: 'Unauthorized', code: 401 }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => server.close());

  const kubeconfig = (user: object, url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`): string =>
    file(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'c', cluster: { server: url } }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
  const script = (text: string) => ({ apiVersion: 'client.authentication.k8s.io/v1', command: '/bin/sh', args: ['-c', text], interactiveMode: 'Never' }); // prettier-ignore

  it.each([
    ['a token that is refused', () => kubeconfig({ token: canary })],
    ['a password that is refused', () => kubeconfig({ username: 'u', password: canary })],
    ['a token file that is refused', () => kubeconfig({ tokenFile: file(canary) })],
    [
      'a key that is none',
      () =>
        kubeconfig({ 'client-certificate-data': btoa(canary), 'client-key-data': btoa(canary) }, 'https://127.0.0.1:1'),
    ],
    [
      'a program that fails and says why',
      () =>
        kubeconfig(
          { exec: { ...script(`echo no ${canary.slice(0, 9)} >&2; exit 1`), env: [{ name: 'KEY', value: canary }] } },
          'https://127.0.0.1:1',
        ),
    ],
    [
      'a program whose answer is none',
      () => kubeconfig({ exec: script(`echo '{"status": {"token": "${canary}"'`) }, 'https://127.0.0.1:1'),
    ],
    ['a user in the server’s address', () => kubeconfig({}, `http://u:${canary}@127.0.0.1:1`)],
    ['a file that is no YAML', () => file(`users: [{user: {token: "${canary}}]\n  x: ${canary}: ${canary}`)],
  ])('are not told: %s', async (_what, config) => {
    const said = await saidOf(['--kubeconfig', config()], /"level":"(warn|error)"|hermes-router: /);
    expect(said).not.toContain(canary);
    expect(said).not.toContain(btoa(canary));
  });

  it('have gone where they were to go', () => {
    expect(heard).toContain(canary);
  });
});

describe('the token of the admin API', () => {
  it('is told by no log and no page, whoever asks with it or without', async () => {
    const manifests = mkdtempSync(join(folder, 'manifests-'));
    const flags = ['--manifests', manifests, ...anyPort, '--admin-token-file', file(`${canary}\n`)];
    const router = new HermesProcess(['serve', ...flags]);
    onTestFinished(() => router.kill());
    const [admin, metricsAt] = await Promise.all(['admin', 'metrics'].map((name) => router.address(name)));
    const url = `http://${admin}/api/v1/table`;
    const ask = async (authorization: string) => {
      const { statusCode, headers, body } = await request(url, { headers: { authorization } });
      return { statusCode, text: JSON.stringify(headers) + (await body.text()) };
    };
    const answers = await Promise.all([`Bearer ${canary}`, `Bearer ${canary}x`, `Basic ${canary}`, ''].map(ask));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 401, 401, 401]);
    const metrics = (await get(`http://${metricsAt}/metrics`)).text;
    const said = [router.stdout, router.stderr, metrics, ...answers.map(({ text }) => text)].join('\n');
    expect(said).toContain('listening');
    expect(said).not.toContain(canary);
  });
});

describe('credentials in addresses', () => {
  it('of a KV manager are refused, and not told', async () => {
    const url = `http://u:${canary}@127.0.0.1:1`;
    const documents = [group('m', ['127.0.0.1:1'], { kvCache: { type: 'Manager', manager: { url } } }), policy('m')];
    const router = await startRouter(documents, { away: ['m'] });
    onTestFinished(() => router.stop());
    await until('it is told', () => router.process.stdout.includes('manager.url'));
    const table = (await get(`http://${router.admin}/api/v1/table`)).text;
    expect(table).toContain('manager.url');
    expect(router.process.stdout + router.process.stderr + table).not.toContain(canary);
  });

  it('of the v25.09 file are refused, and not told', async () => {
    const config = file(`app:\n  kvmanager: {url: "http://u:${canary}@127.0.0.1", port: 9, matchPath: /match_sort}\n`);
    expect(await saidOf(['--config', config], /kvmanager/)).not.toContain(canary);
  });

  it.each([
    ['of a collector that is away', `http://u:${canary}@127.0.0.1:1`, `authorization=Bearer ${canary}`],
    ['of a collector at no address', `u:${canary}@collector`, `authorization=${canary}`],
    ['in headers that make no sense', 'http://127.0.0.1:1', `${canary}`],
  ])('%s are not told', async (_what, endpoint, headers) => {
    const manifests = mkdtempSync(join(folder, 'manifests-'));
    const said = await saidOf(['--manifests', manifests], /"listening"|OTEL/, {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: headers,
      OTEL_BSP_SCHEDULE_DELAY: '10',
    });
    expect(said).not.toContain(canary);
  });
});
