// Every metric that some command has, read from the code that writes it.
import type { Assembly } from '../src/commands/assembly.ts';
import { QuestionTelemetry } from '../src/commands/cache-indexer/telemetry.ts';
import { clusterGauges, type ClusterParts } from '../src/commands/cluster/gauges.ts';
import { eventGauges, indexGauges, missGauge, storeGauges, streamGauge } from '../src/commands/kv/gauges.ts';
import { engineMetrics } from '../src/commands/pd-proxy/engine-metrics.ts';
import { reloadGauges } from '../src/commands/source.ts';
import { trailGauges } from '../src/commands/trails.ts';
import { gauges, tableTimes } from '../src/commands/views.ts';
import { HistogramSeries } from '../src/observability/histogram.ts';
import { InferenceExtensionMetrics } from '../src/observability/inference-extension-metrics.ts';
import type { GaugeSource } from '../src/observability/metrics.ts';
import type { RequestResult } from '../src/observability/telemetry.ts';
import { Traffic, type MetricFamily } from '../src/observability/traffic.ts';

/** One metric as `/metrics` tells it. */
export interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Without the `le` of histograms. */
  readonly labels: readonly string[];
}

export type Command = 'serve' | 'epp' | 'pd-proxy' | 'cache-indexer';

/** Where resources are read from: a folder or a file, or a cluster. */
export type Origin = 'files' | 'cluster';

/** Metrics that come and go together. */
export interface MetricGroup {
  readonly title: string;
  readonly note: string;
  readonly commands: readonly Command[];
  /** Without it, wherever resources are read from. */
  readonly origin?: Origin;
  /** Whether they stand beside what clients ask, and not at the `--metrics` address. */
  readonly atListen?: boolean;
  readonly metrics: readonly Metric[];
}

const routers: readonly Command[] = ['serve', 'epp', 'pd-proxy'];

/** All groups, in the order of the reference page. */
export function metricGroups(): MetricGroup[] {
  const house = gauges(oneOfEach(), { draining: false }, () => 1).map(asMetric);
  const known = new Set([...kvMetrics(), ...storeMetrics()].map(({ name }) => name));
  return [
    {
      title: 'Requests',
      note: 'By RoutingPolicy, `namespace/name`. A policy without requests for 15 minutes is left out.',
      commands: routers,
      metrics: trafficMetrics(),
    },
    {
      title: 'Endpoints and tables',
      note: 'By BackendGroup, `namespace/name`, where there is a label.',
      commands: routers,
      metrics: [...house.filter(({ name }) => !known.has(name)), ofFamily(tableTimes(oneOfEach()))],
    },
    {
      title: 'KV events, index, tokens',
      note: 'Samples only where a group has `kvCache.type: Events`, in cache-indexer always.',
      commands: [...routers, 'cache-indexer'],
      metrics: kvMetrics(),
    },
    {
      title: 'Shared prefixes',
      note: 'Samples only where a group has a `kvCache.prefixStore`.',
      commands: routers,
      metrics: storeMetrics(),
    },
    {
      title: 'Configuration from files',
      note: 'With `--manifests`, `--config` or `--config-file`. `epp` in a cluster has it, too, where it has a `--config-file`.',
      commands: [...routers, 'cache-indexer'],
      origin: 'files',
      metrics: reloadGauges({ good: 0, faulty: 0 }).map(asMetric),
    },
    {
      title: 'Traces and access log',
      note: 'Samples only where they are on: see [the guide](../guides/tracing.md).',
      commands: routers,
      metrics: trailMetrics(),
    },
    {
      title: 'Operator',
      note: 'Resources come from a cluster.',
      commands: ['serve'],
      origin: 'cluster',
      metrics: clusterGauges(operator()).map(asMetric),
    },
    {
      title: 'Under the names of the reference picker',
      note: 'So that dashboards made for it go on working; buckets are fewer. Models that no table knows are `other`.',
      commands: ['epp'],
      metrics: pickerMetrics(),
    },
    {
      title: 'Engines behind a leader',
      note: "At `--listen`, `/metrics`, beside each engine's own metrics, which get the same labels.",
      commands: ['pd-proxy'],
      atListen: true,
      metrics: engineMetric(),
    },
    {
      title: 'Questions to cache-indexer',
      note: 'At `--listen`, where its questions are asked.',
      commands: ['cache-indexer'],
      atListen: true,
      metrics: questionMetrics(),
    },
  ];
}

function ofFamily(family: MetricFamily): Metric {
  const { name, type, help } = family;
  return { name, type, help, labels: labelsOf(family.samples()) };
}

function asMetric(source: GaugeSource): Metric {
  const { name, help } = source;
  return { name, type: name.endsWith('_total') ? 'counter' : 'gauge', help, labels: labelsOf(source.read()) };
}

function labelsOf(samples: readonly { readonly labels?: Readonly<Record<string, string>> }[]): string[] {
  const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels ?? {})));
  labels.delete('le');
  return [...labels];
}

const result: RequestResult = {
  group: 'ns/g',
  status: 200,
  broken: false,
  duration: 2,
  timeToFirstToken: 1,
  decisionMicroseconds: 1,
  estimatedTokens: 1,
  estimatedCached: 1,
  promptTokens: 1,
  completionTokens: 2,
  cachedTokens: 1,
};

function trafficMetrics(): Metric[] {
  const traffic = new Traffic(() => 1);
  const policy = traffic.policy('ns/p');
  policy.started();
  policy.finished(result);
  policy.stageEnded('prefill', 'ok');
  traffic.refused(404);
  return traffic.families().map(ofFamily);
}

function pickerMetrics(): Metric[] {
  const metrics = new InferenceExtensionMetrics();
  metrics.started('m');
  const request = { model: 'm', target: 'm', fromEngine: true, duration: 1, requestBytes: 1, responseBytes: 1 };
  metrics.finished({ ...request, status: 500, promptTokens: 1, completionTokens: 1 });
  const pool = { name: 'ns/p', cacheUsage: 0, queueSize: 0, readyPods: 1 };
  return metrics.families(() => [pool]).map(ofFamily);
}

function questionMetrics(): Metric[] {
  const telemetry = new QuestionTelemetry();
  telemetry.answered('/match_sort', 1);
  return telemetry.families().map(ofFamily);
}

function kvMetrics(): Metric[] {
  return [
    streamGauge(() => []),
    ...eventGauges(() => standIn({ malformed: { frames: 1 } })),
    ...indexGauges(() => standIn({ counters: {} })),
    missGauge(() => new Map([['timeout', 1]])),
  ].map(asMetric);
}

function storeMetrics(): Metric[] {
  const stores = { sum: () => 1, states: () => [['ns/g', { shared: true }]] };
  return storeGauges(() => standIn(stores)).map(asMetric);
}

function trailMetrics(): Metric[] {
  const queue = { exported: 1, dropped: new Map([['queue_full' as const, 1]]) };
  return trailGauges({ queue }, { dropped: 1 }).map(asMetric);
}

function engineMetric(): Metric[] {
  let text = '';
  const probe = { get: (_request: unknown, done: (end: { ok: false }) => void) => done({ ok: false }) };
  const member = { pod: 'p', address: '127.0.0.1:1', groupId: 'g', role: 'prefill', ready: true } as const;
  const source = { members: [member], connection: { scheme: 'http', forwardAuthorization: false }, path: '/metrics' };
  engineMetrics(standIn(probe), standIn(source), (told) => (text = told));
  return [...expositionOf(text).values()];
}

/** What the gauges of a router read, one of each. */
function oneOfEach(): Assembly {
  return standIn<Assembly>({
    store: { current: { generation: 1, groups: new Map([['ns/g', { key: 'ns/g', endpoints: [] }]]) } },
    states: {},
    fleet: { counters: {}, shutOut: 0 },
    index: {},
    managers: { failures: new Map([['timeout', 1]]) },
    room: null,
    snapshot: { lastGoodInForce: new Set() },
    tableTimes: new HistogramSeries([1]),
  });
}

function operator(): ClusterParts {
  const results = new Map([['written', 1]]);
  return standIn<ClusterParts>({
    client: { requests: new Map([['GET 200', { verb: 'GET', status: '200', count: 1 }]]) },
    election: { leading: true },
    writer: { results, waiting: 0 },
    revisions: { results },
    peers: { results },
    reporter: { failures: 0 },
  });
}

/** Names and labels are asked for, not values: what a source reads of these is enough, and the e2e test sees real ones. */
function standIn<T>(parts: unknown): T {
  return parts as T;
}

/** Families of an exposition, by name. */
export function expositionOf(text: string): ReadonlyMap<string, Metric> {
  const families = new Map<string, { name: string; type: string; help: string; labels: Set<string> }>();
  for (const line of text.split('\n')) {
    const [, what, name, value] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (what === undefined) continue;
    const family = families.get(name) ?? { name, type: '', help: '', labels: new Set() };
    families.set(name, family);
    if (what === 'HELP') family.help = value;
    else family.type = value;
  }
  for (const line of text.split('\n')) {
    const name = /^[a-zA-Z_:][\w:]*/.exec(line)?.[0] ?? '';
    const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
    for (const [, label] of line.matchAll(/([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"/g)) family?.labels.add(label);
    family?.labels.delete('le');
  }
  return new Map([...families].map(([name, family]) => [name, { ...family, labels: [...family.labels] }]));
}
