// The variables of OpenTelemetry's specification that say whether, how and where to traces go.
import { readFileSync } from 'node:fs';
import type { TraceSettings } from '../observability/tracing/settings.ts';
import { UsageError } from './io.ts';

type Env = Readonly<Record<string, string | undefined>>;

const samplers: Readonly<Record<string, TraceSettings['sampler']>> = {
  always_on: { root: 'always_on', parentBased: false },
  always_off: { root: 'always_off', parentBased: false },
  traceidratio: { root: 'traceidratio', parentBased: false },
  parentbased_always_on: { root: 'always_on', parentBased: true },
  parentbased_always_off: { root: 'always_off', parentBased: true },
  parentbased_traceidratio: { root: 'traceidratio', parentBased: true },
};

const common = 'OTEL_EXPORTER_OTLP_';
const own = 'OTEL_EXPORTER_OTLP_TRACES_';
/** Read by the library itself, which would go on without what it cannot read. */
const files = ['CERTIFICATE', 'CLIENT_KEY', 'CLIENT_CERTIFICATE'];

/**
 * How traces are to be made, null where no collector is named or tracing is switched off. `service` is who we are where
 * the variables do not say. Throws UsageError for a value that cannot be meant.
 */
export function traceSettings(env: Env, service: Readonly<Record<string, string>>): TraceSettings | null {
  const url = isOff(env) ? null : endpointOf(env);
  if (url === null) return null;
  checkExporter(env);
  for (const name of files) checkFile(env, name);
  const name = valueOf(env, 'OTEL_SERVICE_NAME');
  return {
    url,
    headers: pairsOf(env, nameOf(env, 'HEADERS')),
    timeout: countOf(env, nameOf(env, 'TIMEOUT'), 10_000),
    sampler: oneOf(env, 'OTEL_TRACES_SAMPLER', samplers) ?? samplers.parentbased_always_on,
    ratio: ratioOf(env),
    resource: {
      ...service,
      ...pairsOf(env, 'OTEL_RESOURCE_ATTRIBUTES'),
      ...(name === null ? {} : { 'service.name': name }),
    },
    queue: {
      capacity: countOf(env, 'OTEL_BSP_MAX_QUEUE_SIZE', 2048),
      batch: countOf(env, 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512),
      delay: countOf(env, 'OTEL_BSP_SCHEDULE_DELAY', 5000),
      timeout: countOf(env, 'OTEL_BSP_EXPORT_TIMEOUT', 30_000),
    },
  };
}

/** An empty variable is as good as none. */
function valueOf(env: Env, name: string): string | null {
  const value = env[name]?.trim() ?? '';
  return value === '' ? null : value;
}

/** The variable for traces where it is set, else the one for all signals. */
function nameOf(env: Env, name: string): string {
  return valueOf(env, own + name) === null ? common + name : own + name;
}

function isOff(env: Env): boolean {
  if (valueOf(env, 'OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return true;
  const exporter = valueOf(env, 'OTEL_TRACES_EXPORTER');
  if (exporter === null || exporter === 'otlp') return false;
  if (exporter === 'none') return true;
  throw new UsageError(`OTEL_TRACES_EXPORTER=${exporter}: write otlp, or none for no traces`);
}

function endpointOf(env: Env): string | null {
  const specific = valueOf(env, `${own}ENDPOINT`);
  if (specific !== null) return urlOf(`${own}ENDPOINT`, specific).href;
  const base = valueOf(env, `${common}ENDPOINT`);
  if (base === null) return null;
  const { href } = urlOf(`${common}ENDPOINT`, base);
  return `${href}${href.endsWith('/') ? '' : '/'}v1/traces`;
}

function urlOf(name: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  // What is no URL may hold a key, so it is not repeated.
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new UsageError(`${name} is no http or https address: write it like http://otel-collector:4318`);
  return url;
}

function checkExporter(env: Env): void {
  const protocol = nameOf(env, 'PROTOCOL');
  const value = valueOf(env, protocol);
  if (value !== null && value !== 'http/json' && value !== 'http/protobuf')
    throw new UsageError(
      `${protocol}=${value}: traces go out by OTLP/HTTP only; write http/json, and the collector's HTTP port (4318)`,
    );
  oneOf(env, nameOf(env, 'COMPRESSION'), { none: true, gzip: true });
}

function checkFile(env: Env, what: string): void {
  const name = nameOf(env, what);
  const path = valueOf(env, name);
  if (path === null) return;
  try {
    readFileSync(path);
  } catch {
    throw new UsageError(`${name}=${path}: the file cannot be read`);
  }
}

function oneOf<T>(env: Env, name: string, choices: Readonly<Record<string, T>>): T | null {
  const value = valueOf(env, name);
  if (value === null) return null;
  if (Object.hasOwn(choices, value)) return choices[value];
  throw new UsageError(`${name}=${value}: write one of ${Object.keys(choices).join(', ')}`);
}

function ratioOf(env: Env): number {
  const text = valueOf(env, 'OTEL_TRACES_SAMPLER_ARG') ?? '1';
  const ratio = /^([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?$/i.test(text) ? Number(text) : NaN;
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new UsageError(`OTEL_TRACES_SAMPLER_ARG=${text}: write the share of traces to record, 0 to 1, such as 0.01`);
}

function countOf(env: Env, name: string, fallback: number): number {
  const text = valueOf(env, name);
  if (text === null) return fallback;
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`${name}=${text}: write a whole number above 0`);
}

/** `key=value,key=value` with values as in URLs. The values may be keys, so none is repeated. */
function pairsOf(env: Env, name: string): Record<string, string> {
  const items = (valueOf(env, name) ?? '').split(',').filter((item) => item.trim() !== '');
  return Object.fromEntries(
    items.map((item, i) => {
      const found = /^\s*([^=\s]+)\s*=(.*)$/.exec(item);
      const value = found === null ? null : decoded(found[2].trim());
      if (found === null || value === null)
        throw new UsageError(`${name}: item ${i + 1} is not KEY=VALUE with a value written as in URLs`);
      return [found[1], value];
    }),
  );
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // A broken percent escape is no value.
    return null;
  }
}
