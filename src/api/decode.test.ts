import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { backendGroup } from './backend-group.ts';
import { faultsOf } from './check.ts';
import { decodeResource } from './decode.ts';
import type { Fault } from './check.ts';
import { withDefaults } from './defaults.ts';
import { parseDocuments } from './documents.ts';
import { routingPolicy } from './routing-policy.ts';
import { expandStrategy } from './strategy.ts';

const discovery = { type: 'Static', static: { endpoints: [{ name: 'e1', address: '127.0.0.1:9001' }] } };
const group = (spec: object): unknown => ({
  apiVersion: 'hermes-router.io/v1alpha1',
  kind: 'BackendGroup',
  metadata: { name: 'a' },
  spec: { discovery, ...spec },
});
const policy = (spec: object): unknown => ({
  apiVersion: 'hermes-router.io/v1alpha1',
  kind: 'RoutingPolicy',
  metadata: { name: 'a' },
  spec: { backendRefs: [{ name: 'g' }], ...spec },
});

function faults(document: unknown): readonly Fault[] {
  const decoded = decodeResource(document);
  return decoded.ok ? [] : decoded.faults;
}

function decodedPolicy(spec: object) {
  const decoded = decodeResource(policy(spec));
  if (!decoded.ok || decoded.resource.kind !== 'RoutingPolicy') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

function decodedGroup(spec: object) {
  const decoded = decodeResource(group(spec));
  if (!decoded.ok || decoded.resource.kind !== 'BackendGroup') throw new Error(JSON.stringify(decoded));
  return decoded.resource;
}

describe('defaults', () => {
  it('of a policy are those of the contract', () => {
    expect(decodedPolicy({})).toEqual({
      apiVersion: 'hermes-router.io/v1alpha1',
      kind: 'RoutingPolicy',
      metadata: { name: 'a', namespace: 'default' },
      spec: {
        routerClassName: 'hermes',
        match: { models: [], headers: [] },
        backendRefs: [{ kind: 'BackendGroup', name: 'g', weight: 1 }],
        strategy: { type: 'Auto', auto: {} },
        timeouts: { connect: '1s', firstByte: '60s', streamIdle: '60s', nonStreaming: '600s', request: '0s' },
        retries: { attempts: 2, on: ['ConnectFailure', 'Reset'], budget: { percent: 20, minPerSecond: 10 } },
        debug: { headers: false },
      },
    });
  });

  it('of a group are those of the contract', () => {
    expect(decodedGroup({}).spec).toEqual({
      routerClassName: 'hermes',
      models: [],
      engine: 'vLLM',
      discovery,
      connection: { scheme: 'http', forwardAuthorization: false },
      topology: { type: 'Aggregate' },
      metrics: { interval: '1s', timeout: '1s', path: '/metrics', staleAfter: '10s' },
      kvCache: { type: 'Approximate' },
      health: {
        path: '/health',
        interval: '2s',
        timeout: '1s',
        failures: 3,
        successes: 1,
        passive: { consecutiveFailures: 5, ejectFor: '10s', maxEjectedPercent: 50 },
      },
    });
  });

  it('stand inside the members of a union', () => {
    const { kvCache } = decodedGroup({ kvCache: { type: 'Manager', manager: { service: { name: 'indexer' } } } }).spec;
    expect(kvCache).toEqual({
      type: 'Manager',
      manager: { service: { name: 'indexer', port: 8080 }, path: '/match_sort', timeout: '100ms' },
    });
  });

  it('fill in a field of value null, as the API server does', () => {
    const { backendRefs, timeouts } = decodedPolicy({
      backendRefs: [{ name: 'g', weight: null }],
      timeouts: null,
    }).spec;
    expect([backendRefs[0].weight, timeouts.connect]).toEqual([1, '1s']);
  });

  it('leave the document as it was', () => {
    const document = policy({ strategy: { type: 'KVAware' } });
    const before = structuredClone(document);
    decodeResource(document);
    expect(document).toEqual(before);
  });

  it('are not shared between two resources', () => {
    decodedPolicy({}).spec.retries.on.push('Timeout');
    expect(decodedPolicy({}).spec.retries.on).toEqual(['ConnectFailure', 'Reset']);
  });
});

describe('strategies', () => {
  it('expand to the profile of their preset, with their parameters', () => {
    const { strategy } = decodedPolicy({ strategy: { type: 'KVAware', kvAware: { hitWeight: 3 } } }).spec;
    expect(expandStrategy(strategy).profile.scorers).toEqual([
      {
        type: 'scorer-aggregate-kv-cache-aware',
        weight: 1,
        parameters: { kvCacheHitNotRateWeight: 3, xpuCacheUsageWeight: 1, waitingRequestWeight: 1 },
      },
    ]);
  });

  it('that spell out a profile are that profile, with the defaults of each plugin', () => {
    const { strategy } = decodedPolicy({
      strategy: { type: 'Profile', profile: { scorers: [{ type: 'scorer-session-affinity' }] } },
    }).spec;
    expect(expandStrategy(strategy)).toEqual({
      profile: {
        filters: [],
        scorers: [{ type: 'scorer-session-affinity', weight: 1, parameters: { header: 'x-session-id' } }],
        picker: { type: 'picker-min-random', parameters: {} },
      },
    });
  });

  it('that were not decoded are refused', () => {
    expect(() => expandStrategy({ type: 'KVAware' })).toThrow(TypeError);
    expect(() => expandStrategy({ type: 'Gone' })).toThrow(TypeError);
  });
});

describe('faults', () => {
  it('tell the reason that the condition gives', () => {
    const profile = (value: object): unknown => policy({ strategy: { type: 'Profile', profile: value } });
    const reasons = [
      faults(policy({ timeouts: { connect: '1' } })),
      faults(policy({ strategy: { type: 'KVAware', kvAware: { hitWeight: -1 } } })),
      faults(profile({ filters: [{ type: 'filter-by-label', parameters: { label: 'zone', values: [] } }] })),
      faults(profile({ scorers: [{ type: 'queue-scorer' }, { type: 'scorer-auto' }] })),
      faults(profile({ scorers: [{ type: 'gone' }] })),
    ].map(([fault]) => fault.reason);
    expect(reasons).toEqual(['Invalid', 'InvalidParameters', 'InvalidParameters', 'MixedScorerDirections', 'Invalid']);
  });

  it.each([
    ['a bound', { backendRefs: [{ name: 'g', weight: -1 }] }, 'write `weight` as an integer between 0 and 1000000'],
    ['a misspelt field', { backendRefs: [{ name: 'g', wieght: 1 }] }, 'write `weight`, or remove it'],
    ['a misspelt value', { strategy: { type: 'kvaware' } }, 'did you mean `KVAware`?'],
    ['a duration', { timeouts: { connect: 1 } }, 'write `connect` as a duration from 1ms to 24h, like 1m30s or 250ms'],
    ['a missing field', { backendRefs: [{}] }, 'add `name` (Name of the backend, in the namespace of the policy)'],
    ['a list', { match: { models: 'a' } }, 'write `models` as a list of 0 to 64 items'],
    ['an item of a list', { match: { models: ['*a'] } }, 'write each item of `models` as a model name or a prefix'],
    ['a map', { debug: true }, 'write `debug` as a map'],
    ['a yes or no', { debug: { headers: 'yes' } }, 'write `headers` as `true` or `false`'],
    ['a foreign field', { match: { zzzzzzzz: 1 } }, 'remove it; known here: models, headers'],
    ['duplicates', { backendRefs: [{ name: 'g' }, { name: 'g' }] }, 'give each item its own `kind` and `name`'],
  ])('name a cure for %s', (_, spec, cure) => {
    expect(faults(policy(spec))[0].cure).toContain(cure);
  });

  it('are all told at once, in the order of the document', () => {
    const found = faults(policy({ backendRefs: [{ name: 'G', weight: -1 }], debug: 1, timeouts: { connect: '0s' } }));
    expect(found.map(({ path }) => path)).toEqual([
      'spec.backendRefs[0].name',
      'spec.backendRefs[0].weight',
      'spec.debug',
      'spec.timeouts.connect',
    ]);
  });

  it('show long values shortened', () => {
    const [fault] = faults(policy({ routerClassName: 'x'.repeat(10_000) }));
    expect(fault.message.length).toBeLessThan(80);
  });

  it.each([null, undefined, 7, 'text', [], [{}], {}])('of a document that is %j are told, not thrown', (document) => {
    expect(faults(document)).toHaveLength(1);
  });

  it('of a document that holds itself are told', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(faults({ apiVersion: loop })).toHaveLength(1);
    expect(faults(policy({ match: { models: loop } }))[0].path).toBe('spec.match.models[0]');
  });
});

describe('lengths', () => {
  it('are code points, as the API server counts them', () => {
    const name = '𝕢'.repeat(253);
    expect(faults(group({ models: [name] }))).toEqual([]);
    expect(faults(group({ models: [`${name}x`] }))).toHaveLength(1);
  });
});

const corpus = join(import.meta.dirname, '../../test/corpus/good');
const good = readdirSync(corpus).flatMap((name) =>
  parseDocuments(readFileSync(join(corpus, name), 'utf8'), name).documents.map(({ value }) => value),
);

/** A document with one value somewhere in it replaced. */
function mutated(document: unknown, choices: readonly number[], value: unknown): unknown {
  if (choices.length === 0 || typeof document !== 'object' || document === null) return value;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(document) ? [...document] : { ...document };
  const keys = Object.keys(copy);
  if (keys.length === 0) return value;
  const key = keys[choices[0] % keys.length];
  Object.assign(copy, { [key]: mutated(Reflect.get(copy, key), choices.slice(1), value) });
  return copy;
}

describe('any document', () => {
  const documents = fc
    .tuple(
      fc.constantFrom(...good),
      fc.array(fc.nat(50), { minLength: 1, maxLength: 7 }),
      fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.constantFrom('0s', '1s', '', 'Manager', 'Pods', -1, 0, 1.5, {}, [], null),
      ),
    )
    .map(([document, choices, value]) => mutated(document, choices, value));

  it('is decoded or refused with a path, a message and a cure, never an exception', () => {
    fc.assert(
      fc.property(documents, (document) => {
        for (const { message, cure } of faults(document)) expect(message.length * cure.length).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
  });

  it("passes the library's own check whenever it passes ours", () => {
    fc.assert(
      fc.property(documents, fc.constantFrom(backendGroup, routingPolicy), (document, schema) => {
        const value = withDefaults(schema, document);
        if (faultsOf(schema, value).length === 0) expect(Value.Check(schema, value)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
