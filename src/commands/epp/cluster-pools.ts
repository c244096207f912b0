import type { PickerConfig } from '../../api/endpoint-picker-config.ts';
import { keyOf } from '../../controller/compile.ts';
import type { DiscoveryIndex } from '../../controller/discovery/discovery-index.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { Objectives } from '../../controller/pools/objectives.ts';
import type { PoolName } from '../../controller/pools/pool-ref.ts';
import { PoolPlanner } from '../../controller/pools/pool-planner.ts';
import { noResources, type ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import type { Secrets } from '../../controller/secrets.ts';
import type { ResourceKind } from '../../controller/watched.ts';
import type { Log } from '../../observability/log.ts';
import type { GaugeSource } from '../../observability/metrics.ts';
import type { Clock } from '../../router/clock.ts';
import { ClusterDriver } from '../cluster/driver.ts';
import { kindsStay } from '../cluster/kinds-stay.ts';
import { ClusterResources } from '../cluster/resources.ts';
import type { Driven } from '../source.ts';
import { KindGate } from './kind-gate.ts';
import { ObjectiveWatch } from './objective-watch.ts';
import type { ConfigInForce } from './picker-config.ts';
import type { PickerSource } from './picker-source.ts';

export interface ClusterPoolsOptions {
  readonly client: KubeClient;
  readonly routerClass: string;
  readonly allowExternalTargets: boolean;
  readonly pools: readonly PoolName[];
  /** With a configuration, RoutingPolicies are not read. */
  readonly config: ConfigInForce | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** The InferencePools of a cluster. Read only: the status of what is read is left to others. */
export class ClusterPools implements PickerSource {
  groups: readonly ReadonlySet<string>[] = [];
  private readonly options: ClusterPoolsOptions;
  private readonly planner: PoolPlanner;
  private readonly driver: ClusterDriver;
  private readonly watch: ObjectiveWatch;
  private readonly resources: ClusterResources;
  /** A cluster may be without our kinds; then pools have default settings, and Auto where no configuration says more. */
  private readonly gate: KindGate;

  constructor(options: ClusterPoolsOptions) {
    this.options = options;
    const { client, pools, allowExternalTargets, config, clock, log } = options;
    const namespaces = [...new Set(pools.map(({ namespace }) => namespace))];
    this.planner = new PoolPlanner(pools, 'cluster');
    this.watch = new ObjectiveWatch({ client, namespaces, clock, log });
    const kinds: readonly ResourceKind[] = config === null ? ['BackendGroup', 'RoutingPolicy'] : ['BackendGroup'];
    this.resources = new ClusterResources({
      ...options,
      kinds,
      scope: namespaces,
      onChange: () => this.driver.changed(),
      onStatus: () => undefined,
    });
    this.gate = new KindGate({
      ask: () => kindsStay(client, kinds),
      onChange: () => this.gateChanged(),
      what: kinds.join(', '),
      clock,
      log,
    });
    this.driver = new ClusterDriver({
      client,
      allNamespaces: false,
      allowExternalTargets,
      clock,
      log,
      form: 'resources',
      snapshot: (secrets) => this.snapshot(secrets),
    });
  }

  get discovery(): DiscoveryIndex {
    return this.driver.index;
  }

  get objectives(): Objectives {
    return this.watch.objectives;
  }

  get config(): PickerConfig | null {
    return this.options.config?.current ?? null;
  }

  start(driven: Driven): void {
    this.driver.start(driven);
    this.watch.start();
    this.gate.start();
    this.options.config?.start(() => this.driver.changed());
  }

  notReady(): string | null {
    if (this.groups.length === 0) return 'the resources have not been read from the API server yet';
    if (!this.driver.synced) return 'discovery has not been read from the API server yet';
    const { pools } = this.options;
    // One pool that is missing takes no requests from the others.
    if (pools.some(({ namespace, name }) => this.discovery.hasPool(namespace, name))) return null;
    return `no InferencePool is called ${pools.map(keyOf).join(', ')}`;
  }

  gauges(): GaugeSource[] {
    return this.options.config?.gauges() ?? [];
  }

  close(): void {
    this.options.config?.close();
    this.gate.close();
    this.watch.close();
    this.driver.close();
    this.resources.close();
    this.options.client.close();
  }

  private gateChanged(): void {
    if (this.gate.state === 'there') this.resources.start();
    else this.options.log.info('the cluster has no kinds of hermes-router.io; pools have default settings');
    this.driver.changed();
  }

  private snapshot(secrets: Secrets): ResourceSnapshot | null {
    const base = this.base(secrets);
    if (base === null) return null;
    const plan = this.planner.plan(base, this.options.config?.current ?? null);
    this.groups = plan.groups;
    return plan.snapshot;
  }

  /** What there is besides the pools; null while it has not been read. */
  private base(secrets: Secrets): ResourceSnapshot | null {
    const { config } = this.options;
    if (config !== null && config.current === null) return null;
    if (this.gate.state === 'unknown') return null;
    return this.gate.state === 'absent' ? { ...noResources, secrets } : this.resources.snapshot(secrets);
  }
}
