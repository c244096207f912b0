import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextOf } from '../../test/fixtures/fleet.ts';
import { buildProfile } from '../policies/build.ts';
import { registry } from '../policies/index.ts';
import { EndpointStates } from '../router/states.ts';
import { decodePickerConfig, type PickerConfig } from './endpoint-picker-config.ts';

interface Entry {
  readonly type: string;
  readonly name?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

const document = (plugins: readonly Entry[], more: object = {}): object => ({
  apiVersion: 'llm-d.ai/v1alpha1',
  kind: 'EndpointPickerConfig',
  plugins,
  ...more,
});
const profile = (...refs: readonly (string | object)[]) => ({
  schedulingProfiles: [
    { name: 'main', plugins: refs.map((ref) => (typeof ref === 'string' ? { pluginRef: ref } : ref)) },
  ],
});
const types = (...names: readonly string[]): Entry[] => names.map((type) => ({ type }));

function decoded(value: object): { readonly config: PickerConfig; readonly notes: readonly string[] } {
  const result = decodePickerConfig(value);
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return { config: result.config, notes: result.notes.map(({ path, message }) => `${path} ${message}`) };
}

const asker = 'scorer-aggregate-kv-cache-aware';

describe('the profile', () => {
  it('holds filters, scorers and picker in their order, with the parameters that they read', () => {
    const plugins = [
      { type: 'filter-by-label', parameters: { label: 'tier', values: ['gold'] } },
      { name: 'q', type: 'queue-scorer' },
      { name: 'p', type: 'prefix-cache-scorer', parameters: { hashBlockSize: 64 } },
      { type: 'max-score-picker', parameters: { maxNumOfEndpoints: 2 } },
    ];
    const refs = ['max-score-picker', { pluginRef: 'p', weight: 3 }, 'q', 'filter-by-label'];
    const { config } = decoded(document(plugins, profile(...refs)));
    expect(config).toEqual({
      name: 'main',
      profile: {
        filters: [{ type: 'filter-by-label', parameters: { label: 'tier', values: ['gold'] } }],
        scorers: [
          { type: 'prefix-cache-scorer', parameters: {}, weight: 3 },
          { type: 'queue-scorer', parameters: {}, weight: 1 },
        ],
        picker: { type: 'max-score-picker', parameters: {} },
        handlers: [],
      },
      kvCache: { type: 'Approximate' },
      saturation: { queueDepth: 5, cacheUsage: 0.8 },
      fallbacks: 1,
    });
  });

  it('is made of all plugins where a file has none, and is called default', () => {
    const plugins = types('single-profile-handler', 'filter-by-pd-label', 'scorer-pd-bucket', 'pd-header-handler');
    const { config, notes } = decoded(document(plugins));
    expect(config.name).toBe('default');
    expect(config.profile).toMatchObject({
      filters: [{ type: 'filter-by-pd-label' }],
      scorers: [{ type: 'scorer-pd-bucket', weight: 1 }],
      handlers: [{ type: 'pd-header-handler' }],
    });
    expect(notes).toEqual([]);
  });

  it.each([
    ['the lowest where the lowest wins', [asker], 'picker-min-random'],
    ['the highest where the highest wins', ['queue-scorer'], 'max-score-picker'],
    ['by chance without scorers', ['filter-by-label'], 'picker-min-random'],
  ])('without a picker takes %s', (_, refs, picker) => {
    const plugins = refs.map((type) =>
      type === 'filter-by-label' ? { type, parameters: { label: 'a', values: ['b'] } } : { type },
    );
    expect(decoded(document(plugins, profile(...refs))).config.profile.picker?.type).toBe(picker);
  });

  it('without a picker takes the only one that is declared, as the reference picker does, and says so', () => {
    const { config, notes } = decoded(document(types('queue-scorer', 'random-picker'), profile('queue-scorer')));
    expect(config.profile.picker?.type).toBe('random-picker');
    expect(notes).toEqual(['plugins[1] random-picker is in force, although the profile does not name it']);
  });

  it('has a handler that is declared only, as the reference picker does, and says so', () => {
    const plugins = types('filter-by-pd-label', 'scorer-pd-bucket', 'pd-header-handler');
    const { config, notes } = decoded(document(plugins, profile('filter-by-pd-label', 'scorer-pd-bucket')));
    expect(config.profile.handlers).toMatchObject([{ type: 'pd-header-handler' }]);
    expect(notes).toEqual(['plugins[2] pd-header-handler is in force, although the profile does not name it']);
  });

  it('of pairs takes picker-min-random, which says of pairs what it says of endpoints', () => {
    const refs = ['filter-by-pd-label', 'scorer-pd-bucket', 'picker-min-random', 'pd-header-handler'];
    expect(decoded(document(types(...refs), profile(...refs))).config.profile.picker?.type).toBe('picker-min-random');
  });
});

describe('the KV manager', () => {
  it.each([
    ['a Service by default', {}, { service: { name: 'cache-indexer-service', port: 8080 }, timeout: '5s' }],
    ['a Service of the namespace', { kvCacheManagerIP: 'kv' }, { service: { name: 'kv', port: 8080 } }],
    ['this machine', { kvCacheManagerIP: 'localhost' }, { url: 'http://localhost:8080' }],
    ['a Service elsewhere', { kvCacheManagerIP: 'kv.other.svc' }, { url: 'http://kv.other.svc:8080' }],
    ['an address', { kvCacheManagerIP: '10.0.0.7', kvCacheManagerPort: 81 }, { url: 'http://10.0.0.7:81' }],
    ['an IPv6 address', { kvCacheManagerIP: 'fd00::7' }, { url: 'http://[fd00::7]:8080' }],
    ['a path', { kvCacheManagerPath: '/kv/match' }, { path: '/kv/match' }],
    ['milliseconds', { kvCacheManagerTimeout: 1_500_000_000 }, { timeout: '1s500ms' }],
    ['parts of one', { kvCacheManagerTimeout: 20_000_001 }, { timeout: '21ms' }],
  ])('is %s', (_, parameters, manager) => {
    const { config } = decoded(document([{ type: asker, parameters }]));
    expect(config.kvCache).toMatchObject({ type: 'Manager', manager });
  });

  it('is asked for the hits of prefillers, too', () => {
    const plugins = types('filter-by-pd-label', 'scorer-pd-kv-cache-aware', 'pd-header-handler');
    expect(decoded(document(plugins)).config.kvCache.type).toBe('Manager');
  });

  it('is nobody where nothing reads hits', () => {
    expect(decoded(document(types('queue-scorer'))).config.kvCache).toEqual({ type: 'None' });
  });
});

describe('whatever KV manager is accepted', () => {
  const letters = fc.constantFrom(...'aZ09.:-_[]/?#@%ä \\'.split(''));
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.string({ unit: letters, maxLength: 12 }));

  it('can be asked, and its scorer built', () => {
    let accepted = 0;
    fc.assert(
      fc.property(host, fc.string({ unit: letters, maxLength: 8 }), (kvCacheManagerIP, rest) => {
        const parameters = { kvCacheManagerIP, kvCacheManagerPath: `/${rest}` };
        const result = decodePickerConfig(document([{ type: asker, parameters }]));
        if (!result.ok) return;
        accepted += 1;
        const { kvCache, profile } = result.config;
        if (kvCache.type !== 'Manager') throw new Error('nobody is asked');
        const { service, url } = kvCache.manager;
        expect(URL.canParse(url ?? `http://${service?.name}.default:${service?.port}`)).toBe(true);
        const context = contextOf(new EndpointStates(8), () => 0.5);
        buildProfile(profile, registry, context);
      }),
      { numRuns: 2000, seed: 6 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('saturation', () => {
  const detector = { name: 'd', type: 'utilization-detector', parameters: { queueDepthThreshold: 9 } };
  it.each([
    ['the section', { saturationDetector: { queueDepthThreshold: 7, kvCacheUtilThreshold: 1 } }, [], 7, 1],
    ['a detector', { saturationDetector: { pluginRef: 'd' } }, [detector], 9, 0.8],
    ['a detector of flow control', { flowControl: { saturationDetector: { pluginRef: 'd' } } }, [detector], 9, 0.8],
    ['the usual detector', {}, [{ ...detector, name: 'utilization-detector' }], 9, 0.8],
    ['the usual detector, not declared', { saturationDetector: { pluginRef: 'utilization-detector' } }, [], 5, 0.8],
  ])('is told by %s', (_, more, plugins, queueDepth, cacheUsage) => {
    const { config } = decoded(document([{ type: 'queue-scorer' }, ...plugins], more));
    expect(config.saturation).toEqual({ queueDepth, cacheUsage });
  });
});

describe('notes', () => {
  const two = types('queue-scorer', 'kv-cache-utilization-scorer');
  it.each<[string, object, string]>([
    [
      'a plugin of no profile',
      document(two, profile('queue-scorer')),
      'plugins[1] kv-cache-utilization-scorer stands in no profile and does nothing',
    ],
    [
      'a weight of 0',
      document(types('queue-scorer'), profile({ pluginRef: 'queue-scorer', weight: 0 })),
      'schedulingProfiles[0].plugins[0].weight takes queue-scorer out of the sum',
    ],
    [
      'a weight of no scorer',
      document(types('random-picker'), profile({ pluginRef: 'random-picker', weight: 2 })),
      'schedulingProfiles[0].plugins[0].weight has no effect: only scorers are weighted',
    ],
    [
      'a pair that nobody is told of',
      document(types('filter-by-pd-label', 'scorer-pd-bucket'), profile('filter-by-pd-label', 'scorer-pd-bucket')),
      'schedulingProfiles[0] does not tell the leader which pair is chosen, so that it chooses by itself',
    ],
    [
      'books of prefixes',
      document([{ type: 'prefix-cache-scorer', parameters: { autoTune: false } }]),
      'plugins[0].parameters.autoTune has no effect: what is remembered of an engine follows the size of its KV cache, in pieces of 256 bytes',
    ],
    [
      'the age of numbers',
      document(types('queue-scorer'), { saturationDetector: { metricsStalenessThreshold: '1s' } }),
      'saturationDetector.metricsStalenessThreshold has no effect: scraped numbers count until they are 10 s old',
    ],
    [
      'a gate of what is on anyway',
      document(types('queue-scorer'), { featureGates: ['dataLayer'] }),
      'featureGates[0] has no effect: what dataLayer switches is always on here',
    ],
  ])('tell of %s', (_, value, note) => {
    expect(decoded(value).notes).toEqual([note]);
  });
});

describe('faults', () => {
  it('are told all at once', () => {
    const wrong = { type: 'load-aware-scorer', parameters: { threshold: 'low' } };
    const plugins = [...types('queue-scorer', 'nobody', 'pd-profile-handler'), wrong];
    const result = decodePickerConfig(
      document(plugins, { featureGates: ['flowControl'], ...profile('queue-scorrer') }),
    );
    if (result.ok) throw new Error('accepted');
    expect(result.faults.map(({ path }) => path)).toEqual([
      'plugins[3].parameters.threshold',
      'plugins[1].type',
      'plugins[2].type',
      'featureGates[0]',
      'schedulingProfiles[0].plugins[0].pluginRef',
    ]);
  });

  it('of a misspelt plugin are told once, and not that it is missing', () => {
    const refs = ['filter-by-pd-label', 'scorer-pd-buckett', 'pd-header-handler'];
    const result = decodePickerConfig(document(types(...refs), profile(...refs)));
    expect(result).toMatchObject({ ok: false, faults: [{ path: 'plugins[1].type' }] });
    const misspelt = decodePickerConfig(
      document(types('filter-by-pd-label', 'scorer-pd-bucket'), profile('filter-by-pd-label', 'scorer-pd-buckett')),
    );
    expect(misspelt).toMatchObject({ ok: false, faults: [{ path: 'schedulingProfiles[0].plugins[1].pluginRef' }] });
  });

  it('of a second profile are told once where its handler is none of ours', () => {
    const both = [
      { name: 'prefill', plugins: [{ pluginRef: 'queue-scorer' }] },
      { name: 'decode', plugins: [{ pluginRef: 'queue-scorer' }] },
    ];
    const result = decodePickerConfig(
      document(types('queue-scorer', 'disagg-profile-handler'), { schedulingProfiles: both }),
    );
    expect(result).toMatchObject({ ok: false, faults: [{ path: 'plugins[1].type' }] });
  });
});

describe('whatever is accepted', () => {
  const names = [registry.filters, registry.scorers, registry.pickers, registry.pairFilters, registry.pairScorers]
    .flatMap((ofKind) => [...ofKind.keys()])
    .concat([...registry.pairPickers.keys(), ...registry.handlers.keys(), 'single-profile-handler', 'nobody']);
  const entry = fc.constantFrom(...names).map((type): Entry => ({
    type,
    ...(type === 'filter-by-label' ? { parameters: { label: 'a', values: ['b'] } } : {}),
  }));

  it('can be built', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.uniqueArray(entry, { minLength: 1, maxLength: 4, selector: ({ type }) => type }), (plugins) => {
        const result = decodePickerConfig(document(plugins, profile(...plugins.map(({ type }) => type))));
        if (!result.ok) {
          expect(result.faults.length).toBeGreaterThan(0);
          return;
        }
        accepted += 1;
        const context = contextOf(new EndpointStates(8), () => 0.5);
        expect(buildProfile(result.config.profile, registry, context).parts.pickerType).toMatch(/./);
      }),
      { numRuns: 2000, seed: 6 },
    );
    expect(accepted).toBeGreaterThan(200);
  });
});
