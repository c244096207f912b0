import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runValidate } from './validate-command.ts';
import { validateFiles } from './validate.ts';

const group = (name: string, namespace = 'default'): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  discovery: {type: Static, static: {endpoints: [{name: e1, address: "127.0.0.1:9001"}]}}
`;
const policy = (name: string, backend: string): string => `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: ${name}}
spec:
  backendRefs:
    - name: ${backend}
`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'validate-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const lenient = { strict: false };

describe('files', () => {
  it('are read from folders and their folders, by extension', () => {
    write('a.yaml', group('a'));
    write('sub/b.yml', group('b'));
    write('sub/deeper/c.json', JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap' }));
    write('README.md', 'no: [yaml');
    expect(validateFiles([folder], lenient)).toMatchObject({ files: 3, resources: 2, faults: [] });
  });

  it('are read as a mounted ConfigMap holds them: links to a hidden folder', () => {
    write('..2026_01_01/a.yaml', group('a'));
    symlinkSync('..2026_01_01', join(folder, '..data'));
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
    expect(validateFiles([folder], lenient)).toMatchObject({ files: 1, resources: 1, faults: [] });
  });

  it('given by name are read whatever their extension, and only once', () => {
    const path = write('group.txt', group('a'));
    expect(validateFiles([path, path], lenient)).toMatchObject({ files: 1, resources: 1, faults: [] });
  });

  it('that do not exist are faults', () => {
    const missing = join(folder, 'gone.yaml');
    const { faults } = validateFiles([missing, write('a.yaml', group('a'))], lenient);
    expect(faults).toMatchObject([{ file: missing, line: 1, message: 'does not exist' }]);
  });

  it.skipIf(process.getuid?.() === 0)('that cannot be read are faults', () => {
    const path = write('a.yaml', group('a'));
    chmodSync(path, 0);
    expect(validateFiles([path], lenient).faults).toMatchObject([{ file: path, message: 'cannot be read (EACCES)' }]);
  });

  it('that are no YAML are faults, and the others are read on', () => {
    const broken = write('a.yaml', 'a: [\n');
    write('b.yaml', group('b'));
    const found = validateFiles([folder], lenient);
    expect(found.faults).toMatchObject([{ file: broken, line: 2 }]);
    expect(found.resources).toBe(1);
  });

  it('are noted when a folder holds none', () => {
    expect(validateFiles([folder], lenient).notes).toHaveLength(1);
  });
});

describe('objects', () => {
  it('of other groups are passed over with a note', () => {
    const path = write(
      'a.yaml',
      'apiVersion: v1\nkind: Secret\nanything: goes\n---\nkind: Deployment\napiVersion: apps/v1\n',
    );
    const { faults, notes } = validateFiles([path], lenient);
    expect(faults).toEqual([]);
    expect(notes.map(({ line, message }) => [line, message])).toEqual([
      [1, 'Secret of v1 is passed over'],
      [6, 'Deployment of apps/v1 is passed over'],
    ]);
  });

  it.each([
    ['of a group that only begins alike are passed over', 'apiVersion: hermes-router.io.example/v1\nkind: X\n', []],
    ['of our group in another version are faults', 'kind: BackendGroup\napiVersion: hermes-router.io/v2\n', [2]],
    ['without a version are faults', '# comment\nkind: BackendGroup\n', [2]],
    ['that are a list are faults', '\n- a\n', [2]],
    ['that are text are faults', 'just words\n', [1]],
  ])('%s', (_, text, lines) => {
    expect(validateFiles([write('a.yaml', text)], lenient).faults.map(({ line }) => line)).toEqual(lines);
  });

  it('of one kind, namespace and name in two files are a fault', () => {
    const first = write('a.yaml', group('a'));
    const second = write('b.yaml', `${group('other')}---${group('a')}`);
    const { faults } = validateFiles([folder], lenient);
    expect(faults).toMatchObject([{ file: second, line: 10, path: 'metadata.name' }]);
    expect(faults[0].message).toBe(`BackendGroup default/a stands at ${first}:4 already`);
  });

  it('of one name in two namespaces or of two kinds are not', () => {
    write('a.yaml', `${group('a')}---${group('a', 'other')}---${policy('a', 'a')}`);
    expect(validateFiles([folder], lenient)).toMatchObject({ resources: 3, faults: [] });
  });
});

describe('a configuration of v25.09', () => {
  const config = 'app:\n  discovery:\n    labelSelector: {app: vllm}\n    inferencePort: 8000\n';

  it('is counted by itself, and its notes are told', () => {
    const path = write('values.yaml', `replicas: 2\n${config}    interval: 5\n`);
    const found = validateFiles([path], lenient);
    expect(found).toMatchObject({ configs: 1, resources: 0, faults: [], warnings: [] });
    expect(found.notes.map(({ file, line, path: at }) => [file, line, at])).toEqual([
      [path, 1, 'replicas'],
      [path, 6, 'app.discovery.interval'],
    ]);
  });

  it('at fault is told by line and field', () => {
    const path = write('values.yaml', `# comment\n${config}    intervall: 5\n`);
    const found = validateFiles([path], lenient);
    expect(found).toMatchObject({ configs: 0, notes: [] });
    expect(found.faults).toMatchObject([{ file: path, line: 6, path: 'app.discovery.intervall' }]);
  });

  it('may stand beside manifests', () => {
    const path = write('all.yaml', `${group('a')}---\n${config}---${policy('p', 'a')}`);
    expect(validateFiles([path], lenient)).toMatchObject({ configs: 1, resources: 2, faults: [] });
  });
});

describe('a configuration of cache-indexer', () => {
  const example = join(import.meta.dirname, '../../examples/cache-indexer/values.yaml');
  const config = 'app:\n  serviceDiscovery:\n    labelSelector: a=b\n';

  it('is told from one of v25.09 and counted, and its notes are told', () => {
    expect(validateFiles([example], lenient)).toMatchObject({ configs: 1, resources: 0, faults: [], notes: [] });
    const path = write('values.yaml', `${config}    refreshInterval: 10\n`);
    expect(validateFiles([path], lenient)).toMatchObject({
      configs: 1,
      faults: [],
      notes: [{ file: path, line: 4, path: 'app.serviceDiscovery.refreshInterval' }],
    });
  });

  it.each([
    ['no labels', 'app: {serviceDiscovery: {}}\n', 1, 'app.serviceDiscovery.labelSelector'],
    ['a port as text', `${config}    inferencePort: "8000"\n`, 4, 'app.serviceDiscovery.inferencePort'],
    ['a key of v25.09 beside it', `${config}  strategy: random\n`, 4, 'app.strategy'],
  ])('with %s is at fault, by line and field', (_name, text, line, at) => {
    const path = write('values.yaml', text);
    const found = validateFiles([path], lenient);
    expect([found.configs, found.faults.map((fault) => [fault.file, fault.line, fault.path])]).toEqual([
      0,
      [[path, line, at]],
    ]);
  });
});

describe('a policy whose group is not there', () => {
  it.each([
    ['is warned of', false, 'warnings' as const, 'faults' as const],
    ['is a fault with strict', true, 'faults' as const, 'warnings' as const],
  ])('%s', (_, strict, told, silent) => {
    const path = write('a.yaml', `${group('a', 'other')}---${policy('p', 'a')}`);
    const found = validateFiles([path], { strict });
    expect(found[told]).toMatchObject([{ file: path, line: 13, path: 'spec.backendRefs[0].name' }]);
    expect(found[silent]).toEqual([]);
  });

  it('may name an InferencePool, which no file can hold', () => {
    write('a.yaml', `${policy('p', 'pool')}      kind: InferencePool\n`);
    expect(validateFiles([folder], { strict: true })).toMatchObject({ faults: [], warnings: [], resources: 1 });
  });

  it('may find it in a later file', () => {
    write('a.yaml', policy('p', 'z'));
    write('b.yaml', group('z'));
    expect(validateFiles([folder], { strict: true })).toMatchObject({ faults: [], warnings: [] });
  });
});

describe('the command', () => {
  async function run(...argv: string[]): Promise<{ code: number; out: string[]; err: string[] }> {
    const out: string[] = [];
    const err: string[] = [];
    const code = await runValidate(argv, { out: (line) => out.push(line), err: (line) => err.push(line) });
    return { code, out, err };
  }

  it('exits with 0 and counts when all is well', async () => {
    const path = write('a.yaml', `${group('a')}---${policy('p', 'a')}`);
    expect(await run(path)).toEqual({ code: 0, out: [], err: ['1 file, 2 good resources, 0 faults'] });
  });

  it('counts configurations where there are some', async () => {
    const path = write('a.yaml', 'app: {discovery: {labelSelector: {app: vllm}, inferencePort: 8000}}');
    expect((await run(path)).err).toEqual(['1 file, 0 good resources, 1 good configuration, 0 faults']);
  });

  it('exits with 1 and prints one line a fault: file, line, field, fault, cure', async () => {
    const path = write('a.yaml', `${policy('p', 'a')}      weight: -1\n`);
    const { code, out } = await run(path);
    expect(code).toBe(1);
    expect(out).toEqual([
      `${path}:8: spec.backendRefs[0].weight: is -1; write \`weight\` as an integer between 0 and 1000000`,
    ]);
  });

  it('exits with 1 for a missing path', async () => {
    const missing = join(folder, 'gone');
    expect(await run(missing)).toMatchObject({ code: 1, out: [`${missing}:1: does not exist; check the path`] });
  });

  it('exits with 0 for a warning, with 1 when it is strict', async () => {
    const path = write('a.yaml', policy('p', 'a'));
    const { code, out, err } = await run(path);
    expect([code, out]).toEqual([0, []]);
    expect(err[0]).toMatch(/^warning: .*a\.yaml:7: spec\.backendRefs\[0\]\.name: names BackendGroup default\/a/);
    expect((await run('--strict', path)).code).toBe(1);
  });

  it('prints notes beside the faults', async () => {
    const path = write('a.yaml', 'apiVersion: v1\nkind: Secret\n');
    expect((await run(path)).err[0]).toBe(`note: ${path}:1: apiVersion: Secret of v1 is passed over; nothing to do`);
  });

  it('takes what follows -- as paths', async () => {
    expect((await run('--', '--strict')).out).toEqual(['--strict:1: does not exist; check the path']);
  });

  it.each([
    ['without a path', []],
    ['with an unknown flag', ['--fix', 'a.yaml']],
  ])('exits with 2 and shows its usage %s', async (_, argv) => {
    const { code, out, err } = await run(...argv);
    expect([code, out]).toEqual([2, []]);
    expect(err.join('\n')).toContain('usage: hermes-router validate');
  });

  it('shows its usage when asked', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    expect(out.join('\n')).toContain('--strict');
  });
});
