import { cacheUsageMetrics, type AppSettings } from './app-config-schema.ts';
import { apiVersion } from './resource.ts';

/** Name and namespace of both resources. */
interface Named {
  readonly name: string;
  readonly namespace: string;
}

type KVManager = NonNullable<AppSettings['kvmanager']>;

/** Milliseconds; v1alpha1's own default, under which scraped numbers count however long the interval. */
const staleAtLeast = 10_000;
const day = 24 * 3_600_000;

/** Strategies that look at no KV cache. */
const blind: ReadonlySet<string | undefined> = new Set(['round-robin', 'random']);

/** Whether a KV manager or the router's own account of what was sent where plays a part. */
export const looksAtCaches = ({ strategy }: AppSettings): boolean => !blind.has(strategy);

/** Whether metrics are listed and none of them tells how full the KV cache is. */
export const withoutUsage = ({ collector }: AppSettings): boolean => {
  const usage: readonly string[] = cacheUsageMetrics;
  return collector?.metrics !== undefined && !collector.metrics.some((name) => usage.includes(name));
};

/** The BackendGroup of a configuration, as a person would write it. */
export function appGroup(app: AppSettings, metadata: Named): unknown {
  const { labelSelector, inferencePort } = app.discovery;
  return {
    apiVersion,
    kind: 'BackendGroup',
    metadata,
    spec: {
      engine: 'vLLM',
      discovery: { type: 'Service', service: { selector: { matchLabels: labelSelector }, port: inferencePort } },
      ...optional('metrics', app.collector && metrics(app.collector)),
      kvCache: kvCache(app),
    },
  };
}

/** The RoutingPolicy of a configuration: every model that the engines serve. */
export function appPolicy(app: AppSettings, metadata: Named): unknown {
  return {
    apiVersion,
    kind: 'RoutingPolicy',
    metadata,
    spec: {
      backendRefs: [{ name: metadata.name }],
      ...optional('strategy', strategy(app)),
      ...optional('timeouts', app.timeout && { nonStreaming: durationText(app.timeout) }),
    },
  };
}

/** Presets by the names of v25.09. */
const presets: Readonly<Record<NonNullable<AppSettings['strategy']>, string>> = {
  'kv-aware': 'KVAware',
  'round-robin': 'RoundRobin',
  random: 'Random',
};

function strategy(app: AppSettings): unknown {
  if (app.strategy === undefined) return undefined;
  const type = presets[app.strategy];
  return app.strategy === 'kv-aware' && withoutUsage(app) ? { type, kvAware: { usageWeight: 0 } } : { type };
}

function metrics({ interval, timeout }: NonNullable<AppSettings['collector']>): unknown {
  // One lost scrape of a long interval must not make every number stale.
  const staleAfter = interval === undefined ? undefined : Math.max(staleAtLeast, Math.min(3000 * interval, day));
  return {
    ...optional('interval', interval && durationText(interval)),
    ...optional('timeout', timeout && durationText(timeout)),
    ...optional('staleAfter', staleAfter && durationText(staleAfter / 1000)),
  };
}

function kvCache(app: AppSettings): unknown {
  const { kvmanager } = app;
  if (!looksAtCaches(app)) return { type: 'None' };
  if (kvmanager === undefined) return { type: 'Approximate' };
  const { matchPath: path, timeout } = kvmanager;
  return {
    type: 'Manager',
    manager: { url: managerUrl(kvmanager), path, ...optional('timeout', timeout && durationText(timeout)) },
  };
}

/** The port that a URL names itself. */
export const portOf = (url: string): string | null => /:([0-9]+)$/.exec(url)?.[1] ?? null;

const managerUrl = ({ url, port = 8080 }: KVManager): string => (portOf(url) === null ? `${url}:${port}` : url);

/** Seconds as v1alpha1 writes durations, to the millisecond: 1.5 is `1s500ms`. */
export function durationText(seconds: number): string {
  const milliseconds = Math.round(seconds * 1000);
  const whole = Math.floor(milliseconds / 1000);
  const rest = milliseconds % 1000;
  return `${whole === 0 ? '' : `${whole}s`}${rest === 0 ? '' : `${rest}ms`}`;
}

/** A field that is left out where it has no value. */
const optional = (name: string, value: unknown): Readonly<Record<string, unknown>> =>
  value === undefined ? {} : { [name]: value };
