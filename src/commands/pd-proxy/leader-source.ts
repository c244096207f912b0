import type { BackendGroup } from '../../api/backend-group.ts';
import type { Discovery } from '../../controller/found.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import { noResources, type ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import type { Secrets } from '../../controller/secrets.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Clock } from '../../router/clock.ts';
import { ClusterDriver } from '../cluster/driver.ts';
import { ClusterResources } from '../cluster/resources.ts';
import { manifestSource } from '../manifests.ts';
import type { Driven } from '../source.ts';
import { LeaderPlanner, type Led } from './leader-plan.ts';
import { LedDiscovery } from './led-discovery.ts';

/** Where a leader learns of its engines. */
export interface LeaderSource {
  readonly discovery: Discovery;
  start(driven: Driven): void;
  /** Why the leader is not ready, or null. */
  notReady(): string | null;
  gauges(): GaugeSource[];
  close(): void;
}

interface Around {
  readonly clock: Clock;
  readonly log: Log;
}

/** Plans what there is; an older plan stays in force where the new one names no group. */
class Planning {
  problem: string | null = 'the engines are not known yet';
  private readonly planner: LeaderPlanner;
  private readonly log: Log;
  private last: ResourceSnapshot | null = null;

  constructor(led: Led, log: Log) {
    this.planner = new LeaderPlanner(led);
    this.log = log;
  }

  plan(all: ResourceSnapshot): ResourceSnapshot | null {
    const { snapshot, problem } = this.planner.plan(all);
    if (problem !== null && problem !== this.problem) this.log.error('nothing to lead', { reason: problem });
    this.problem = problem;
    this.last = snapshot ?? this.last;
    return this.last;
  }
}

/** The group of a folder of manifests. */
export function fileLeader(folder: string, routerClass: string, led: Led, around: Around): LeaderSource {
  const manifests = manifestSource(folder, routerClass, around);
  const planning = new Planning(led, around.log);
  return {
    discovery: new LedDiscovery(manifests.discovery, led.pdGroup),
    start(driven) {
      manifests.start({
        fleet: driven.fleet,
        update(all) {
          const snapshot = planning.plan(all);
          if (snapshot !== null) driven.update(snapshot);
        },
      });
    },
    notReady: () => planning.problem,
    gauges: () => manifests.gauges(),
    close: () => manifests.close(),
  };
}

export interface ClusterLeaderOptions extends Around {
  readonly client: KubeClient;
  readonly routerClass: string;
  readonly allowExternalTargets: boolean;
  readonly led: Led;
  /** The group where no BackendGroup is read; null where one is. */
  readonly pods: BackendGroup | null;
}

/** The group of a cluster: a BackendGroup, or Pods by their labels. Read only. */
export function clusterLeader(options: ClusterLeaderOptions): LeaderSource {
  const { client, allowExternalTargets, led, pods, clock, log } = options;
  const planning = new Planning(led, log);
  const resources =
    pods === null
      ? new ClusterResources({
          ...options,
          scope: [client.namespace],
          kinds: ['BackendGroup'],
          onChange: () => driver.changed(),
          onStatus: () => undefined,
        })
      : null;
  const all = (secrets: Secrets): ResourceSnapshot | null =>
    pods === null ? (resources?.snapshot(secrets) ?? null) : { ...noResources, secrets, groups: [pods] };
  const driver = new ClusterDriver({
    client,
    allNamespaces: false,
    allowExternalTargets,
    clock,
    log,
    form: 'resources',
    snapshot(secrets) {
      const snapshot = all(secrets);
      return snapshot === null ? null : planning.plan(snapshot);
    },
  });
  return {
    discovery: new LedDiscovery(driver.index, led.pdGroup),
    start(driven) {
      driver.start(driven);
      resources?.start();
    },
    notReady: () => planning.problem ?? (driver.synced ? null : 'discovery has not been read from the API server yet'),
    gauges: () => [],
    close() {
      driver.close();
      resources?.close();
      client.close();
    },
  };
}
