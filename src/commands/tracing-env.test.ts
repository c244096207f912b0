import { describe, expect, it } from 'vitest';
import { UsageError } from './io.ts';
import { traceSettings } from './tracing-env.ts';

const service = { 'service.name': 'own', 'service.instance.id': 'pod' };
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
const read = (env: Record<string, string>) => traceSettings({ ...endpoint, ...env }, service);

describe('nothing is traced', () => {
  it.each<[string, Record<string, string>]>([
    ['where nothing is said', {}],
    ['where the address is empty', { OTEL_EXPORTER_OTLP_ENDPOINT: '  ' }],
    ['where it is switched off', { ...endpoint, OTEL_SDK_DISABLED: 'TRUE' }],
    ['where no exporter is wanted', { ...endpoint, OTEL_TRACES_EXPORTER: 'none' }],
    ['where only something about traces is said', { OTEL_TRACES_SAMPLER: 'always_on', OTEL_SERVICE_NAME: 'x' }],
  ])('%s', (_sentence, env) => {
    expect(traceSettings(env, service)).toBe(null);
  });
});

describe('the address of a collector', () => {
  it.each<[string, Record<string, string>, string]>([
    ['gets the path of traces', {}, 'http://collector:4318/v1/traces'],
    ['may end in a slash', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c/' }, 'http://c/v1/traces'],
    ['may have a path', { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/otlp' }, 'https://c/otlp/v1/traces'],
    ['of traces alone is taken as it is', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c/x' }, 'http://c/x'],
  ])('%s', (_sentence, env, url) => {
    expect(read(env)?.url).toBe(url);
  });
});

it('has defaults as the specification has them', () => {
  expect(read({})).toEqual({
    url: 'http://collector:4318/v1/traces',
    headers: {},
    timeout: 10_000,
    sampler: { root: 'always_on', parentBased: true },
    ratio: 1,
    resource: service,
    queue: { capacity: 2048, batch: 512, delay: 5000, timeout: 30_000 },
  });
});

it('what is said of traces goes before what is said of all', () => {
  const env = {
    OTEL_EXPORTER_OTLP_HEADERS: 'a=1',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'b=%20two, c=3=3',
    OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '2000',
  };
  expect(read(env)).toMatchObject({ headers: { b: ' two', c: '3=3' }, timeout: 2000 });
});

it('the name of the service goes before its attribute, and that before ours', () => {
  const attributes = { OTEL_RESOURCE_ATTRIBUTES: 'service.name=second,k8s.pod.name=p' };
  expect(read(attributes)?.resource).toEqual({ ...service, 'service.name': 'second', 'k8s.pod.name': 'p' });
  expect(read({ ...attributes, OTEL_SERVICE_NAME: 'first' })?.resource['service.name']).toBe('first');
});

it.each([
  ['always_on', 'always_on', false],
  ['always_off', 'always_off', false],
  ['traceidratio', 'traceidratio', false],
  ['parentbased_always_on', 'always_on', true],
  ['parentbased_always_off', 'always_off', true],
  ['parentbased_traceidratio', 'traceidratio', true],
] as const)('the sampler %s is known', (name, root, parentBased) => {
  expect(read({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: '.25' })).toMatchObject({
    sampler: { root, parentBased },
    ratio: 0.25,
  });
});

it.each([
  ['0', 0],
  ['1', 1],
  ['0.010', 0.01],
  // As Helm writes small numbers.
  ['1e-05', 0.00001],
])('the share %s is read', (text, ratio) => {
  expect(read({ OTEL_TRACES_SAMPLER_ARG: text })?.ratio).toBe(ratio);
});

describe('what cannot be meant is refused, with what to write', () => {
  it.each<[string, string]>([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', '/v1/traces'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'thrift'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '0'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz-secret'],
    ['OTEL_EXPORTER_OTLP_CERTIFICATE', '/none/of/these'],
    ['OTEL_RESOURCE_ATTRIBUTES', '=secret'],
    ['OTEL_TRACES_EXPORTER', 'zipkin'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
    ['OTEL_TRACES_SAMPLER', 'toString'],
    ['OTEL_TRACES_SAMPLER_ARG', '10%'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.1'],
    ['OTEL_TRACES_SAMPLER_ARG', '-0.1'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', 'many'],
  ])('%s=%s', (name, value) => {
    const failed = (): unknown => read({ [name]: value });
    expect(failed).toThrow(UsageError);
    expect(failed).toThrow(new RegExp(`^${name}\\b`));
    // Headers hold keys.
    expect(failed).not.toThrow(/secret/);
  });
});
