import { listFlag, sourceDefaults, type FlagValues } from '../flags.ts';
import { UsageError } from '../io.ts';

export const defaults = {
  manifests: sourceDefaults.manifests,
  kubeconfig: sourceDefaults.kubeconfig,
  'allow-external-targets': sourceDefaults['allow-external-targets'],
  'router-class': sourceDefaults['router-class'],
  'backend-group': '',
  'pd-group': '',
  selector: '',
  'target-port': '8000',
  listen: '',
  admin: '127.0.0.1:8081',
  'admin-token-file': '',
  metrics: '',
  'max-body': '16Mi',
  'max-buffered': '1Gi',
  'max-connections': '0',
  'max-scrapes-per-second': '300',
  'drain-delay': '5s',
  'drain-timeout': '300s',
  'access-log': false,
  help: false,
} as const;

export type LeaderFlags = FlagValues<typeof defaults>;

/** Where the leader listens unless told otherwise: on loopback, in a pod on every address. */
export const usualPorts = { listen: 8000, metrics: 9090 } as const;

export const usage = `usage: hermes-router pd-proxy [--backend-group NAME | --pd-group ID] [flags]

The leader of a prefill/decode group: it takes a request, lets a prefiller compute the prompt and a decoder the answer.
Which ones, the headers x-openfuyao-prefill-pod-address-port and x-openfuyao-decode-pod-address-port say when both are
there; else it balances by itself. Serves /v1/completions, /v1/chat/completions, /health, /listEndPoints, /metrics.

  --backend-group NAME        BackendGroup with topology PrefillDecode; with --manifests the only one by default
  --pd-group ID               the group's id: Pods with this label, or of the BackendGroup this group only
  --selector KEY=VALUE,...    in a cluster, without a BackendGroup: further labels of the Pods
  --target-port N             their port (${defaults['target-port']})
  --manifests DIR             folder of .yaml, .yml and .json files; no cluster needed
  --kubeconfig FILE           cluster to ask (in a pod: its own; else $KUBECONFIG or ~/.kube/config)
  --allow-external-targets    Static discovery and loopback addresses in a cluster
  --router-class NAME         only BackendGroups with this routerClassName (${defaults['router-class']})
  --listen HOST:PORT          OpenAI API (127.0.0.1:${usualPorts.listen}; in a pod every address)
  --metrics HOST:PORT         its own /metrics, /healthz, /readyz (127.0.0.1:${usualPorts.metrics}; likewise)
  --admin HOST:PORT           admin API (${defaults.admin}); --admin-token-file FILE for other than loopback addresses
  --max-body, --max-buffered SIZE  bytes of one request (${defaults['max-body']}), of all held at a time (${defaults['max-buffered']})
  --max-connections N         client connections, 0 for any number (${defaults['max-connections']})
  --max-scrapes-per-second N  scrapes of engines' metrics (${defaults['max-scrapes-per-second']})
  --drain-delay DURATION      on SIGTERM: still accepting, not ready (${defaults['drain-delay']})
  --drain-timeout DURATION    then: for requests under way to end (${defaults['drain-timeout']})
  --access-log                a line of JSON for each finished request; traces: OTEL_EXPORTER_OTLP_ENDPOINT=URL

Every flag has an environment twin: --pd-group is HERMES_PD_GROUP.
Exit codes: 0 fine, 1 a file is at fault, 2 wrong usage, 3 the outside world is at fault.`;

const labelText = /^([^=]{1,317})=([^=]{0,63})$/;

/** Labels of `KEY=VALUE,KEY=VALUE`. Throws UsageError. */
export function selectorFlag(text: string): Record<string, string> {
  return Object.fromEntries(
    listFlag(text).map((item) => {
      const found = labelText.exec(item);
      if (found === null) throw new UsageError(`--selector ${item}: write KEY=VALUE, such as app=vllm`);
      return [found[1], found[2]];
    }),
  );
}
