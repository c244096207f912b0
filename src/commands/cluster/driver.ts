import { DiscoveryIndex } from '../../controller/discovery/discovery-index.ts';
import { keyOf } from '../../controller/compile.ts';
import { backoffDelay } from '../../controller/kube/backoff.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { SecretReader } from '../../controller/secret-reader.ts';
import type { Secrets } from '../../controller/secrets.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { DiscoveryLog, logInForce, type ResourceForm } from '../resource-log.ts';
import type { Driven } from '../source.ts';
import { DiscoveryFeed } from './discovery-feed.ts';

/** Milliseconds between two tables while changes rain down; a single change is in force at once. */
const pace = 50;
/** Milliseconds for which the first table waits for what discovery reads: without the right to read it, it would wait for ever. */
const patience = 10_000;
/** Milliseconds before a table that could not be made is tried again. */
const retry = { first: 1_000, longest: 60_000 };

export interface DriverOptions {
  readonly client: KubeClient;
  /** Whether all namespaces are watched. */
  readonly allNamespaces: boolean;
  readonly allowExternalTargets: boolean;
  /**
   * Whether a Service that a group names for a KV manager or a store must be what it says, for which it is watched.
   * Where whoever runs the router also writes the groups, nobody is to be guarded, and a right less is needed.
   */
  readonly guardsNamedServices?: boolean;
  /** Whether EndpointSlices that are written by hand count. */
  readonly trustsSlices?: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** What the resources come as, for the log. */
  readonly form: ResourceForm;
  /** What is to be in force; null while that is not known yet. */
  readonly snapshot: (secrets: Secrets) => ResourceSnapshot | null;
}

/**
 * Whether no namespace is served but the router's own: who writes there could write a Pod as well that connects to
 * whatever a slice of his makes the router connect to.
 */
export function servesOwnOnly(scope: readonly string[] | null, own: string): boolean {
  return scope?.length === 1 && scope[0] === own;
}

/** Puts resources in force in a cluster: what they name is watched, and each change makes a new table. */
export class ClusterDriver {
  readonly index: DiscoveryIndex;
  private readonly options: DriverOptions;
  private readonly feed: DiscoveryFeed;
  private readonly secrets: SecretReader;
  private assembly: Driven | null = null;
  private groups = new Set<string>();
  private readonly told: DiscoveryLog;
  private resourcesChanged = true;
  /** Groups of which discovery has found something else since the last table. */
  private readonly rediscovered = new Set<string>();
  private scheduled = false;
  private lastAt = -Infinity;
  private waitingSince: number | null = null;
  private inForce = false;
  private failures = 0;
  /** When a table that could not be made is tried again, if nothing changes before. */
  private retryAt = -Infinity;
  private cancel: () => void = () => undefined;
  private cancelRetry: () => void = () => undefined;

  constructor(options: DriverOptions) {
    this.options = options;
    const { client, allNamespaces, allowExternalTargets, clock, log } = options;
    this.told = new DiscoveryLog(log);
    const watchesNamedServices = !allowExternalTargets && options.guardsNamedServices === true;
    this.index = new DiscoveryIndex({
      allowExternalTargets,
      watchesNamedServices,
      trustsSlices: options.trustsSlices === true,
    });
    this.feed = new DiscoveryFeed({
      client,
      allNamespaces,
      index: this.index,
      watchesNamedServices,
      clock,
      log,
      onChange: () => this.schedule(),
    });
    this.secrets = new SecretReader({ client, clock, log, onChange: () => this.changed() });
  }

  /** Whether a table is in force. */
  get synced(): boolean {
    return this.inForce;
  }

  start(assembly: Driven): void {
    this.assembly = assembly;
    this.changed();
  }

  /** The resources have changed. */
  changed(): void {
    this.resourcesChanged = true;
    this.retryAt = -Infinity;
    this.schedule();
  }

  close(): void {
    this.cancel();
    this.cancelRetry();
    this.assembly = null;
    this.feed.close();
    this.secrets.close();
  }

  /** Many changes of one moment make one table. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    const wait = Math.max(0, this.lastAt + pace - this.options.clock.now());
    this.cancel = this.options.clock.after(wait, () => {
      this.scheduled = false;
      this.lastAt = this.options.clock.now();
      this.tryToApply();
    });
  }

  private tryToApply(): void {
    try {
      this.apply();
    } catch (error) {
      const { clock, log } = this.options;
      const retryIn = backoffDelay(retry, this.failures, Math.random);
      this.failures += 1;
      this.retryAt = clock.now() + retryIn;
      this.cancelRetry();
      this.cancelRetry = clock.after(retryIn, () => this.schedule());
      log.error('a new table could not be made; the last one stays in force', { error: errorText(error), retryIn });
    }
  }

  private apply(): void {
    const { assembly } = this;
    if (assembly === null) return;
    assembly.fleet.setDiscoveryStale(this.feed.stale);
    if (this.takeRediscovered()) this.retryAt = -Infinity;
    if (this.isShown() || this.options.clock.now() < this.retryAt) return;
    const snapshot = this.options.snapshot(this.secrets.secrets);
    if (snapshot === null) return;
    this.feed.want(snapshot.groups);
    this.secrets.want(snapshot.groups);
    this.forgetAllBut(new Set(snapshot.groups.map(({ metadata }) => keyOf(metadata))));
    if (!this.inForce && this.mustWait()) return;
    try {
      assembly.update({ ...snapshot, secrets: this.secrets.secrets });
    } finally {
      // What `want` and the update have found by themselves counts for this snapshot, too.
      this.takeRediscovered();
    }
    this.inForce = true;
    this.tell(snapshot);
    // Only now: what a table that could not be made was to show is still to be shown.
    this.rediscovered.clear();
    this.resourcesChanged = false;
    this.failures = 0;
    this.cancelRetry();
  }

  /** Whether the last table shows all that is known. */
  private isShown(): boolean {
    return this.rediscovered.size === 0 && !this.resourcesChanged;
  }

  /** Whether discovery has found something else. */
  private takeRediscovered(): boolean {
    const dirty = this.index.takeDirty();
    for (const key of dirty) this.rediscovered.add(key);
    return dirty.size > 0;
  }

  private tell(snapshot: ResourceSnapshot): void {
    if (this.resourcesChanged) logInForce(this.options.log, this.options.form, snapshot);
    for (const group of snapshot.groups) {
      const key = keyOf(group.metadata);
      if (this.rediscovered.has(key)) this.told.tell(key, this.index.find(group).condition);
    }
  }

  private forgetAllBut(groups: Set<string>): void {
    for (const key of this.groups) {
      if (groups.has(key)) continue;
      this.index.removeGroup(key);
      this.told.forget(key);
    }
    this.groups = groups;
  }

  /** The first table is whole, unless the API server does not let us see what it needs. */
  private mustWait(): boolean {
    if (this.feed.synced && this.secrets.synced) return false;
    const { clock, log } = this.options;
    const now = clock.now();
    if (this.waitingSince === null) {
      this.waitingSince = now;
      clock.after(patience, () => this.schedule());
    }
    if (now - this.waitingSince < patience) return true;
    log.error('pods, Services or secrets could not be read in time; routing begins with what is known');
    return false;
  }
}
