import type { Discovery } from '../../controller/found.ts';
import { EventRecorder } from '../../controller/kube/events.ts';
import type { HttpKubeClient } from '../../controller/kube/http-client.ts';
import { LeaderElection } from '../../controller/kube/leader-election.ts';
import { Peers } from '../../controller/peers/peers.ts';
import { RevisionWriter } from '../../controller/revisions/revision-writer.ts';
import { StatusWriter } from '../../controller/status/status-writer.ts';
import { WriteBudget } from '../../controller/status/write-budget.ts';
import { PoolGroups } from '../../controller/pools/pool-groups.ts';
import type { WatchedResource } from '../../controller/watched.ts';
import type { FleetEvent } from '../../datalayer/report.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { ReplicaReport } from '../../observability/replica-report.ts';
import type { Clock } from '../../router/clock.ts';
import type { Assembly } from '../assembly.ts';
import { ClusterDriver, servesOwnOnly } from './driver.ts';
import { clusterGauges } from './gauges.ts';
import type { PeerSource } from './peer-source.ts';
import { ClusterResources } from './resources.ts';
import { Reporter } from './reporter.ts';
import type { Scope } from './scope.ts';
import { StatusLoop } from './status-loop.ts';

/** Writes a second of one router class: of status, and as many of last good versions. */
const writesPerSecond = 5;

export interface ClusterOptions {
  readonly client: HttpKubeClient;
  readonly scope: Scope;
  readonly routerClass: string;
  readonly allowExternalTargets: boolean;
  /** Name of this replica, unlike that of any other. */
  readonly replica: string;
  readonly peers: PeerSource;
  readonly token: () => string | null;
  /** This replica's own report. */
  readonly report: () => ReplicaReport;
  /** Milliseconds between two writes of one object's figures. */
  readonly statusInterval: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The resources of a cluster: put in force here, and, by the replica that leads, told of in their status. */
export class Cluster {
  private readonly options: ClusterOptions;
  private readonly resources: ClusterResources;
  private readonly driver: ClusterDriver;
  private readonly writer: StatusWriter;
  private readonly revisions: RevisionWriter;
  private readonly peers: Peers;
  private readonly reporter: Reporter;
  private readonly election: LeaderElection;
  private loop: StatusLoop | null = null;

  constructor(options: ClusterOptions) {
    this.options = options;
    const { client, scope, routerClass, allowExternalTargets, replica, clock, log } = options;
    this.resources = new ClusterResources({
      client,
      scope,
      routerClass,
      allowExternalTargets,
      clock,
      log,
      onChange: () => this.driver.changed(),
      onStatus: (watched, gone) => this.seen(watched, gone),
    });
    const pools = new PoolGroups();
    this.driver = new ClusterDriver({
      client,
      allNamespaces: scope === null,
      allowExternalTargets,
      guardsNamedServices: true,
      trustsSlices: servesOwnOnly(scope, client.namespace),
      clock,
      log,
      form: 'resources',
      snapshot: (secrets) => {
        const snapshot = this.resources.snapshot(secrets);
        return snapshot === null ? null : pools.complete(snapshot);
      },
    });
    // Of two in one line a flood of either would hold up the other.
    const budget = (): WriteBudget => new WriteBudget(clock, writesPerSecond);
    this.writer = new StatusWriter({ client, clock, log, budget: budget(), interval: options.statusInterval });
    this.revisions = new RevisionWriter({ client, clock, log, budget: budget() });
    this.peers = new Peers({
      source: options.peers.current,
      own: options.report,
      token: options.token,
      clock,
      log,
    });
    const recorder = new EventRecorder({
      client,
      controller: 'hermes-router.io/controller',
      instance: replica,
      clock,
      log,
    });
    this.reporter = new Reporter(recorder, { routerClass, replica, namespace: client.namespace });
    this.election = new LeaderElection({
      client,
      namespace: client.namespace,
      name: `hermes-router-${routerClass}`,
      account: () => client.account(),
      identity: replica,
      onGained: () => this.gained(),
      onLost: () => this.lost(),
      clock,
      log,
      random: Math.random,
    });
  }

  /** Where groups' endpoints come from. */
  get discovery(): Discovery {
    return this.driver.index;
  }

  start(assembly: Assembly): void {
    const { resources, peers, writer, revisions, reporter } = this;
    const { clock, log } = this.options;
    this.loop = new StatusLoop({
      assembly,
      resources,
      peers,
      writer,
      revisions,
      ready: () => this.notReady() === null,
      clock,
      log,
      onStatus: (state, status) => reporter.status(state, status),
    });
    this.driver.start(assembly);
    this.resources.start();
    this.election.start();
  }

  /** Why no table is in force yet, or null. */
  notReady(): string | null {
    if (!this.resources.synced) return 'the resources have not been read from the API server yet';
    return this.driver.synced ? null : 'discovery has not been read from the API server yet';
  }

  generationOf(policy: string): number {
    return this.resources.state.get(`RoutingPolicy ${policy}`)?.inForce?.generation ?? 0;
  }

  groupChanged(key: string): void {
    this.loop?.touch(`BackendGroup ${key}`);
  }

  /** A table was put in force. Requests wait for this: it looks at every object, and makes nothing. */
  tableChanged(): void {
    if (this.loop === null) return;
    for (const { watched } of this.resources.state.all())
      if (watched.kind === 'RoutingPolicy' && hasUnseenGeneration(watched)) this.loop.touch(watched.id);
  }

  fleetEvent(event: FleetEvent): void {
    const state = this.resources.state.get(`BackendGroup ${event.group}`);
    if (this.election.leading && state !== undefined) this.reporter.fleet(state.watched, event);
  }

  gauges(): GaugeSource[] {
    const { election, writer, peers, revisions } = this;
    return clusterGauges({ client: this.options.client, election, writer, peers, revisions, reporter: this.reporter });
  }

  /** Lets another replica lead, right away. */
  resign(): Promise<void> {
    return this.election.release();
  }

  close(): void {
    this.election.close();
    this.loop?.resign();
    this.reporter.close();
    this.driver.close();
    this.resources.close();
    this.options.peers.close();
    this.options.client.close();
  }

  private seen(watched: WatchedResource, gone: boolean): void {
    if (gone) {
      this.loop?.forget(watched);
      this.reporter.forget(watched.id);
      return;
    }
    this.loop?.seen(watched);
    if (hasUnseenGeneration(watched)) this.loop?.touch(watched.id);
  }

  private gained(): void {
    const { log, routerClass, replica } = this.options;
    log.info('leading: this replica writes the status', { class: routerClass, replica });
    this.reporter.leading();
    this.loop?.lead();
  }

  private lost(): void {
    const { log, routerClass, replica } = this.options;
    log.info('no longer leading', { class: routerClass, replica });
    this.loop?.resign();
  }
}

/** Whether the status speaks of an older version of the object. */
function hasUnseenGeneration({ status, generation }: WatchedResource): boolean {
  const observed: unknown =
    typeof status === 'object' && status !== null ? Reflect.get(status, 'observedGeneration') : undefined;
  return observed !== generation;
}
