import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { TokenFile } from './credentials.ts';
import type { KubeConnection } from './kube-connection.ts';
import { fromKubeconfig } from './kubeconfig-file.ts';
import { KubeConfigError } from './section.ts';

export interface KubeConfigOptions {
  /** Flag `--kubeconfig`. */
  readonly kubeconfig?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Folder of `.kube/config`; the user's own unless given. */
  readonly home?: string;
  /** Where kubelet mounts the pod's own service account. */
  readonly serviceAccount?: string;
}

const mountedServiceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Finds the API server: `--kubeconfig`, else `$KUBECONFIG` (several, separated as in PATH), else the pod's own service
 * account, else `~/.kube/config`. Throws KubeConfigError, which says which file is at fault and what to do.
 */
export function findKubeConfig(options: KubeConfigOptions): KubeConnection {
  const { kubeconfig, env, clock, log } = options;
  const named = kubeconfig !== undefined ? [kubeconfig] : (env.KUBECONFIG ?? '').split(delimiter).filter(Boolean);
  if (named.length > 0) return fromKubeconfig(named, clock, log);
  if (env.KUBERNETES_SERVICE_HOST !== undefined) return inCluster(options, env.KUBERNETES_SERVICE_HOST);
  const own = join(options.home ?? homedir(), '.kube', 'config');
  if (existsSync(own)) return fromKubeconfig([own], clock, log);
  throw new KubeConfigError(
    own,
    'is not there, and this is no pod; give --kubeconfig, or --manifests to go without a cluster',
  );
}

function inCluster(options: KubeConfigOptions, host: string): KubeConnection {
  const { env, clock, log } = options;
  const folder = options.serviceAccount ?? mountedServiceAccount;
  const port = env.KUBERNETES_SERVICE_PORT ?? '443';
  const text = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (!URL.canParse(text)) throw new KubeConfigError('KUBERNETES_SERVICE_HOST', `${text} is no address`);
  return {
    server: new URL(text),
    namespace: mounted(folder, 'namespace').trim(),
    source: folder,
    tls: { ca: mounted(folder, 'ca.crt') },
    credentials: new TokenFile(join(folder, 'token'), clock, log),
  };
}

function mounted(folder: string, name: string): string {
  const path = join(folder, name);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const cure = 'set automountServiceAccountToken: true on the pod, or give --kubeconfig';
    throw new KubeConfigError(path, `cannot be read: ${errorText(error)}; ${cure}`);
  }
}
