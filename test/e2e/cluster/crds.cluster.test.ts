// The CRDs on a real API server: what it takes, refuses, fills in and shows is what src/api says.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeResource, isOurs } from '../../../src/api/decode.ts';
import { kinds } from '../../../src/api/kinds.ts';
import { apiVersion } from '../../../src/api/resource.ts';
import type { SchemaNode } from '../../../src/api/schema-node.ts';
import { startCluster, type ApiAnswer } from './kit/index.ts';

const root = join(import.meta.dirname, '../../..');
const cluster = startCluster();
let namespace: string;

beforeAll(async () => {
  await cluster.installCrds();
  namespace = await cluster.namespace();
});
afterAll(() => cluster.close());

interface Sample {
  apiVersion: string;
  kind: string;
  metadata?: { name?: string; namespace?: string; [field: string]: unknown };
  spec: Record<string, unknown>;
}

const filesOf = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => join(root, folder, name));
const textOf = (file: string): string => readFileSync(file, 'utf8');
const nameOf = (file: string): string => file.slice(root.length + 1);

/** The objects of files; those of other groups are passed over. */
function samplesOf(files: readonly string[]): [string, Sample][] {
  return files.flatMap((file) => {
    const samples = (loadAll(textOf(file)) as Sample[]).filter(isOurs);
    return samples.map((sample): [string, Sample] => [`${nameOf(file)} ${sample.metadata?.name ?? ''}`, sample]);
  });
}

const collection = (kind: string, within: string): string =>
  `/apis/${apiVersion}/namespaces/${within}/${kinds.find((one) => one.kind === kind)?.plural ?? kind}`;

/** Creates an object in the suite's namespace, as a file would: without what the API server has added to it. */
function create(sample: Sample, query = ''): Promise<ApiAnswer> {
  const { labels, annotations, name } = sample.metadata ?? {};
  const metadata = { name, labels, annotations, namespace };
  return cluster.api('POST', `${collection(sample.kind, namespace)}?${query}`, { ...sample, metadata });
}

const dryRun = 'dryRun=All&fieldValidation=Strict';
const goodFiles = [...filesOf('test/corpus/good'), ...filesOf('examples/manifests')];
const yamlOnly = (files: string[]): string[] => files.filter((file) => file.endsWith('.yaml'));
const good = samplesOf(yamlOnly(goodFiles));
const frozen = samplesOf(filesOf('test/corpus/frozen-2026-11'));

describe('the CRDs', () => {
  it.each(kinds)('of $kind is established, structural, and takes no warning to install', async ({ plural }) => {
    const name = `${plural}.hermes-router.io`;
    const { body: crd } = await cluster.api('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`);
    const conditions = Object.fromEntries(
      crd.status.conditions.map(({ type, status }: Record<string, string>) => [type, status]),
    );
    expect(conditions).toMatchObject({ Established: 'True', NamesAccepted: 'True' });
    expect(conditions.NonStructuralSchema ?? 'False').toBe('False');
    const file = join(root, `crds/hermes-router.io_${plural}.yaml`);
    const args = ['apply', '--dry-run=server', '--validate=strict', '-f', file];
    const { code, stderr } = await cluster.kubectl(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it.each(kinds)(
    '$kind is found by its short name, its category, its plural and its singular',
    async ({ shortName, plural, singular }) => {
      await cluster.apply(minimal(singular, 'names'), '-n', namespace);
      const list = async (what: string) =>
        (await cluster.mustKubectl(['get', what, '-n', namespace, '-o', 'name'])).split('\n');
      for (const name of [shortName, 'hermes', plural, singular])
        expect(await list(name)).toContain(`${singular}.hermes-router.io/names`);
    },
  );

  it.each(kinds)('$kind is explained down to every leaf', async ({ plural, schema, status }) => {
    const leaves = [...leavesOf(schema.properties?.spec, 'spec'), ...leavesOf(status, 'status')];
    expect(leaves.length).toBeGreaterThan(25);
    // The published schema is what kubectl explain prints; asking it once for every leaf would take a minute.
    const { body } = await cluster.api('GET', `/openapi/v3/apis/${apiVersion}`);
    const published = Object.values<Record<string, unknown>>(body.components.schemas).find(
      (one) => JSON.stringify(one['x-kubernetes-group-version-kind'])?.includes(`"${kindOf(plural)}"`) === true,
    );
    for (const { path, description } of leaves)
      expect([path, descriptionAt(published, path)]).toEqual([path, description]);
    const deepest = leaves.reduce((one, other) => (depth(other.path) > depth(one.path) ? other : one));
    const explained = await cluster.mustKubectl(['explain', `${plural}.${deepest.path}`]);
    expect(explained.replace(/\s+/g, ' ')).toContain(deepest.description.replace(/\s+/g, ' '));
  });
});

const kindOf = (plural: string): string => kinds.find((one) => one.plural === plural)?.kind ?? '';
const depth = (path: string): number => path.split('.').length;

function minimal(singular: string, name: string): string {
  const spec =
    singular === 'backendgroup'
      ? '{discovery: {type: Pods, pods: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 8000}]}}}'
      : '{backendRefs: [{name: qwen}]}';
  const kind = kinds.find((one) => one.singular === singular)?.kind;
  return `{apiVersion: ${apiVersion}, kind: ${kind}, metadata: {name: ${name}}, spec: ${spec}}`;
}

/** Paths of fields without fields of their own, lists passed through, as `kubectl explain` takes them. */
function leavesOf(node: SchemaNode | undefined, path: string): { path: string; description: string }[] {
  const inner = node?.items ?? node;
  const properties = Object.entries(inner?.properties ?? {});
  if (properties.length === 0) return [{ path, description: node?.description ?? '' }];
  return properties.flatMap(([name, child]) => leavesOf(child, `${path}.${name}`));
}

function descriptionAt(schema: unknown, path: string): unknown {
  let node = schema as SchemaNode | undefined;
  for (const name of path.split('.')) node = (node?.items ?? node)?.properties?.[name];
  return node?.description;
}

describe('kubectl get', () => {
  it('shows what the status of a BackendGroup says', async () => {
    await cluster.apply(minimal('backendgroup', 'columns'), '-n', namespace);
    await writeStatus('bg', 'columns', {
      summary: { models: 'Qwen/Qwen3-8B +1', topology: 'Aggregate', kvCachePercent: 41 },
      endpoints: { total: 3, ready: 2, draining: 0, ejected: 1 },
    });
    const [header, row] = await table('bg', 'columns');
    expect(header).toEqual(['NAME', 'MODELS', 'ENGINE', 'TOPOLOGY', 'READY', 'TOTAL', 'KVCACHE', 'AGE']);
    expect(row.slice(0, -1)).toEqual(['columns', 'Qwen/Qwen3-8B +1', 'vLLM', 'Aggregate', '2', '3', '41']);
  });

  it('shows what the status of a RoutingPolicy says', async () => {
    await cluster.apply(minimal('routingpolicy', 'columns'), '-n', namespace);
    await writeStatus('rp', 'columns', {
      conditions: [condition('Programmed', 'True')],
      summary: { backends: 'qwen 95%, next 5%', requestsPerSecond: '12.5', hit: '64%', ttftP90: '210ms' },
    });
    const [header, row] = await table('rp', 'columns');
    expect(header).toEqual(['NAME', 'STRATEGY', 'BACKENDS', 'PROGRAMMED', 'REQ/S', 'HIT', 'TTFT-P90', 'AGE']);
    expect(row.slice(0, -1)).toEqual(['columns', 'Auto', 'qwen 95%, next 5%', 'True', '12.5', '64%', '210ms']);
  });

  async function writeStatus(short: string, name: string, status: unknown): Promise<void> {
    const patch = JSON.stringify({ status });
    await cluster.mustKubectl([
      'patch',
      short,
      name,
      '-n',
      namespace,
      '--subresource=status',
      '--type=merge',
      '-p',
      patch,
    ]);
  }

  async function table(short: string, name: string): Promise<string[][]> {
    const text = await cluster.mustKubectl(['get', short, name, '-n', namespace]);
    return text.trimEnd().split('\n').map((line) => line.trim().split(/ {2,}/)); // prettier-ignore
  }
});

const condition = (type: string, status: string) => ({
  ...{ type, status, reason: type, message: 'Fine.', observedGeneration: 1 },
  lastTransitionTime: '2026-11-21T00:00:00Z',
});

describe('good objects', () => {
  it('are many', () => {
    expect(good.length).toBeGreaterThanOrEqual(25);
  });

  it.each(good)('%s is taken, and filled in as the router fills it in', async (_name, sample) => {
    const answer = await create(sample, dryRun);
    expect(answer).toMatchObject({ status: 201, warnings: [] });
    const spec = specOf(sample);
    // What the router makes of it is the same from a file and from the cluster.
    expect(specOf(answer.body)).toEqual(spec);
    expect(withoutImplied(spec, answer.body.spec)).toEqual(answer.body.spec);
  });

  it.each(kinds)('$kind has a status that says that nothing is known yet', async ({ kind }) => {
    const sample = good.find(([, one]) => one.kind === kind);
    if (sample === undefined) throw new Error(`the corpus has no ${kind}`);
    const { body } = await create(sample[1], dryRun);
    const types =
      kind === 'BackendGroup' ? ['Accepted', 'Discovered', 'Ready'] : ['Accepted', 'ResolvedRefs', 'Programmed'];
    expect(body.status.conditions.map(({ type }: { type: string }) => type)).toEqual(types);
    for (const one of body.status.conditions) expect(one).toMatchObject({ status: 'Unknown', reason: 'Pending' });
  });

  it.each(frozen)('of November 2026, %s, still apply', async (_name, sample) => {
    expect(await create(sample, dryRun)).toMatchObject({ status: 201, warnings: [] });
  });

  it('of November 2026 are many, and none is changed by being applied again', async () => {
    expect(frozen.length).toBeGreaterThanOrEqual(25);
    const items = frozen.map(([, { kind, spec }], i) => ({ apiVersion, kind, metadata: { name: `old-${i}` }, spec }));
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    const generations = async (): Promise<number[]> => {
      await cluster.apply(list, '-n', namespace);
      const kept = JSON.parse(await cluster.mustKubectl(['get', 'hermes', '-n', namespace, '-o', 'json'])) as {
        items: { metadata: { name: string; generation: number } }[];
      };
      return kept.items
        .filter(({ metadata }) => metadata.name.startsWith('old-'))
        .map(({ metadata }) => metadata.generation);
    };
    const first = items.map(() => 1);
    expect(await generations()).toEqual(first);
    // kubectl says `configured` of lists whose entries were filled in: it sends them anew, and they become what is there.
    expect(await generations()).toEqual(first);
  });

  it('of the examples apply as kubectl reads them', async () => {
    for (const path of ['examples/manifests', 'config/samples']) {
      const how = path === 'config/samples' ? '-k' : '-f';
      const args = ['apply', how, join(root, path), '-n', namespace, '--dry-run=server', '--validate=strict'];
      expect(await cluster.kubectl(args)).toMatchObject({ code: 0, stderr: '' });
    }
  });
});

/** The spec as the router has it. */
function specOf(object: unknown): unknown {
  const decoded = decodeResource(object);
  return decoded.ok ? decoded.resource.spec : decoded.faults;
}

/** A schema's default cannot depend on a union's tag: the router alone adds the tag's member where it was left out. */
function withoutImplied(filled: unknown, served: unknown): unknown {
  if (!isPlain(filled) || !isPlain(served)) return filled;
  const tag = typeof filled.type === 'string' ? filled.type.toLowerCase() : null;
  const kept = Object.entries(filled).filter(([name]) => name in served || name.toLowerCase() !== tag);
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutImplied(value, served[name])]));
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

describe('fields that are not known', () => {
  const stray = { kind: 'RoutingPolicy', apiVersion, metadata: { name: 'stray' } };
  const spec = { backendRefs: [{ name: 'qwen' }], timeouts: { firstbyte: '1s' } };

  const group = { discovery: { type: 'Pods', pods: { selector: { matchLabels: { app: 'a' } } } } };
  const ports = [{ number: 8000 }];
  const places: [string, string, string, Record<string, unknown>][] = [
    ['in a field of its own', 'RoutingPolicy', 'spec.timeouts.firstbyte', spec],
    ['beside the fields', 'RoutingPolicy', 'spec.backends', { ...spec, backends: [] }],
    [
      'in an entry of a list',
      'RoutingPolicy',
      'spec.backendRefs.0.rewrite',
      { backendRefs: [{ name: 'a', rewrite: '' }] },
    ],
    [
      'in the member of a union',
      'BackendGroup',
      'spec.discovery.pods.namespace',
      { discovery: { type: 'Pods', pods: { ...group.discovery.pods, targetPorts: ports, namespace: 'other' } } },
    ],
  ];
  it.each(places)('%s are dropped', async (_name, kind, path, withStray) => {
    const { status, body } = await create(
      { apiVersion, kind, metadata: { name: 'stray' }, spec: withStray },
      'dryRun=All',
    );
    expect(status).toBe(201);
    const steps = path.split('.');
    const name = steps.pop() ?? '';
    const place = (root: unknown) => steps.reduce((node, step) => (node as Record<string, unknown>)[step], root);
    // It was there, and what it stood in still is.
    expect(place({ spec: withStray })).toHaveProperty(name);
    expect(place(body)).toBeTypeOf('object');
    expect(place(body)).not.toHaveProperty(name);
  });

  it('in the status are dropped, too', async () => {
    await cluster.apply(minimal('backendgroup', 'stray-status'), '-n', namespace);
    const at = `${collection('BackendGroup', namespace)}/stray-status`;
    const patch = { status: { endpoints: { total: 3, lost: 1 }, secret: 'x' } };
    await cluster.api('PATCH', `${at}/status`, patch, 'application/merge-patch+json');
    const { body } = await cluster.api('GET', at);
    expect(body.status.endpoints).toEqual({ total: 3 });
    expect(body.status).not.toHaveProperty('secret');
  });

  it('are refused when the client asks for it, as kubectl apply does', async () => {
    const { code, stderr } = await cluster.kubectl(['apply', '--validate=strict', '-n', namespace, '-f', '-'], {
      stdin: JSON.stringify({ ...stray, spec }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain('unknown field "spec.timeouts.firstbyte"');
  });
});

describe('bad objects', () => {
  const bad = filesOf('test/corpus/bad').map((file): Bad => {
    const text = textOf(file);
    const [, path = ''] = /^# expect: (\S+)/.exec(text) ?? [];
    const known = new RegExp(`^apiVersion: ${apiVersion}\\s`, 'm').test(text);
    const kind = kinds.find((one) => known && new RegExp(`^kind: ${one.kind}\\s`, 'm').test(text))?.kind ?? null;
    return { name: nameOf(file), text, path, kind, runtimeOnly: /^# runtime-only$/m.test(text) };
  });
  const refused = bad.filter(({ runtimeOnly }) => !runtimeOnly);
  // Metadata, and what is no object of these kinds at all, are the same for all resources: kubectl or the API server
  // refuses them before it comes to a schema.
  const bySchema = refused.filter(({ kind, path }) => kind !== null && !path.startsWith('metadata'));
  const before = refused.filter((one) => !bySchema.includes(one));
  const byRouter = bad.filter(({ runtimeOnly }) => runtimeOnly);

  it('are many, and few of them only the router can tell', () => {
    expect(bySchema.length).toBeGreaterThanOrEqual(120);
    expect(byRouter.length).toBeLessThanOrEqual(5);
  });

  it.each(bySchema)(
    '$name is refused by the API server at the field that validate names',
    async ({ text, path, kind }) => {
      const { status, body } = await dryRunOf(kind, text);
      expect([400, 422]).toContain(status);
      expect({ path, answer: body.message, named: fieldsOf(body).some((field) => isAt(field, path)) }).toMatchObject({
        named: true,
      });
    },
  );

  it.each(before)('$name is refused', async ({ text }) => {
    const { code } = await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], {
      stdin: text,
    });
    expect(code).toBe(1);
  });

  it.each(byRouter)('$name is for the router alone to refuse', async ({ text, kind }) => {
    expect((await dryRunOf(kind, text)).status).toBe(201);
  });

  interface Bad {
    name: string;
    text: string;
    /** The field that `validate` names. */
    path: string;
    kind: string | null;
    runtimeOnly: boolean;
  }

  /** The file as it stands: the API server reads YAML. */
  const dryRunOf = (kind: string | null, text: string): Promise<ApiAnswer> =>
    cluster.api('POST', `${collection(kind ?? '', namespace)}?${dryRun}`, text, 'application/yaml');

  /** Fields that an answer names: as causes, or in the words of the strict decoder. */
  function fieldsOf(answer: { message: string; details?: { causes?: { field?: string }[] } }): string[] {
    const strict = [...answer.message.matchAll(/(?:unknown field|key) "([^"]+)"/g)].map(([, field]) => field);
    return [...(answer.details?.causes ?? []).map(({ field }) => field ?? ''), ...strict];
  }

  /** The strict decoder names a field inside of what has the wrong shape, and of a key that stands twice the last part. */
  function isAt(field: string, path: string): boolean {
    return field === path || field.startsWith(`${path}.`) || field.startsWith(`${path}[`) || path.endsWith(`.${field}`);
  }
});

describe('server-side apply', () => {
  it('lets a user own the spec and the router the status, without a conflict', async () => {
    const at = `${collection('RoutingPolicy', namespace)}/shared`;
    const object = { apiVersion, kind: 'RoutingPolicy', metadata: { name: 'shared' } };
    const apply = (path: string, manager: string, content: Record<string, unknown>) =>
      cluster.api(
        'PATCH',
        `${path}?fieldManager=${manager}`,
        { ...object, ...content },
        'application/apply-patch+yaml',
      );
    const status = { observedGeneration: 1, conditions: [condition('Accepted', 'True')], programmedReplicas: 2 };
    const spec = { backendRefs: [{ name: 'a' }, { name: 'b' }] };
    expect(await apply(at, 'user', { spec })).toMatchObject({ status: 201 });
    expect(await apply(`${at}/status`, 'router', { status })).toMatchObject({ status: 200 });
    expect(await apply(at, 'user', { spec: { backendRefs: [{ name: 'b' }] } })).toMatchObject({ status: 200 });
    expect(await apply(`${at}/status`, 'router', { status: { ...status, programmedReplicas: 3 } })).toMatchObject({
      status: 200,
    });
    const { body } = await cluster.api('GET', at);
    expect(body.spec.backendRefs.map(({ name }: { name: string }) => name)).toEqual(['b']);
    expect(body.status).toMatchObject({ programmedReplicas: 3, observedGeneration: 1 });
    expect(body.status.conditions.find(({ type }: { type: string }) => type === 'Accepted').status).toBe('True');
    expect(body.metadata.generation).toBe(2);
  });

  it('lets two users own a backend each, and takes away only the one that its owner drops', async () => {
    const at = `${collection('RoutingPolicy', namespace)}/merged`;
    const apply = async (user: string, names: string[]) => {
      const spec = { backendRefs: names.map((name) => ({ name })) };
      const body = { apiVersion, kind: 'RoutingPolicy', metadata: { name: 'merged' }, spec };
      const answer = await cluster.api('PATCH', `${at}?fieldManager=${user}`, body, 'application/apply-patch+yaml');
      expect(answer.status).toBeLessThan(300);
      return answer.body.spec.backendRefs.map(({ name }: { name: string }) => name);
    };
    expect(await apply('one', ['a', 'b'])).toEqual(['a', 'b']);
    expect(await apply('two', ['c'])).toEqual(['a', 'b', 'c']);
    expect(await apply('one', ['b'])).toEqual(['b', 'c']);
  });

  it('takes over what kubectl apply has made, without a conflict', async () => {
    const manifest = minimal('routingpolicy', 'taken-over');
    await cluster.apply(manifest, '-n', namespace);
    await cluster.apply(manifest.replace('qwen', 'qwen2'), '-n', namespace, '--server-side');
    const { body } = await cluster.api('GET', `${collection('RoutingPolicy', namespace)}/taken-over`);
    expect(body.spec.backendRefs.map(({ name }: { name: string }) => name)).toEqual(['qwen2']);
  });

  it('refuses another user who wants the same field, unless forced', async () => {
    const at = `${collection('RoutingPolicy', namespace)}/owned`;
    const body = (percent: number) => ({
      ...{ apiVersion, kind: 'RoutingPolicy', metadata: { name: 'owned' } },
      spec: { backendRefs: [{ name: 'a' }], retries: { budget: { percent } } },
    });
    const apply = (query: string, percent: number) =>
      cluster.api('PATCH', `${at}?${query}`, body(percent), 'application/apply-patch+yaml');
    expect((await apply('fieldManager=one', 10)).status).toBe(201);
    expect((await apply('fieldManager=two', 20)).status).toBe(409);
    expect((await apply('fieldManager=two&force=true', 20)).status).toBe(200);
  });

  it('does not let a status be written with the object', async () => {
    const sample = {
      apiVersion,
      kind: 'RoutingPolicy',
      metadata: { name: 'lie' },
      spec: { backendRefs: [{ name: 'a' }] },
    };
    await create({ ...sample, status: { programmedReplicas: 9 } } as Sample);
    const { body } = await cluster.api('GET', `${collection('RoutingPolicy', namespace)}/lie`);
    expect(body.status).not.toHaveProperty('programmedReplicas');
  });
});
