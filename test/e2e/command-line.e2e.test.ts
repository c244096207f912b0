import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { group, ManifestFolder, policy } from './testkit/manifests.ts';
import { HermesProcess } from './testkit/process.ts';
import { readTable, startRouter, type RunningRouter } from './testkit/router.ts';
import { until } from './testkit/until.ts';

const documents = [group('m', ['127.0.0.1:1']), policy('m')];
const anyPort = ['--admin', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];

describe('serve that cannot start', () => {
  let folder: ManifestFolder;
  let taken: Server;
  beforeAll(async () => {
    folder = new ManifestFolder(documents);
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    folder.dispose();
    taken.close();
  });

  it.each([
    ['an unknown flag', 2, () => ['--lisen', '127.0.0.1:0'], 'lisen'],
    ['no manifests and no cluster', 3, () => ['--kubeconfig', join(folder.path, 'none')], '--manifests'],
    ['an address that is none', 2, () => ['--manifests', folder.path, '--listen', 'here'], 'host:port'],
    ['a size that is none', 2, () => ['--manifests', folder.path, '--max-body', '16MB'], '--max-body'],
    ['half of TLS', 2, () => ['--manifests', folder.path, '--tls-cert', 'x'], '--tls-key'],
    ['an open admin API', 2, () => ['--manifests', folder.path, '--admin', '0.0.0.0:0'], '--admin-token-file'],
    ['a folder that is not there', 3, () => ['--manifests', join(folder.path, 'none')], 'cannot be read'],
    ['a port in use', 3, () => ['--manifests', folder.path, ...anyPort, '--listen', inUse(taken)], 'cannot listen'],
  ])('%s: exit %i and a sentence that names it', async (_name, code, flags, sentence) => {
    const process = new HermesProcess(['serve', ...flags()]);
    expect(await process.exit).toBe(code);
    expect(process.stderr).toContain(sentence);
    // A sentence, not a stack.
    expect(process.stderr).not.toMatch(/^ +at /m);
  });
});

describe('validate', () => {
  let folder: ManifestFolder;
  beforeEach(() => {
    folder = new ManifestFolder(documents);
  });
  afterEach(() => folder.dispose());

  it('is content with good manifests', async () => {
    const process = new HermesProcess(['validate', folder.path]);
    expect(await process.exit).toBe(0);
  });

  it('names file, line, path and cure of what is wrong, and exits with 1', async () => {
    folder.writeText('bad.yaml', `${JSON.stringify(policy('x'))}\n---\n${JSON.stringify(group('y', ['nowhere']))}`);
    const process = new HermesProcess(['validate', folder.path]);
    expect(await process.exit).toBe(1);
    expect(process.stdout + process.stderr).toMatch(/bad\.yaml:3.*spec\.discovery\.static\.endpoints.*address/);
  });
});

describe('a log that nobody reads any more', () => {
  it('is said once on standard error, and the router goes on and drains as ever', async () => {
    const router = await startRouter(documents, { away: ['m'] });
    router.process.stopReading();
    router.manifests.writeText('bad.yaml', 'kind: Unknown');
    await until('it is said', () => router.process.stderr.includes('standard output'));
    router.manifests.writeText('worse.yaml', '}');
    router.manifests.write('more.yaml', [policy('q', { backendRefs: [{ name: 'm' }], match: { models: ['q'] } })]);
    await until('changes are taken up', async () => (await readTable(router)).policies.length === 2);
    expect(router.process.stderr.match(/nothing can be written to standard output/g)).toHaveLength(1);
    router.process.signal('SIGTERM');
    expect(await router.process.exit).toBe(0);
    await router.stop();
  });
});

describe('the admin API', () => {
  let router: RunningRouter;
  let tokens: ManifestFolder;
  beforeAll(async () => {
    tokens = new ManifestFolder([]);
    router = await startRouter(documents, { away: ['m'] });
  });
  afterAll(async () => {
    await router.stop();
    tokens.dispose();
  });

  const ask = async (address: string, headers: Record<string, string>): Promise<number> => {
    const { statusCode, body } = await request(`http://${address}/api/v1/table`, { headers });
    await body.dump();
    return statusCode;
  };

  it.each([
    ['asked by its address', {}, 200],
    ['asked by a name that was made to point there', { host: 'rebound.example' }, 403],
    ['asked by a page of another site', { origin: 'http://evil.example' }, 403],
  ])('without a token, %s', async (_name, headers, status) => {
    expect(await ask(router.admin, headers)).toBe(status);
  });

  it('with a token answers to nobody without it', async () => {
    const file = join(tokens.path, 'token');
    writeFileSync(file, 'a-token\n');
    const process = new HermesProcess(['serve', '--manifests', router.manifests.path, '--listen', '127.0.0.1:0', ...anyPort, '--admin-token-file', file]); // prettier-ignore
    const address = await process.address('admin');
    expect(await ask(address, {})).toBe(401);
    expect(await ask(address, { authorization: 'Bearer a-tokem' })).toBe(401);
    expect(await ask(address, { authorization: 'Bearer a-token' })).toBe(200);
    await process.kill();
  });
});

function inUse(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
