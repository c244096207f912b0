// What the values of each chart may be: helm refuses others before anything is installed. The settings of v25.09 and of
// cache-indexer are those that the program itself checks.
import { appConfigSchema } from '../src/api/app-config-schema.ts';
import { valuesSchema as indexerSchema } from '../src/api/indexer-values-schema.ts';

type Schema = Readonly<Record<string, unknown>>;

const text = { type: 'string' };
const flag = { type: 'boolean' };
const count = { type: 'integer', minimum: 0 };
const seconds = { type: 'integer', minimum: 0, maximum: 86400 };
const port = { type: 'integer', minimum: 1, maximum: 65535 };
/** What Kubernetes checks itself. */
const object = { type: 'object' };
const list = { type: 'array' };
const texts = { type: 'array', items: text };
/** The grace period of the pods follows drain.*, and nothing else. */
const flags = { type: 'array', items: { ...text, not: { pattern: '^--drain-' } } };
const labels = { type: 'object', additionalProperties: text };
const dnsLabel = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 };
const dnsName = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$', maxLength: 253 };
const pullPolicy = { enum: ['Always', 'IfNotPresent', 'Never', ''] };

/** `--set` takes 0.5 for a text. */
const fraction = (more: Schema): Schema => ({ type: ['number', 'string'], pattern: '^[0-9]*\\.?[0-9]+$', ...more });

/** What a chart finds itself where it is left empty. */
const orNone = (schema: Schema): Schema => ({ anyOf: [schema, { const: '' }] });

/** An object of these keys and no other. */
const closed = (properties: Schema, more: Schema = {}): Schema => ({
  type: 'object',
  additionalProperties: false,
  properties,
  ...more,
});

const image = closed({ repository: { ...text, minLength: 1 }, tag: text, pullPolicy });
const drain = closed({ delaySeconds: seconds, timeoutSeconds: seconds });

const monitor = closed({ enabled: flag, interval: text, labels });

/** Of every Deployment of the router's own program. */
const workload = {
  nameOverride: text,
  fullnameOverride: text,
  image,
  imagePullSecrets: list,
  replicas: count,
  extraArgs: flags,
  env: list,
  drain,
  resources: object,
  podAnnotations: labels,
  podLabels: labels,
  nodeSelector: labels,
  tolerations: list,
  affinity: object,
  priorityClassName: text,
  podDisruptionBudget: closed({ enabled: flag, maxUnavailable: { type: ['integer', 'string'] } }),
  serviceMonitor: monitor,
};

/** What an umbrella hands down, and the switch by which it takes a chart in. */
const fromUmbrella = { global: object, enabled: flag };

const inferencepool = closed({
  enabled: flag,
  // The picker is called after it, NAME-epp, and so is a label.
  name: orNone({ ...dnsLabel, maxLength: 59 }),
  create: flag,
  modelServers: closed({ matchLabels: labels }),
  targetPorts: { type: 'array', minItems: 1, maxItems: 8, items: closed({ number: port }, { required: ['number'] }) },
  failureMode: { enum: ['FailOpen', 'FailClose'] },
  provider: { enum: ['', 'none', 'istio'] },
  inferenceExtension: closed({
    replicas: count,
    image: closed({ hub: text, name: text, tag: text, pullPolicy }),
    pluginsConfigFile: { type: 'string', pattern: '^[-._a-zA-Z0-9]*$', maxLength: 253 },
    pluginsCustomConfig: labels,
    extProcPort: port,
    env: list,
    flags: {
      type: 'object',
      propertyNames: { not: { pattern: '^drain-' } },
      additionalProperties: { type: ['string', 'number', 'boolean'] },
    },
  }),
});

const router = closed({
  ...workload,
  ...fromUmbrella,
  routerClass: { type: 'string', minLength: 1, maxLength: 63 },
  namespaces: { type: 'array', items: dnsLabel },
  allNamespaces: flag,
  allowExternalTargets: flag,
  app: { anyOf: [{ type: 'object', maxProperties: 0 }, plain(appConfigSchema.properties.app)] },
  adminToken: closed({ secretName: text, key: { type: 'string', minLength: 1 } }),
  service: closed({ type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] }, port, annotations: labels }),
  networkPolicy: closed({ enabled: flag, clients: list, monitoring: list }),
  prometheusRule: closed({
    enabled: flag,
    labels,
    timeToFirstTokenP90Seconds: fraction({ exclusiveMinimum: 0 }),
  }),
  dashboard: closed({ enabled: flag, labels }),
  tracing: closed({
    endpoint: { type: 'string', pattern: '^(https?://[^/].*)?$' },
    samplingRatio: fraction({ minimum: 0, maximum: 1, pattern: '^(0|1|0?\\.[0-9]+)$' }),
  }),
  accessLog: flag,
  inferencepool,
  httpRoute: closed({
    enabled: flag,
    parentRefs: { type: 'array', minItems: 1, items: { type: 'object', required: ['name'] } },
    hostnames: texts,
    requestTimeout: { type: 'string', pattern: '^([0-9]{1,5}(h|m|s|ms)){0,4}$' },
  }),
});

const indexer = closed({
  ...workload,
  ...fromUmbrella,
  app: closed({ serviceDiscovery: withLabelSelector(plain(indexerSchema.properties.app.properties.serviceDiscovery)) }),
  service: plain(indexerSchema.properties.service),
  token: closed({ secretName: text, key: { type: 'string', minLength: 1 } }),
  networkPolicy: closed({ enabled: flag, clients: list }),
});

const simulated = { enabled: flag, args: texts, resources: object };
const engineServer = {
  name: text,
  rootCachePath: { type: 'string', pattern: '^(/.*)?$' },
  image,
  acceleratorResource: text,
  args: texts,
  env: list,
  resources: object,
};
const placed = {
  ...fromUmbrella,
  drainSeconds: seconds,
  imagePullSecrets: list,
  nodeSelector: labels,
  tolerations: list,
};
const gpus = { type: 'integer', minimum: 1 };
const role = closed(
  { replicas: count, tensorParallelSize: gpus, args: texts },
  { required: ['replicas', 'tensorParallelSize'] },
);

const engines = closed({
  ...placed,
  modelServer: closed({ ...engineServer, replicas: count, tensorParallelSize: gpus }),
  simulated: closed({ ...simulated, image }),
});

const disaggregated = closed({
  ...placed,
  modelServer: closed(engineServer),
  groups: {
    type: 'array',
    minItems: 1,
    items: closed({ prefill: role, decode: role }, { required: ['prefill', 'decode'] }),
  },
  leader: closed({ replicas: count, image, args: flags, env: list, drain, resources: object }),
  podMonitor: monitor,
  simulated: closed(simulated),
});

const gateway = closed({
  ...fromUmbrella,
  gateway: closed({ name: orNone(dnsName), className: dnsName, port, annotations: labels }),
});

/** Each of its charts checks its own part. */
const umbrella = closed({
  global: closed({ namespace: orNone(dnsLabel), model: { ...text, minLength: 1 } }),
  'inference-gateway': object,
  'hermes-router': object,
  'cache-indexer': object,
  vllm: object,
  'vllm-pd': object,
});

/** Text of `values.schema.json` by the folder of its chart. */
export function chartSchemas(): ReadonlyMap<string, string> {
  const schemas: Readonly<Record<string, Schema>> = {
    'charts/hermes-router-crds': closed({ global: object }),
    'charts/hermes-router': router,
    'charts/cache-indexer': indexer,
    'charts/infernex': umbrella,
    'examples/1_pd_bucket/charts/gateway': gateway,
    'examples/1_pd_bucket/charts/vllm-pd': disaggregated,
    'examples/2_kv_aware/charts/vllm': engines,
  };
  return new Map(
    Object.entries(schemas).map(([folder, schema]) => {
      const whole = {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        $comment: 'Generated by scripts/generate.ts; do not edit.',
        ...schema,
      };
      return [`${folder}/values.schema.json`, `${JSON.stringify(whole, null, 2)}\n`];
    }),
  );
}

/** A schema of the program as Helm takes it: without our own keywords, and what has a default may be left out. */
function plain(schema: unknown): Schema {
  return bare(schema) as Schema;
}

/** The chart knows the engines of its model. */
function withLabelSelector(serviceDiscovery: Schema): Schema {
  const { properties } = serviceDiscovery as { properties: Record<string, Schema> };
  return { ...serviceDiscovery, properties: { ...properties, labelSelector: orNone(properties.labelSelector) } };
}

function bare(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(bare);
  if (typeof node !== 'object' || node === null) return node;
  const kept = Object.entries(node).filter(([key]) => !key.startsWith('x-') && key !== 'required');
  const plainNode = Object.fromEntries(kept.map(([key, value]) => [key, bare(value)]));
  const required = requiredOf(node);
  return required.length === 0 ? plainNode : { ...plainNode, required };
}

function requiredOf(node: object): string[] {
  const { required, properties } = node as { required?: unknown; properties?: Record<string, object> };
  if (!Array.isArray(required) || properties === undefined) return [];
  return required.filter((name) => !Object.hasOwn(properties[name] ?? {}, 'default'));
}
