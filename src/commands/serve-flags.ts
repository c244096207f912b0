import { sourceDefaults, type FlagValues } from './flags.ts';

export const serveDefaults = {
  ...sourceDefaults,
  listen: '127.0.0.1:8000',
  admin: '127.0.0.1:8081',
  metrics: '127.0.0.1:9090',
  'admin-token-file': '',
  'peer-service': '',
  peers: '',
  'replica-name': '',
  'status-interval': '30s',
  tokenizers: '',
  'prefix-key-file': '',
  'tls-cert': '',
  'tls-key': '',
  'max-body': '16Mi',
  'max-buffered': '1Gi',
  'max-connections': '0',
  'max-scrapes-per-second': '300',
  'drain-delay': '5s',
  'drain-timeout': '300s',
  'access-log': false,
  'upstream-client': 'socket',
  help: false,
} as const;

export type ServeFlags = FlagValues<typeof serveDefaults>;

export const serveUsage = `usage: hermes-router serve [--manifests DIR | --config FILE] [flags]

Routes OpenAI requests to inference engines as RoutingPolicies and BackendGroups say: those of a cluster,
or those in DIR, or what a v25.09 configuration FILE means. A change is in force within two seconds; what is
wrong in it is logged and told in the status, and the last good version stays.

  --manifests DIR             folder of .yaml, .yml and .json files; no cluster needed
  --config FILE               app.* configuration of v25.09, followed as it changes
  --kubeconfig FILE           cluster to ask (in a pod: its own; else $KUBECONFIG or ~/.kube/config)
  --namespaces A,B            namespaces to watch (the own one); --all-namespaces for every one
  --allow-external-targets    Static discovery, manager URLs and loopback addresses in a cluster
  --router-class NAME         only objects with this routerClassName (${serveDefaults['router-class']})
  --listen HOST:PORT          OpenAI API (${serveDefaults.listen})
  --admin HOST:PORT           admin API (${serveDefaults.admin})
  --admin-token-file FILE     bearer token of the admin API; needed for other than loopback addresses
  --metrics HOST:PORT         /metrics, /healthz, /readyz (${serveDefaults.metrics})
  --peer-service NAME         headless Service of the replicas' admin ports; or --peers HOST:PORT,...
  --replica-name NAME         of this replica (the host's name, in a pod the pod's)
  --status-interval DURATION  between writes of one object's figures (${serveDefaults['status-interval']})
  --tokenizers DIR            folders of tokenizers that groups may name (kvCache.tokenizer.local)
  --prefix-key-file FILE      32 random bytes or more, the same in all replicas: what shared prefixes are sealed with
  --tls-cert, --tls-key FILE  TLS in front; renewed files are taken up
  --max-body SIZE             bytes of one request body (${serveDefaults['max-body']})
  --max-buffered SIZE         bytes of all bodies held at a time (${serveDefaults['max-buffered']})
  --max-connections N         client connections, 0 for any number (${serveDefaults['max-connections']})
  --max-scrapes-per-second N  scrapes of engines' metrics; health probes: thrice as many (${serveDefaults['max-scrapes-per-second']})
  --drain-delay DURATION      on SIGTERM: still accepting, not ready (${serveDefaults['drain-delay']})
  --drain-timeout DURATION    then: for requests under way to end (${serveDefaults['drain-timeout']})
  --access-log                a line of JSON for each finished request; traces: OTEL_EXPORTER_OTLP_ENDPOINT=URL
  --upstream-client NAME      socket, or undici as the fallback (${serveDefaults['upstream-client']})

Every flag has an environment twin: --max-body is HERMES_MAX_BODY.`;
