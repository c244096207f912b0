import { UsageError } from '../io.ts';

/** A flag of the reference endpoint picker that is none of ours. */
interface ReferenceFlag {
  /** Whether it stands for itself, without a value. */
  readonly isSwitch?: true;
  /** Values under which it asks for nothing that we do not do; absent: any. */
  readonly fine?: RegExp;
  /** What to do instead where its value is another one. */
  readonly instead?: string;
}

const off = { isSwitch: true, fine: /^false$/ } as const;
const ignoredSwitch = { isSwitch: true } as const;
const describedByGroup = 'write it into a BackendGroup that discovers the pool';
const metricNames = `metric names follow from the engine: ${describedByGroup} (spec.engine)`;

/**
 * The flags of the reference endpoint picker (kubernetes-sigs/gateway-api-inference-extension and llm-d,
 * `pkg/epp/server/options.go`) that we do not have. Those without an effect here are passed over; one that asks for
 * something we do otherwise is refused with what to do.
 */
const flags: Readonly<Record<string, ReferenceFlag>> = {
  v: {},
  'zap-devel': ignoredSwitch,
  'zap-encoder': {},
  'zap-log-level': {},
  'zap-stacktrace-level': {},
  'zap-time-encoding': {},
  tracing: ignoredSwitch,
  'enable-pprof': ignoredSwitch,
  'enable-plugin-state-debug': ignoredSwitch,
  'health-checking': ignoredSwitch,
  'enable-cert-reload': ignoredSwitch,
  'refresh-prometheus-metrics-interval': {},
  'metrics-endpoint-auth': {
    ...off,
    instead:
      'metrics ask for no token and hold no secrets: guard their port by a NetworkPolicy, and leave the flag out',
  },
  'pool-group': {
    fine: /^inference\.networking\.k8s\.io$/,
    instead: 'pools are InferencePools of inference.networking.k8s.io/v1: move yours there, and leave the flag out',
  },
  'ha-enable-leader-election': {
    ...off,
    instead: 'every replica picks, none waits: leave the flag out, and run one replica where only one may pick',
  },
  'disable-endpoint-subset-filter': {
    ...off,
    instead: 'the gateway’s subset hints are always kept to: leave the flag out',
  },
  'endpoint-selector': {
    instead: 'make an InferencePool with this selector and name it by --pool-name; no gateway needs to know of it',
  },
  'endpoint-target-ports': { instead: 'make an InferencePool with these target ports and name it by --pool-name' },
  'model-server-metrics-scheme': { fine: /^http$/, instead: `${describedByGroup} (spec.connection.scheme)` },
  'model-server-metrics-path': { fine: /^\/metrics$/, instead: `${describedByGroup} (spec.metrics.path)` },
  'model-server-metrics-port': { fine: /^0$/, instead: 'metrics are read where requests go: leave the flag out' },
  'model-server-metrics-https-insecure-skip-verify': {
    isSwitch: true,
    instead: `certificates are verified: ${describedByGroup} (spec.connection.caSecretRef)`,
  },
  'refresh-metrics-interval': { instead: `${describedByGroup} (spec.metrics.interval)` },
  'metrics-staleness-threshold': { instead: `${describedByGroup} (spec.metrics.staleAfter)` },
  'total-queued-requests-metric': { fine: /^vllm:num_requests_waiting$/, instead: metricNames },
  'total-running-requests-metric': { fine: /^vllm:num_requests_running$/, instead: metricNames },
  'kv-cache-usage-percentage-metric': { fine: /^vllm:(kv|gpu)_cache_usage_perc$/, instead: metricNames },
  'lora-info-metric': { fine: /^vllm:lora_requests_info$/, instead: metricNames },
  'cache-info-metric': { fine: /^vllm:cache_config_info$/, instead: metricNames },
  'enable-multi-engine': { ...off, instead: `one engine a pool: ${describedByGroup} (spec.engine)` },
  'engine-label-key': { instead: `one engine a pool: ${describedByGroup} (spec.engine)` },
};

/** Names of our own flags that take a value, which may be left out where it is `true`, as Go's flags do. */
export const ownSwitches = ['secure-serving'] as const;

/** Another spelling of one of our flags, and how its value becomes ours. */
const aliases: Readonly<Record<string, readonly [name: string, value: (text: string) => string]>> = {
  'grpc-port': ['listen', (port) => `:${port}`],
  'grpc-health-port': ['health', (port) => `:${port}`],
  'metrics-port': ['metrics', (port) => `:${port}`],
};

/** A command line without what is the reference picker's. */
export interface OwnArguments {
  readonly argv: readonly string[];
  /** Flags that were passed over. */
  readonly passedOver: readonly string[];
}

/**
 * Turns a command line that was written for the reference endpoint picker into one of ours. Throws UsageError for a
 * flag that asks for what is done otherwise here.
 */
export function ownArguments(argv: readonly string[]): OwnArguments {
  const own: string[] = [];
  const passedOver: string[] = [];
  const rest = [...argv];
  for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
    const found = /^--?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(token);
    if (found === null) {
      own.push(token);
      continue;
    }
    const [, name, given] = found;
    if (isOwnSwitch(name)) own.push(`--${name}=${given ?? switchValue(rest)}`);
    else if (Object.hasOwn(aliases, name)) own.push(...renamed(name, given ?? rest.shift()));
    else if (!Object.hasOwn(flags, name)) own.push(token);
    else passedOver.push(passOver(name, given, rest));
  }
  return { argv: own, passedOver };
}

const isOwnSwitch = (name: string): boolean => ownSwitches.some((known) => known === name);

/** Go knows only `--flag=false`; `--flag false` means the same here, since nothing else can be meant. */
function switchValue(rest: string[]): string {
  const [next] = rest;
  if (next !== 'true' && next !== 'false') return 'true';
  rest.shift();
  return next;
}

function renamed(name: string, value: string | undefined): string[] {
  const [own, valueOf] = aliases[name];
  if (value === undefined || !/^[0-9]{1,5}$/.test(value))
    throw new UsageError(`--${name} ${value ?? ''}: write a port`);
  return [`--${own}`, valueOf(value)];
}

function passOver(name: string, given: string | undefined, rest: string[]): string {
  const { isSwitch, fine, instead } = flags[name];
  const value = given ?? (isSwitch === true ? switchValue(rest) : rest.shift());
  if (value === undefined) throw new UsageError(`--${name} needs a value`);
  if (instead !== undefined && fine?.test(value) !== true) throw new UsageError(`--${name} ${value}: ${instead}`);
  return `--${name}`;
}
