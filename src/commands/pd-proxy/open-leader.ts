import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { countFlag, refuseBeside } from '../flags.ts';
import { UsageError } from '../io.ts';
import { connect } from '../open-source.ts';
import { defaults, selectorFlag, type LeaderFlags } from './flags.ts';
import { podsGroup, type Led } from './leader-plan.ts';
import { clusterLeader, fileLeader, type LeaderSource } from './leader-source.ts';

interface Around {
  readonly clock: Clock;
  readonly log: Log;
}

/** Label of a group's Pods where no BackendGroup names another. */
const groupLabel = 'openfuyao.com/pdGroupID';

/** Where the flags say that the engines are named. */
export async function openLeader(flags: LeaderFlags, around: Around): Promise<LeaderSource> {
  const led: Led = { backendGroup: flags['backend-group'], pdGroup: flags['pd-group'] };
  if (flags.manifests !== '') {
    refuseBeside('manifests', ['kubeconfig', 'allow-external-targets', 'selector', 'target-port'], flags, defaults);
    return fileLeader(flags.manifests, flags['router-class'], led, around);
  }
  const selector = selectorFlag(flags.selector);
  if (led.backendGroup !== '') refuseBeside('backend-group', ['selector', 'target-port'], flags, defaults);
  const labels = led.pdGroup === '' ? selector : { ...selector, [groupLabel]: led.pdGroup };
  if (led.backendGroup === '' && Object.keys(labels).length === 0)
    throw new UsageError('name the engines by --backend-group, --pd-group or --selector');
  const port = countFlag('target-port', flags['target-port']);
  const client = await connect(flags, around);
  return clusterLeader({
    ...around,
    client,
    routerClass: flags['router-class'],
    allowExternalTargets: flags['allow-external-targets'],
    led,
    pods: led.backendGroup === '' ? groupOfPods(labels, port, client.namespace) : null,
  });
}

function groupOfPods(labels: Record<string, string>, port: number, namespace: string) {
  try {
    return podsGroup(labels, port, namespace);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`--selector, --pd-group, --target-port: ${error.message}`);
    throw error;
  }
}
