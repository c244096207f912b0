import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ManualClock } from '../../test/fixtures/manual-clock.ts';
import { createLog, type Log } from '../observability/log.ts';
import { Assembly } from './assembly.ts';
import { manifestSource } from './manifests.ts';
import type { Reloads, ResourceSource } from './source.ts';
import { gauges, tableTimes, tableView } from './views.ts';

const canary = 'canary-of-a-secret';

const group = (name: string, more = ''): string => `
apiVersion: hermes-router.io/v1alpha1
kind: BackendGroup
metadata: {name: ${name}}
spec:
  models: [m-${name}]
  discovery: {type: Static, static: {endpoints: [{name: e1, address: "127.0.0.1:1"}, {name: e2, address: "127.0.0.1:2"}]}}
${more}`;

const policy = (name: string, more = ''): string => `
apiVersion: hermes-router.io/v1alpha1
kind: RoutingPolicy
metadata: {name: ${name}}
spec:
  backendRefs: [{name: ${name}}]
${more}`;

const withKey = '  connection: {apiKeySecretRef: {name: keys, key: token}}\n';
const secret = `
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: ${canary}}`;

let folder: string;
let clock: ManualClock;
let lines: string[];
let log: Log;
let tables: number;
let source: ResourceSource & { readonly reloads: Reloads };
let assembly: Assembly;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hermes-assembly-'));
  clock = new ManualClock();
  lines = [];
  log = createLog((line) => lines.push(line));
  tables = 0;
  source = manifestSource(folder, 'hermes', { clock, log });
  const { discovery } = source;
  assembly = new Assembly({ clock, log, maxScrapesPerSecond: 300, onTable: () => (tables += 1), discovery });
});

afterEach(async () => {
  await assembly.close();
  rmSync(folder, { recursive: true });
});

const write = (name: string, ...texts: string[]): void => writeFileSync(join(folder, name), texts.join('\n---\n'));

function follow(): Reloads {
  source.start(assembly);
  return source.reloads;
}

/** Lets the watch see what has changed. */
const look = (): void => clock.advance(700);

describe('manifestSource', () => {
  it('puts what a folder says in force, and every change of it', () => {
    write('a.yaml', group('g'), policy('g'));
    const reloads = follow();
    const { store } = assembly;
    expect(store.current.models).toEqual(['m-g']);
    expect(store.current.match('m-g', new Map())?.backends[0].group.endpoints).toHaveLength(2);
    write('b.yaml', group('h'), policy('h'));
    look();
    expect(store.current.models).toEqual(['m-g', 'm-h']);
    unlinkSync(join(folder, 'a.yaml'));
    look();
    expect(store.current.models).toEqual(['m-h']);
    expect(reloads).toEqual({ good: 3, faulty: 0 });
    expect(tables).toBeGreaterThanOrEqual(3);
    expect(store.current.generation).toBeGreaterThanOrEqual(3);
  });

  it('says what is wrong, keeps the last good version, and counts it', () => {
    write('a.yaml', group('g'), policy('g'));
    const reloads = follow();
    write('a.yaml', group('g'), policy('g', '  nonsense: 1\n'));
    look();
    expect(reloads).toEqual({ good: 1, faulty: 1 });
    expect(assembly.store.current.match('m-g', new Map())?.profile).not.toBeNull();
    const said = lines.join('\n');
    expect(said).toContain('"path":"spec.nonsense"');
    expect(said).toContain('the last good version stays in force');
  });

  it('keeps the slots of endpoints that stay', () => {
    write('a.yaml', group('g'), policy('g'));
    follow();
    const before = assembly.store.current.groups.get('default/g')?.endpoints.map(({ slot }) => slot);
    write('a.yaml', group('g', '  engine: SGLang\n'), policy('g'));
    look();
    expect(assembly.store.current.groups.get('default/g')?.endpoints.map(({ slot }) => slot)).toEqual(before);
  });
});

describe('Assembly', () => {
  it('gives a group the key of its secret, and takes up another', () => {
    write('a.yaml', group('g', withKey), secret);
    follow();
    const key = () => assembly.store.current.groups.get('default/g')?.connection.apiKey;
    expect(key()).toBe(canary);
    write('a.yaml', group('g', withKey), secret.replace(canary, 'another'));
    look();
    expect(key()).toBe('another');
  });

  it('says which secret is missing', () => {
    write('a.yaml', group('g', withKey));
    follow();
    expect(lines.join()).toContain('key token of Secret keys');
  });

  it('knows the models where all are declared, and waits where one is to be learned', () => {
    write('a.yaml', group('g'));
    follow();
    expect(assembly.stillToLearn).toBeNull();
    write('a.yaml', group('g').replace('models: [m-g]', 'models: []'));
    look();
    expect(assembly.stillToLearn).toContain('models');
  });

  it('has to load what KV events need before its first decision is a good one', async () => {
    write('a.yaml', group('g', '  kvCache: {type: Events}\n'));
    follow();
    expect(assembly.stillToLearn).toContain('KV index');
    await vi.waitUntil(() => assembly.room !== null, 10_000);
    expect(assembly.stillToLearn).toBeNull();
  });

  it('says that discovery in a cluster does not work with files', () => {
    write('a.yaml', group('g').replace(/discovery: .*/, 'discovery: {type: Service, service: {name: s, port: 80}}'));
    follow();
    const verdict = assembly.verdicts.find(({ key }) => key === 'default/g');
    expect(verdict?.conditions).toContainEqual(expect.objectContaining({ type: 'Discovered', status: 'False' }));
  });
});

describe('tableView', () => {
  it('shows what is in force, and no secret', () => {
    write('a.yaml', group('g', withKey), policy('g'), secret);
    follow();
    const { store, snapshot, verdicts } = assembly;
    const text = JSON.stringify(tableView(store.current, snapshot, verdicts, assembly));
    expect(JSON.parse(text)).toMatchObject({
      models: ['m-g'],
      policies: [{ policy: 'default/g', backends: [{ group: 'default/g', weight: 1 }] }],
      groups: [{ group: 'default/g', models: ['m-g'], endpoints: { total: 2 } }],
      faults: [],
      lastGoodInForce: [],
    });
    expect(text).not.toContain(canary);
    expect(lines.join()).not.toContain(canary);
  });
});

describe('an Assembly with more endpoints than slots', () => {
  it('says once, loudly, which group is short of how many', () => {
    write('a.yaml', group('g'), policy('g'));
    follow();
    const { snapshot } = assembly;
    const [small] = snapshot.groups;
    const endpoints = Array.from({ length: 16_387 }, (_, i) => ({ name: `e${i}`, address: `127.0.0.1:${1 + i}` }));
    const large = { ...small, spec: { ...small.spec, discovery: { type: 'Static' as const, static: { endpoints } } } };
    lines.length = 0;
    assembly.update({ ...snapshot, groups: [large] });
    assembly.update({ ...snapshot, groups: [{ ...large }] });
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(told.filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({ group: 'default/g', event: 'SlotsExhausted', endpoint: 'e16384' }),
    ]);
    expect(told.find(({ event }) => event === 'SlotsExhausted')?.reason).toContain('3 of 16387 endpoints');
    expect(assembly.fleet.shutOut).toBe(3);
  });
});

describe('tableTimes', () => {
  it('counts every table', () => {
    write('a.yaml', group('g'), policy('g'));
    follow();
    write('a.yaml', group('g'), policy('g'), policy('p'));
    look();
    const samples = new Map(
      tableTimes(assembly)
        .samples()
        .map(({ metricName, value }) => [metricName, value]),
    );
    expect(samples.get('hermes_table_build_seconds_count')).toBe(assembly.store.current.generation);
  });
});

describe('gauges', () => {
  it('are numbers of the house, each of its own name', () => {
    write('a.yaml', group('g'), policy('g'));
    follow();
    const all = [...gauges(assembly, { draining: true }, () => clock.now()), ...source.gauges()];
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    const read = Object.fromEntries(all.map((one) => [one.name, one.read()]));
    expect(read.hermes_endpoints_ready).toEqual([{ labels: { group: 'default/g' }, value: 2 }]);
    expect(read.hermes_draining).toEqual([{ value: 1 }]);
    expect(read.hermes_scrape_age_seconds).toEqual([{ labels: { group: 'default/g' }, value: 0 }]);
    expect(read.hermes_config_reloads_total).toContainEqual({ labels: { result: 'good' }, value: 1 });
    for (const { value } of Object.values(read).flat()) expect(Number.isFinite(value)).toBe(true);
  });
});
