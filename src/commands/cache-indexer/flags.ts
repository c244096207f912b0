import { sourceDefaults, type FlagValues } from '../flags.ts';

export const defaults = {
  ...sourceDefaults,
  listen: '',
  'token-file': '',
  'max-connections': '0',
  'drain-delay': '5s',
  'drain-timeout': '30s',
  help: false,
} as const;

export type IndexerFlags = FlagValues<typeof defaults>;

/** Where the server listens unless told otherwise. */
export const usualHost = '127.0.0.1';
export const usualPort = 8080;

export const usage = `usage: hermes-router cache-indexer [--manifests DIR | --config FILE] [flags]

Follows the KV events of inference engines and tells which of them has how much of a prompt in its cache:
POST /match_sort, POST /kv-cache/hit-rate. The engines are those of the cluster's BackendGroups with kvCache
Events or Manager, or of those in DIR, or the Pods that a cache-indexer configuration FILE selects.

  --manifests DIR             folder of .yaml, .yml and .json files; no cluster needed
  --config FILE               app.serviceDiscovery.* and service.*, followed as it changes
  --kubeconfig FILE           cluster to ask (in a pod: its own; else $KUBECONFIG or ~/.kube/config)
  --namespaces A,B            namespaces to watch (the own one); --all-namespaces for every one
  --allow-external-targets    Static discovery and loopback addresses in a cluster
  --router-class NAME         only groups with this routerClassName (${defaults['router-class']})
  --listen HOST:PORT          the server (${usualHost}:${usualPort}; with --config :service.port)
                              also /healthz, /readyz and /metrics
  --token-file FILE           questions need this bearer token; a renewed file is taken up
  --max-connections N         client connections, 0 for any number (${defaults['max-connections']})
  --drain-delay DURATION      on SIGTERM: still accepting, not ready (${defaults['drain-delay']})
  --drain-timeout DURATION    then: for requests under way to end (${defaults['drain-timeout']})

Every flag has an environment twin: --token-file is HERMES_TOKEN_FILE.
Exit codes: 0 fine, 1 a file is at fault, 2 wrong usage, 3 the outside world is at fault.`;
