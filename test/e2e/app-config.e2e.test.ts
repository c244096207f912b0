import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Client } from './testkit/client.ts';
import { HermesProcess } from './testkit/process.ts';
import { get } from './testkit/router.ts';
import { until } from './testkit/until.ts';

// Without a cluster: what the file says, how it changes, and what is said of its faults. Engines behind Services are
// found in the suites that have an API server.

const example = fileURLToPath(new URL('../../examples/config/v25.09.yaml', import.meta.url));

/** Milliseconds in which a change is to be in force. */
const promised = 2000;

interface Table {
  readonly policies: readonly {
    policy: string;
    effectiveProfile: string | null;
    timeouts: { nonStreaming: number };
  }[];
  readonly conditions: readonly { kind: string; key: string; conditions: readonly Record<string, unknown>[] }[];
  readonly faults: readonly Record<string, unknown>[];
  readonly lastGoodInForce: readonly string[];
}

let folder: string;
let file: string;
let router: HermesProcess | null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-e2e-config-'));
  file = join(folder, 'config.yaml');
  router = null;
});
afterEach(async () => {
  await router?.kill();
  rmSync(folder, { recursive: true });
});

const anyPort = ['--listen', '--admin', '--metrics'].flatMap((flag) => [flag, '127.0.0.1:0']);

/** A router that finds no cluster, wherever the suite runs. */
function launch(path: string): HermesProcess {
  const away = { HOME: folder, KUBECONFIG: '', HERMES_KUBECONFIG: '', KUBERNETES_SERVICE_HOST: '' };
  return new HermesProcess(['serve', '--config', path, ...anyPort, '--drain-delay', '0s'], away);
}

async function served(path = file): Promise<HermesProcess> {
  router = launch(path);
  await router.address('proxy');
  return router;
}

async function readTable(): Promise<Table> {
  if (router === null) throw new Error('no router has been started');
  return JSON.parse((await get(`http://${await router.address('admin')}/api/v1/table`)).text) as Table;
}

const until2s = (what: string, ask: () => Promise<boolean>): Promise<boolean> =>
  until(`${what} within two seconds`, ask, promised);

const config = (strategy: string, more = ''): string =>
  `app:\n  strategy: ${strategy}\n  discovery:\n    labelSelector: { app: vllm }\n    inferencePort: 8000\n${more}`;
const nonStreaming = async (): Promise<number | undefined> => (await readTable()).policies[0]?.timeouts.nonStreaming;

describe('serve --config', () => {
  it('takes the example of v25.09 whole', async () => {
    cpSync(example, file);
    const process = await served();
    const { policies, conditions, faults } = await readTable();
    expect(faults).toEqual([]);
    expect(policies).toMatchObject([{ policy: 'ai-inference/app', timeouts: { nonStreaming: 120_000 } }]);
    expect(policies[0].effectiveProfile).toContain('scorer-aggregate-kv-cache-aware');
    const group = conditions.find(({ kind }) => kind === 'BackendGroup');
    expect(group).toMatchObject({ key: 'ai-inference/app' });
    const discovered = group?.conditions.find(({ type }) => type === 'Discovered');
    expect(discovered).toMatchObject({ status: 'False', message: expect.stringContaining('cluster') });
    // What has no effect is said once, with its place.
    for (const path of ['app.discovery.interval', 'app.discovery.timeout'])
      expect(process.entries().filter((entry) => entry.path === path)).toMatchObject([
        { file, line: expect.any(Number) },
      ]);
  });

  it.each(['/v1/chat/completions', '/v1/chat/completons'])("serves v25.09's path %s", async (path) => {
    writeFileSync(file, config('random'));
    const client = new Client(await (await served()).address('proxy'));
    const answer = await client.post(`/rest/hermes-router/v1beta1${path}`, { model: 'm', messages: [] });
    await client.close();
    // The path is served; without a cluster nobody serves the model.
    expect([answer.status, answer.error.code]).toEqual([404, 'model_not_found']);
  });

  it('follows the file: what is changed is in force within two seconds', async () => {
    writeFileSync(file, config('random', '  timeout: 7\n'));
    await served();
    expect(await nonStreaming()).toBe(7000);
    writeFileSync(file, config('random', '  timeout: 0.5\n'));
    await until2s('the new time-out', async () => (await nonStreaming()) === 500);
  });

  it('follows a mounted ConfigMap through the swap of its link', async () => {
    for (const [version, timeout] of [['..v1', 1], ['..v2', 2]] as const) {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, 'config.yaml'), config('random', `  timeout: ${timeout}\n`));
    } // prettier-ignore
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync(join('..data', 'config.yaml'), file);
    await served();
    symlinkSync('..v2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    rmSync(join(folder, '..v1'), { recursive: true });
    await until2s('the time-out of the new version', async () => (await nonStreaming()) === 2000);
  });

  it.each([
    ['is wrong', () => writeFileSync(file, config('kv-awre')), { line: 2, path: 'app.strategy', message: 'is "kv-awre"' }],
    ['does not parse', () => writeFileSync(file, 'app: ['), { message: expect.stringContaining('is no YAML') }],
    ['is emptied', () => writeFileSync(file, ''), { message: 'is empty' }],
    ['is deleted', () => rmSync(file), { message: 'does not exist' }],
  ])('keeps what is in force while the file %s, says so, and goes on when it is cured', async (_, spoil, fault) => {
    writeFileSync(file, config('random', '  timeout: 7\n'));
    const process = await served();
    spoil();
    await until2s('the fault', async () => (await readTable()).faults.length > 0);
    const { faults, lastGoodInForce } = await readTable();
    expect(faults).toMatchObject([{ file, cure: expect.stringMatching(/./), ...fault }]);
    expect(lastGoodInForce).toEqual(['BackendGroup default/app', 'RoutingPolicy default/app']);
    expect(await nonStreaming()).toBe(7000);
    const told = process.entries().filter((entry) => entry.file === file && entry.cure !== undefined);
    expect(told).toMatchObject([{ level: 'warn', ...fault }]);
    writeFileSync(file, config('random', '  timeout: 8\n'));
    await until2s('the cured file', async () => (await nonStreaming()) === 8000);
    expect(await readTable()).toMatchObject({ faults: [], lastGoodInForce: [] });
  }); // prettier-ignore
});

describe('serve --config that cannot start', () => {
  it.each([
    ['a file that is not there', 3, () => rmSync(file, { force: true }), 'cannot be read'],
    ['a file at fault', 1, () => writeFileSync(file, config('kv-awre')), ':2: app.strategy: is "kv-awre"; write'],
    ['a manifest', 1, () => writeFileSync(file, 'kind: ConfigMap\n'), ':1: kind: belongs to a manifest'],
  ])('%s: exit %i and a sentence that names it', async (_, code, make, sentence) => {
    make();
    const process = launch(file);
    expect(await process.exit).toBe(code);
    expect(process.stderr).toContain(sentence);
    expect(process.stderr).not.toMatch(/^ +at /m);
  });
});

describe('validate', () => {
  it('checks configurations, too', async () => {
    const good = new HermesProcess(['validate', example]);
    expect(await good.exit).toBe(0);
    expect(good.stderr).toContain('1 good configuration, 0 faults');
    writeFileSync(file, config('kv-awre'));
    const bad = new HermesProcess(['validate', file]);
    expect(await bad.exit).toBe(1);
    expect(bad.stdout).toContain(`${file}:2: app.strategy: is "kv-awre"; write \`strategy\` as one of`);
  });
});
