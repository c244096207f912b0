import type { BackendGroup } from '../api/backend-group.ts';
import { compile, keyOf, type GroupSurroundings } from '../controller/compile.ts';
import type { Verdict } from '../controller/conditions.ts';
import { resolveConnection } from '../controller/connection.ts';
import type { ManifestSnapshot } from '../controller/manifest-state.ts';
import { Fleet } from '../datalayer/fleet.ts';
import type { FleetChange, FleetEvent } from '../datalayer/report.ts';
import { NodeProbe } from '../datalayer/node-probe.ts';
import { ApproximateIndex } from '../indexer/approximate.ts';
import { errorText, rateLimited, type Log } from '../observability/log.ts';
import { registry } from '../policies/index.ts';
import type { Clock } from '../router/clock.ts';
import { Router } from '../router/router.ts';
import { EndpointStates } from '../router/states.ts';
import { TableStore } from '../router/table.ts';
import { groupTarget, unsupportedDiscovery } from './group-target.ts';
import { PrefixSources } from './prefix-sources.ts';

/** Milliseconds between looks at what engines have said of their cache size. */
const capacityInterval = 2000;

export interface AssemblyOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly maxScrapesPerSecond: number;
  /** A new table is in force. */
  readonly onTable: () => void;
}

const nothing: ManifestSnapshot = {
  groups: [],
  policies: [],
  broken: [],
  secrets: new Map(),
  faults: [],
  lastGoodInForce: new Set(),
};

/** The decision core and what feeds it: resources in, a routing table in force out. */
export class Assembly {
  readonly states = new EndpointStates();
  readonly store = new TableStore();
  readonly router: Router;
  readonly fleet: Fleet;
  readonly index = new ApproximateIndex();
  readonly sources: PrefixSources;
  verdicts: readonly Verdict[] = [];
  snapshot: ManifestSnapshot = nothing;
  private readonly options: AssemblyOptions;
  private connections = new Map<string, ReturnType<typeof resolveConnection>>();
  private scheduled = false;
  private cancelCapacity: () => void;

  constructor(options: AssemblyOptions) {
    this.options = options;
    const { clock, log } = options;
    this.router = new Router({ states: this.states, random: Math.random });
    this.sources = new PrefixSources(
      this.index,
      clock,
      rateLimited(log, () => clock.now()),
    );
    this.fleet = new Fleet({
      states: this.states,
      clock,
      fetch: new NodeProbe(clock),
      onChange: (_key, change) => this.fleetChanged(change),
      onRestart: (slot) => this.index.forget(slot),
      onEvent: (event) => this.fleetEvent(event),
      maxScrapesPerSecond: options.maxScrapesPerSecond,
    });
    this.cancelCapacity = clock.after(capacityInterval, this.learnCapacities);
  }

  /** Puts the resources in force. */
  update(snapshot: ManifestSnapshot): void {
    this.snapshot = snapshot;
    this.connections = new Map(
      snapshot.groups.map((group) => [keyOf(group.metadata), resolveConnection(group, snapshot.secrets)]),
    );
    for (const [group, { missing }] of this.connections) {
      for (const secret of missing)
        this.options.log.warn('a secret is missing; engines will refuse the router', { group, secret });
    }
    this.sources.retain(snapshot.groups);
    this.fleet.reconcile(snapshot.groups.map((group) => groupTarget(group, this.connectionOf(group))));
    this.compile();
  }

  /** Whether every group that learns its models has learned some. */
  get modelsKnown(): boolean {
    return this.snapshot.groups.every(
      ({ metadata, spec }) => spec.models.length > 0 || this.fleet.models(keyOf(metadata)).length > 0,
    );
  }

  close(): void {
    this.cancelCapacity();
    this.sources.retain([]);
    this.fleet.close();
  }

  private compile(): void {
    const { snapshot, store } = this;
    const groups = new Map(snapshot.groups.map((group) => [keyOf(group.metadata), group]));
    const { table, verdicts } = compile(
      {
        generation: store.current.generation + 1,
        groups: snapshot.groups,
        policies: snapshot.policies,
        broken: snapshot.broken,
        surroundings: (key) => this.surroundings(key, groups),
      },
      registry,
      { states: this.states, random: Math.random },
    );
    this.verdicts = verdicts;
    store.current = table;
    this.options.onTable();
  }

  private surroundings(key: string, groups: ReadonlyMap<string, BackendGroup>): GroupSurroundings {
    const group = groups.get(key);
    if (group === undefined) throw new Error(`no group ${key} to compile`);
    return {
      endpoints: this.fleet.endpoints(key),
      learnedModels: this.fleet.models(key),
      connection: this.connectionOf(group),
      unsupported: unsupportedDiscovery(group),
      ...this.sources.of(group),
    };
  }

  private connectionOf(group: BackendGroup) {
    const resolved = this.connections.get(keyOf(group.metadata)) ?? resolveConnection(group, this.snapshot.secrets);
    return resolved.connection;
  }

  /** Many changes of one moment make one table. */
  private fleetChanged(change: FleetChange): void {
    if (change === 'readiness' || this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      try {
        this.compile();
      } catch (error) {
        this.options.log.error('compiling the routing table failed; the last one stays in force', {
          error: errorText(error),
        });
      }
    });
  }

  private fleetEvent({ type, group, endpoint, message }: FleetEvent): void {
    this.options.log.info('endpoint', { event: type, group, endpoint, reason: message });
  }

  private readonly learnCapacities = (): void => {
    for (const { endpoints } of this.store.current.groups.values()) {
      for (const { slot } of endpoints) {
        const tokens = this.fleet.cacheTokens(slot);
        if (tokens !== null) this.index.setCapacity(slot, tokens);
      }
    }
    this.cancelCapacity = this.options.clock.after(capacityInterval, this.learnCapacities);
  };
}
