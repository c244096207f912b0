import fc from 'fast-check';
import { load, loadAll } from 'js-yaml';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeAppConfig, isAppConfig, type AppConfig } from './app-config.ts';
import { durationText } from './app-config-resources.ts';
import { appConfigSchema } from './app-config-schema.ts';
import { decodeResource } from './decode.ts';
import { parseDuration } from './duration.ts';
import type { SchemaNode } from './schema-node.ts';

const example: unknown = load(readFileSync(join(import.meta.dirname, '../../examples/config/v25.09.yaml'), 'utf8'));

type Settings = Readonly<Record<string, unknown>>;
const discovery = { labelSelector: { app: 'vllm' }, inferencePort: 8000 };

/** A configuration with these settings beside the least that it needs. */
function decoded(settings: Settings = {}, namespace?: string): AppConfig {
  const result = decodeAppConfig({ app: { discovery, ...settings } }, namespace);
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result;
}

const groupSpec = (settings: Settings) => decoded(settings).resources.groups[0].spec;
const policySpec = (settings: Settings) => decoded(settings).resources.policies[0].spec;
const notes = (settings: Settings) => decoded(settings).notes.map(({ path, message }) => `${path} ${message}`);

/** What the API makes of a manifest that a person wrote. */
function manifest(document: unknown) {
  const result = decodeResource(document);
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.resource;
}

describe("the example of v25.09's documentation", () => {
  const result = decodeAppConfig(example);
  const metadata = { name: 'app', namespace: 'ai-inference' };

  it('is one group: Services by label, its scrapes, its KV manager', () => {
    const group = manifest({
      apiVersion: 'hermes-router.io/v1alpha1',
      kind: 'BackendGroup',
      metadata,
      spec: {
        discovery: { type: 'Service', service: { selector: { matchLabels: { app: 'vllm' } }, port: 8000 } },
        metrics: { interval: '5s', timeout: '10s', staleAfter: '15s' },
        kvCache: { type: 'Manager', manager: { url: 'http://10.96.0.10:8080', path: '/match_sort', timeout: '10s' } },
      },
    });
    expect(result.ok && [result.namespace, result.resources.groups]).toEqual(['ai-inference', [group]]);
  });

  it('is one policy: every model of the group, kv-aware, its time-out', () => {
    const policy = manifest({
      apiVersion: 'hermes-router.io/v1alpha1',
      kind: 'RoutingPolicy',
      metadata,
      spec: {
        backendRefs: [{ name: 'app' }],
        strategy: { type: 'KVAware', kvAware: { hitWeight: 1, usageWeight: 1, waitingWeight: 1 } },
        timeouts: { nonStreaming: '120s' },
      },
    });
    expect(result.ok && result.resources.policies).toEqual([policy]);
  });

  it('is what the guide says it stands for', () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/config-v25.09.md'), 'utf8');
    const manifests = /```yaml\n([^`]*)```/.exec(guide)?.[1] ?? '';
    const { groups, policies } = result.ok ? result.resources : { groups: [], policies: [] };
    expect(loadAll(manifests).map(manifest)).toEqual([...groups, ...policies]);
  });

  it('is told which of its keys have no effect', () => {
    expect(result.ok && result.notes.map(({ path }) => path)).toEqual([
      'app.discovery.interval',
      'app.discovery.timeout',
    ]);
  });
});

describe('what the document is', () => {
  it.each([
    ['a document with app', { app: {} }, true],
    ['a values file', { image: {}, app: null }, true],
    ['a document without app', { strategy: 'random' }, false],
    ['a manifest', { kind: 'ConfigMap', app: {} }, false],
    ['a list', [{ app: {} }], false],
    ['text', 'app', false],
    ['nothing', null, false],
  ])('%s', (_, document, wanted) => {
    expect(isAppConfig(document)).toBe(wanted);
  });

  it("passes over what is the chart's, and says so", () => {
    const result = decodeAppConfig({ replicas: 2, app: { discovery }, image: 'x' });
    expect(result).toMatchObject({
      ok: true,
      notes: [{ path: 'replicas', message: 'replicas, image: belongs to the chart and is passed over' }],
    });
  });
});

describe('namespace', () => {
  it.each([
    ['is that of the file', { namespace: 'a' }, 'b', 'a'],
    ['is the one given where the file names none', {}, 'b', 'b'],
    ['is default where nobody names one', {}, undefined, 'default'],
  ])('%s', (_, settings, given, wanted) => {
    const { namespace, resources } = decoded(settings, given);
    const named = [...resources.groups, ...resources.policies].map(({ metadata }) => metadata.namespace);
    expect([namespace, ...named]).toEqual([wanted, wanted, wanted]);
  });
});

const manager = { url: 'http://kv' };
const asks = { type: 'Manager', manager: { url: 'http://kv:8080', path: '/match_sort', timeout: '100ms' } };
const listed = (...metrics: string[]) => ({ strategy: 'kv-aware', collector: { metrics } });
const kvAware = (usageWeight: number) => ({
  type: 'KVAware',
  kvAware: { hitWeight: 1, usageWeight, waitingWeight: 1 },
});

describe('strategy', () => {
  it.each([
    ['kv-aware', kvAware(1), asks],
    ['round-robin', { type: 'RoundRobin', roundRobin: {} }, { type: 'None' }],
    ['random', { type: 'Random', random: {} }, { type: 'None' }],
    [undefined, expect.objectContaining({ type: 'Auto' }), asks],
  ])('%s chooses the preset, and whether KV caches are asked for', (strategy, preset, kvCache) => {
    const settings = { ...(strategy === undefined ? {} : { strategy }), kvmanager: manager };
    expect(policySpec(settings).strategy).toEqual(preset);
    expect(groupSpec(settings).kvCache).toEqual(kvCache);
  });

  it('kv-aware without a KV manager goes by what was sent where, and says so', () => {
    expect(groupSpec({ strategy: 'kv-aware' }).kvCache).toEqual({ type: 'Approximate' });
    expect(notes({ strategy: 'kv-aware' })).toEqual([expect.stringMatching(/^app\.kvmanager is left out: kv-aware goes by/)]);
  }); // prettier-ignore

  it('that asks no KV manager says that naming one has no effect', () => {
    expect(notes({ strategy: 'random', kvmanager: manager })).toEqual([
      'app.kvmanager has no effect: strategy random asks no KV manager',
    ]);
  });
});

describe('collector', () => {
  it.each([
    ['nothing', {}, { interval: '1s', timeout: '1s', staleAfter: '10s' }],
    ['a short interval', { interval: 0.25 }, { interval: '250ms', timeout: '1s', staleAfter: '10s' }],
    ['a long interval', { interval: 20 }, { interval: '20s', timeout: '1s', staleAfter: '60s' }],
    ['the longest interval', { interval: 86_400 }, { interval: '86400s', timeout: '1s', staleAfter: '86400s' }],
    ['a time-out', { timeout: 1.5 }, { interval: '1s', timeout: '1s500ms', staleAfter: '10s' }],
  ])('%s', (_, collector, wanted) => {
    expect(groupSpec({ collector }).metrics).toEqual({ path: '/metrics', ...wanted });
  });

  it.each([
    ['the old name of the cache usage', ['vllm:gpu_cache_usage_perc'], 1],
    ['its name of today', ['vllm:kv_cache_usage_perc'], 1],
    ['both, among others', ['vllm:num_requests_waiting', 'vllm:gpu_cache_usage_perc', 'vllm:kv_cache_usage_perc'], 1],
    ['only others', ['vllm:num_requests_waiting', 'vllm:num_requests_running'], 0],
  ])('metrics that name %s', (_, metrics, usageWeight) => {
    expect(policySpec(listed(...metrics)).strategy).toEqual(kvAware(usageWeight));
    const told = notes({ ...listed(...metrics), kvmanager: manager });
    expect(told.join()).toBe(
      usageWeight === 1 ? '' : 'app.collector.metrics names no cache usage, so that kv-aware leaves it out of its sum',
    );
  });

  it.each([
    [{ strategy: 'random' }, 'strategy random does not'],
    [{}, 'no strategy is named, and the default does not'],
  ])('metrics have no effect where the strategy has a list of its own: %o', (settings, words) => {
    const collector = { metrics: ['vllm:num_requests_waiting'] };
    expect(notes({ ...settings, collector })).toEqual([
      `app.collector.metrics has no effect: ${words} choose by this list`,
    ]);
  });
});

describe('kvmanager', () => {
  const url = (kvmanager: Settings): unknown => {
    const { kvCache } = groupSpec({ kvmanager });
    return kvCache.type === 'Manager' ? kvCache.manager.url : null;
  };
  it.each([
    ['a host and a port', { url: 'http://10.96.0.10', port: 9000 }, 'http://10.96.0.10:9000'],
    ['a host alone', { url: 'http://kv.ns' }, 'http://kv.ns:8080'],
    ['a URL with its own port', { url: 'https://kv:8443' }, 'https://kv:8443'],
    ['a URL with the same port', { url: 'http://kv:9000', port: 9000 }, 'http://kv:9000'],
    ['a URL with another port', { url: 'http://kv:9001', port: 9000 }, 'http://kv:9001'],
    ['an IPv6 host', { url: 'http://[fd00::1]' }, 'http://[fd00::1]:8080'],
    ['an IPv6 host with a port', { url: 'http://[fd00::1]:81' }, 'http://[fd00::1]:81'],
  ])('%s', (_, kvmanager, wanted) => {
    expect(url(kvmanager)).toBe(wanted);
  });

  it('says which of two ports goes first, and nothing where they agree', () => {
    expect(notes({ kvmanager: { url: 'http://kv:9001', port: 9000 } })).toEqual([
      'app.kvmanager.port has no effect: the port in `url`, 9001, goes first',
    ]);
    expect(notes({ kvmanager: { url: 'http://kv:9000', port: 9000 } })).toEqual([]);
  });

  it('keeps its path and time-out as written', () => {
    const kvmanager = { ...manager, matchPath: '/v2/match', timeout: 0.05 };
    expect(groupSpec({ kvmanager }).kvCache).toMatchObject({ manager: { path: '/v2/match', timeout: '50ms' } });
  });
});

describe('the guide', () => {
  it('has a row for every key and no other', () => {
    const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/config-v25.09.md'), 'utf8');
    const rows = [...guide.matchAll(/^\| `(app\.[A-Za-z.]+)` \|/gm)].map(([, key]) => key);
    expect(rows.toSorted()).toEqual(leavesOf(appConfigSchema).toSorted());
  });

  /** Paths of the keys that hold values. */
  function leavesOf({ properties }: SchemaNode, path: readonly string[] = []): string[] {
    if (properties === undefined) return [path.join('.')];
    return Object.entries(properties).flatMap(([name, field]) => leavesOf(field, [...path, name]));
  }
});

describe('properties', () => {
  const seconds = fc.oneof(
    fc.integer({ min: 1, max: 86_400 }),
    fc.integer({ min: 1, max: 86_400_000 }).map((milliseconds) => milliseconds / 1000),
    fc.double({ min: 0.001, max: 86_400, noNaN: true }),
  );
  const port = fc.integer({ min: 1, max: 65_535 });
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
  const partial = (
    model: Readonly<Record<string, fc.Arbitrary<unknown>>>,
    requiredKeys: string[] = [],
  ): fc.Arbitrary<Record<string, unknown>> => fc.record<Record<string, unknown>>(model, { requiredKeys });
  const metric = fc.constantFrom(
    'vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'vllm:num_requests_waiting', 'vllm:num_requests_running',
  ); // prettier-ignore
  const app = partial(
    {
      namespace: label,
      strategy: fc.constantFrom('kv-aware', 'round-robin', 'random'),
      timeout: seconds,
      discovery: partial(
        {
          type: fc.constant('k8s-service'),
          interval: seconds,
          timeout: seconds,
          labelSelector: fc.dictionary(label, fc.oneof(label, fc.constant('')), { minKeys: 1, maxKeys: 8 }),
          inferencePort: port,
        },
        ['labelSelector', 'inferencePort'],
      ),
      collector: partial({
        type: fc.constant('vllm'),
        interval: seconds,
        timeout: seconds,
        metrics: fc.uniqueArray(metric, { minLength: 1 }),
      }),
      kvmanager: partial(
        {
          url: fc.constantFrom('http://kv', 'https://kv.ns.svc:443', 'http://10.0.0.1', 'http://[fd00::1]:80'),
          port,
          matchPath: fc.constantFrom('/', '/match_sort', '/a/b'),
          timeout: seconds,
        },
        ['url'],
      ),
    },
    ['discovery'],
  );

  it('any good configuration becomes resources that the API accepts, and that stay as they are', () => {
    fc.assert(
      fc.property(app, (settings) => {
        const result = decodeAppConfig({ app: settings });
        if (!result.ok) throw new Error(JSON.stringify(result.faults));
        for (const resource of [...result.resources.groups, ...result.resources.policies])
          expect(manifest(resource)).toEqual(resource);
      }),
    );
  });

  it('whatever the document, decoding ends with resources or with faults that have a cure', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.record({ app: fc.jsonValue() }), fc.record({ app: scrambled(app) })), (document) => {
        const result = decodeAppConfig(document);
        if (result.ok) return;
        expect(result.faults.length).toBeGreaterThan(0);
        for (const { message, cure } of result.faults) expect(message !== '' && cure.length > 5).toBe(true);
      }),
    );
  }); // prettier-ignore

  it('seconds keep their length to the millisecond', () => {
    fc.assert(
      fc.property(seconds, (value) => {
        expect(parseDuration(durationText(value))).toBe(Math.round(value * 1000));
      }),
    );
  });

  /** Good settings with one of them replaced by something else. */
  function scrambled(settings: fc.Arbitrary<Record<string, unknown>>): fc.Arbitrary<unknown> {
    return fc.tuple(settings, fc.jsonValue(), fc.nat()).map(([good, junk, at]) => {
      const keys = Object.keys(good);
      return { ...good, [keys[at % keys.length]]: junk };
    });
  }
});
