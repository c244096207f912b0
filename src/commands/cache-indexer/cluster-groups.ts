import type { Discovery } from '../../controller/found.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { ClusterDriver, servesOwnOnly } from '../cluster/driver.ts';
import { ClusterResources } from '../cluster/resources.ts';
import type { Scope } from '../cluster/scope.ts';
import { alone, type Driven, type PlainSource } from '../source.ts';

export interface ClusterGroupsOptions {
  readonly client: KubeClient;
  readonly scope: Scope;
  readonly routerClass: string;
  readonly allowExternalTargets: boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** The BackendGroups of a cluster. Read only: their status is the router's. */
export function clusterGroups(options: ClusterGroupsOptions): PlainSource {
  const { client, scope, allowExternalTargets, clock, log } = options;
  const resources = new ClusterResources({
    ...options,
    kinds: ['BackendGroup'],
    onChange: () => driver.changed(),
    onStatus: () => undefined,
  });
  const driver = new ClusterDriver({
    client,
    allNamespaces: scope === null,
    allowExternalTargets,
    trustsSlices: servesOwnOnly(scope, client.namespace),
    clock,
    log,
    form: 'resources',
    snapshot: (secrets) => resources.snapshot(secrets),
  });
  const discovery: Discovery = driver.index;
  return {
    ...alone,
    discovery,
    start(driven: Driven) {
      driver.start(driven);
      resources.start();
    },
    notReady() {
      if (!resources.synced) return 'the BackendGroups have not been read from the API server yet';
      return driver.synced ? null : 'discovery has not been read from the API server yet';
    },
    gauges: () => [],
    close() {
      driver.close();
      resources.close();
      client.close();
    },
  };
}
