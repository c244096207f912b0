import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { listFlag, refuseBeside } from '../flags.ts';
import { UsageError } from '../io.ts';
import { manifestSource } from '../manifests.ts';
import { configClient, connect } from '../open-source.ts';
import type { PlainSource } from '../source.ts';
import { defaults, type IndexerFlags } from './flags.ts';

export interface OpenGroups {
  readonly source: PlainSource;
  /** Port that the configuration names, once the source has started; null where it names none. */
  readonly port: () => number | null;
}

/** Flags about what is done in a cluster only. */
const inCluster = ['namespaces', 'all-namespaces', 'allow-external-targets'] as const;

interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
}

/** Where the flags say that engines are named. What a cluster needs is loaded only for one. */
export async function openGroups(flags: IndexerFlags, around: Surroundings): Promise<OpenGroups> {
  if (flags.manifests !== '' && flags.config !== '') throw new UsageError('give --manifests or --config, not both');
  if (flags.manifests !== '') {
    refuseBeside('manifests', ['kubeconfig', ...inCluster], flags, defaults);
    return anyPort(manifestSource(flags.manifests, flags['router-class'], around));
  }
  if (flags.config !== '') {
    refuseBeside('config', ['router-class', ...inCluster], flags, defaults);
    return fromConfig(flags, around);
  }
  return anyPort(await fromCluster(flags, around));
}

const anyPort = (source: PlainSource): OpenGroups => ({ source, port: () => null });

async function fromConfig(flags: IndexerFlags, around: Surroundings): Promise<OpenGroups> {
  const { configSource } = await import('../config-source.ts');
  const { readValues } = await import('../../api/indexer-values.ts');
  let port: number | null = null;
  const source = configSource({
    ...around,
    path: flags.config,
    client: await configClient(flags, around),
    read(text, path, namespace) {
      const values = readValues(text, path, namespace);
      if (values.config !== null) port = values.port;
      return values;
    },
  });
  return { source, port: () => port };
}

async function fromCluster(flags: IndexerFlags, around: Surroundings): Promise<PlainSource> {
  const named = listFlag(flags.namespaces);
  if (flags['all-namespaces'] && named.length > 0)
    throw new UsageError('give --namespaces or --all-namespaces, not both');
  const client = await connect(flags, around);
  const { clusterGroups } = await import('./cluster-groups.ts');
  return clusterGroups({
    ...around,
    client,
    scope: flags['all-namespaces'] ? null : named.length > 0 ? named : [client.namespace],
    routerClass: flags['router-class'],
    allowExternalTargets: flags['allow-external-targets'],
  });
}
