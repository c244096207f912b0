import type { PoolName } from '../../controller/pools/pool-ref.ts';
import { listenFlag, listFlag, sourceDefaults, type FlagValues, type ListenAddress } from '../flags.ts';
import { UsageError } from '../io.ts';

export const defaults = {
  manifests: sourceDefaults.manifests,
  kubeconfig: sourceDefaults.kubeconfig,
  'allow-external-targets': sourceDefaults['allow-external-targets'],
  'router-class': sourceDefaults['router-class'],
  'pool-name': '',
  'pool-namespace': '',
  pools: '',
  'config-file': '',
  'config-text': '',
  listen: '',
  health: '',
  metrics: '',
  admin: '127.0.0.1:8081',
  'admin-token-file': '',
  'secure-serving': 'true',
  'cert-path': '',
  tokenizers: '',
  'prefix-key-file': '',
  'max-body': '16Mi',
  'max-buffered': '1Gi',
  'max-scrapes-per-second': '300',
  deadline: '10s',
  fallbacks: '2',
  'trust-headers': false,
  conformance: false,
  'drain-delay': '5s',
  'drain-timeout': '300s',
  'access-log': false,
  help: false,
} as const;

export type PickerFlags = FlagValues<typeof defaults>;

const usualPorts = { listen: 9002, health: 9003, metrics: 9090 } as const;

export const usage = `usage: hermes-router epp --pool-name NAME [--config-file FILE] [flags]

The endpoint picker of an InferencePool: a gateway asks it over ext_proc where each request goes. It picks as an
EndpointPickerConfig FILE says, else as the RoutingPolicies that name the pool, else by the strategy Auto. Nothing is
written: the status of RoutingPolicies and BackendGroups is left to \`serve\`.

  --pool-name NAME            InferencePool; with --manifests the BackendGroup of that name
  --pool-namespace NAME       its namespace (the own one)
  --pools [NS/]NAME=HOST:PORT,...  several pools, each at an address of its own, in place of --pool-name and --listen
  --config-file FILE          EndpointPickerConfig, followed as it changes; --config-text TEXT for the text itself
  --manifests DIR             folder of .yaml, .yml and .json files; no cluster needed
  --kubeconfig FILE           cluster to ask (in a pod: its own; else $KUBECONFIG or ~/.kube/config)
  --allow-external-targets    Static discovery, manager URLs and loopback addresses in a cluster
  --router-class NAME         only objects with this routerClassName (${defaults['router-class']})
  --listen HOST:PORT          ext_proc (127.0.0.1:${usualPorts.listen}; in a pod every address)
  --health HOST:PORT          gRPC health (127.0.0.1:${usualPorts.health}; likewise)
  --metrics HOST:PORT         /metrics, /healthz, /readyz (127.0.0.1:${usualPorts.metrics}; likewise)
  --admin HOST:PORT           admin API (${defaults.admin}); --admin-token-file FILE for other than loopback addresses
  --secure-serving BOOL       TLS for ext_proc (${defaults['secure-serving']}); --cert-path DIR of tls.crt and tls.key, else self-signed
  --tokenizers DIR            folders of tokenizers that groups may name (kvCache.tokenizer.local)
  --prefix-key-file FILE      what shared prefixes are sealed with, the same in all replicas
  --max-body, --max-buffered SIZE  bytes of one request (${defaults['max-body']}), of all held at a time (${defaults['max-buffered']})
  --max-scrapes-per-second N  scrapes of engines' metrics (${defaults['max-scrapes-per-second']})
  --deadline DURATION         from the start of a call to its pick, else it fails (${defaults.deadline})
  --fallbacks N               further endpoints named after the pick (${defaults.fallbacks})
  --trust-headers             clients may have the model changed by a header
  --conformance               switches of the conformance tests; never in production
  --drain-delay, --drain-timeout DURATION  on SIGTERM: still accepting (${defaults['drain-delay']}), then ending (${defaults['drain-timeout']})
  --access-log                a line of JSON for each finished request; traces: OTEL_EXPORTER_OTLP_ENDPOINT=URL

The reference picker's flags are taken, too (--grpc-port, --grpc-health-port, --metrics-port, ...), or refused with
what to do. Every flag has an environment twin: --pool-name is HERMES_POOL_NAME.
Exit codes: 0 fine, 1 a file is at fault, 2 wrong usage, 3 the outside world is at fault.`;

/** A pool and where its picker listens. */
export interface PoolAddress {
  readonly pool: PoolName;
  readonly address: ListenAddress;
}

const poolNames = /^(?:([a-z0-9]([-a-z0-9]*[a-z0-9])?)\/)?([a-z0-9]([-a-z0-9.]*[a-z0-9])?)$/;

/** The pools that the flags name; `ownNamespace` is for those without one. Throws UsageError. */
export function poolsOf(flags: PickerFlags, ownNamespace: string, inPod: boolean): PoolAddress[] {
  const namespace = flags['pool-namespace'] === '' ? ownNamespace : flags['pool-namespace'];
  if (flags.pools === '') {
    if (flags['pool-name'] === '') throw new UsageError('name the pool by --pool-name, or several by --pools');
    return [{ pool: poolName('pool-name', flags['pool-name'], namespace), address: addressOf(flags, 'listen', inPod) }];
  }
  const beside = (['pool-name', 'listen'] as const).filter((name) => flags[name] !== '').map((name) => `--${name}`);
  if (beside.length > 0) throw new UsageError(`${beside.join(', ')}: without effect beside --pools; leave it out`);
  const pools = listFlag(flags.pools).map((item) => {
    const [name, address = ''] = item.split('=', 2);
    return { pool: poolName('pools', name, namespace), address: listenFlag('pools', address) };
  });
  refuseTwins(pools);
  return pools;
}

function poolName(flag: string, text: string, namespace: string): PoolName {
  const found = poolNames.exec(text);
  if (found === null) throw new UsageError(`--${flag} ${text}: write the name of a pool, such as qwen or serving/qwen`);
  return { namespace: found[1] ?? namespace, name: found[3] };
}

function refuseTwins(pools: readonly PoolAddress[]): void {
  const seen = new Set<string>();
  for (const { pool, address } of pools) {
    const places = [`pool ${pool.namespace}/${pool.name}`];
    if (address.port !== 0) places.push(`address ${address.host}:${address.port}`);
    for (const place of places) {
      if (seen.has(place)) throw new UsageError(`--pools names the ${place} twice; write it once`);
      seen.add(place);
    }
  }
}

/** The address of a flag; by default the usual port, on loopback, in a pod on every address. Throws UsageError. */
export function addressOf(flags: PickerFlags, name: keyof typeof usualPorts, inPod: boolean): ListenAddress {
  if (flags[name] !== '') return listenFlag(name, flags[name]);
  return { host: inPod ? '0.0.0.0' : '127.0.0.1', port: usualPorts[name] };
}

export function booleanFlag(name: string, text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new UsageError(`--${name} ${text}: write true or false`);
  return text === 'true';
}
