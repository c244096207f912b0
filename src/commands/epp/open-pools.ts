import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { refuseBeside } from '../flags.ts';
import { connect } from '../open-source.ts';
import { filePools } from './file-pools.ts';
import { defaults, poolsOf, type PickerFlags, type PoolAddress } from './flags.ts';
import type { ConfigInForce } from './picker-config.ts';
import type { PickerSource } from './picker-source.ts';

export interface OpenPools {
  readonly source: PickerSource;
  readonly addresses: readonly PoolAddress[];
}

interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly inPod: boolean;
}

/** Where the flags say that pools are. What a cluster needs is loaded only for one. */
export async function openPools(flags: PickerFlags, { clock, log, inPod }: Surroundings): Promise<OpenPools> {
  const config = await configFor(flags, { clock, log });
  const routerClass = flags['router-class'];
  if (flags.manifests !== '') {
    refuseBeside('manifests', ['kubeconfig', 'allow-external-targets'], flags, defaults);
    const addresses = poolsOf(flags, 'default', inPod);
    const pools = addresses.map(({ pool }) => pool);
    return { source: filePools({ folder: flags.manifests, routerClass, pools, config, clock, log }), addresses };
  }
  // Before anybody is called: a wrong flag is told at once.
  poolsOf(flags, 'default', inPod);
  const client = await connect(flags, { clock, log });
  const addresses = poolsOf(flags, namespaceOf(process.env) ?? client.namespace, inPod);
  const { ClusterPools } = await import('./cluster-pools.ts');
  const pools = addresses.map(({ pool }) => pool);
  const allowExternalTargets = flags['allow-external-targets'];
  const source = new ClusterPools({ client, routerClass, allowExternalTargets, pools, config, clock, log });
  return { source, addresses };
}

async function configFor(flags: PickerFlags, around: Omit<Surroundings, 'inPod'>): Promise<ConfigInForce | null> {
  if (flags['config-file'] === '' && flags['config-text'] === '') return null;
  return (await import('./picker-config.ts')).configOf(flags, around);
}

/** As the reference picker takes it. */
const namespaceOf = ({ NAMESPACE }: NodeJS.ProcessEnv): string | undefined =>
  NAMESPACE === '' ? undefined : NAMESPACE;
