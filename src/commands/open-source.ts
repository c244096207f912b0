import { hostname } from 'node:os';
import manifest from '../../package.json' with { type: 'json' };
import { errorText, type Log } from '../observability/log.ts';
import type { ReplicaReport } from '../observability/replica-report.ts';
import type { Clock } from '../router/clock.ts';
import { durationFlag, listFlag, refuseBeside } from './flags.ts';
import { UsageError } from './io.ts';
import { OutsideError } from './listen.ts';
import { manifestSource } from './manifests.ts';
import { serveDefaults, type ServeFlags } from './serve-flags.ts';
import type { ResourceSource } from './source.ts';

export interface SourceSurroundings {
  readonly clock: Clock;
  readonly log: Log;
  /** Of the admin API, which the replicas ask each other with. */
  readonly token: () => string | null;
  /** This replica's own report. */
  readonly report: () => ReplicaReport;
}

/** Flags about what is done in a cluster only. */
const inCluster = [
  'namespaces',
  'all-namespaces',
  'allow-external-targets',
  'peer-service',
  'peers',
  'status-interval',
] as const;

/** Name of this replica: in a pod the pod's. */
export function replicaName(flags: ServeFlags): string {
  return flags['replica-name'] === '' ? hostname() : flags['replica-name'];
}

/** Where the flags say that resources come from. What a cluster needs is loaded only for one. */
export async function openSource(flags: ServeFlags, around: SourceSurroundings): Promise<ResourceSource> {
  if (flags.manifests !== '' && flags.config !== '') throw new UsageError('give --manifests or --config, not both');
  if (flags.manifests !== '') {
    refuseBeside('manifests', ['kubeconfig', ...inCluster], flags, serveDefaults);
    return manifestSource(flags.manifests, flags['router-class'], around);
  }
  if (flags.config !== '') {
    refuseBeside('config', ['router-class', ...inCluster], flags, serveDefaults);
    return fromConfig(flags, around);
  }
  return fromCluster(flags, around);
}

async function fromConfig(flags: ServeFlags, around: SourceSurroundings): Promise<ResourceSource> {
  const { configSource } = await import('./config-source.ts');
  return configSource({ ...around, path: flags.config, client: await configClient(flags, around) });
}

/** Without a cluster a configuration is still read and checked; its discovery finds nothing and says so. */
export async function configClient(flags: Pick<ServeFlags, 'kubeconfig'>, around: { clock: Clock; log: Log }) {
  try {
    return await connect(flags, around);
  } catch (error) {
    if (flags.kubeconfig !== '' || !(error instanceof OutsideError)) throw error;
    around.log.warn('no cluster: engines cannot be discovered', { error: errorText(error) });
    return null;
  }
}

async function fromCluster(flags: ServeFlags, around: SourceSurroundings): Promise<ResourceSource> {
  const statusInterval = durationFlag('status-interval', flags['status-interval']);
  const named = listFlag(flags.namespaces);
  if (flags['all-namespaces'] && named.length > 0)
    throw new UsageError('give --namespaces or --all-namespaces, not both');
  if (flags['peer-service'] !== '' && flags.peers !== '')
    throw new UsageError('give --peer-service or --peers, not both');
  const client = await connect(flags, around);
  const { Cluster } = await import('./cluster/cluster.ts');
  const { fixedPeers, servicePeers } = await import('./cluster/peer-source.ts');
  const peers =
    flags['peer-service'] === ''
      ? fixedPeers(listFlag(flags.peers))
      : servicePeers(client, flags['peer-service'], around);
  return new Cluster({
    ...around,
    client,
    scope: flags['all-namespaces'] ? null : named.length > 0 ? named : [client.namespace],
    routerClass: flags['router-class'],
    allowExternalTargets: flags['allow-external-targets'],
    replica: replicaName(flags),
    peers,
    statusInterval,
  });
}

/** Calls to the API server that the flags name. Throws OutsideError. */
export async function connect(flags: Pick<ServeFlags, 'kubeconfig'>, { clock, log }: { clock: Clock; log: Log }) {
  const { findKubeConfig } = await import('../controller/kube/kube-config.ts');
  const { HttpKubeClient } = await import('../controller/kube/http-client.ts');
  const { KubeConfigError } = await import('../controller/kube/section.ts');
  try {
    const kubeconfig = flags.kubeconfig === '' ? undefined : flags.kubeconfig;
    const connection = findKubeConfig({ kubeconfig, env: process.env, clock, log });
    log.info('API server', {
      server: connection.server.origin + connection.server.pathname,
      namespace: connection.namespace,
      source: connection.source,
    });
    return new HttpKubeClient({ connection, clock, version: manifest.version });
  } catch (error) {
    if (error instanceof KubeConfigError) throw new OutsideError(error.message);
    throw error;
  }
}
