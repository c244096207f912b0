import { DiscoveryIndex } from '../../controller/discovery/discovery-index.ts';
import { keyOf } from '../../controller/compile.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import type { ManifestSnapshot } from '../../controller/manifest-state.ts';
import { SecretReader } from '../../controller/secret-reader.ts';
import type { Secrets } from '../../controller/secrets.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { Driven } from '../source.ts';
import { DiscoveryFeed } from './discovery-feed.ts';

/** Milliseconds between two tables while changes rain down; a single change is in force at once. */
const pace = 50;
/** Milliseconds for which the first table waits for what discovery reads: without the right to read it, it would wait for ever. */
const patience = 10_000;

export interface DriverOptions {
  readonly client: KubeClient;
  /** Whether all namespaces are watched. */
  readonly allNamespaces: boolean;
  readonly allowExternalTargets: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** What is to be in force; null while that is not known yet. */
  readonly snapshot: (secrets: Secrets) => ManifestSnapshot | null;
}

/** Puts resources in force in a cluster: what they name is watched, and each change makes a new table. */
export class ClusterDriver {
  readonly index: DiscoveryIndex;
  private readonly options: DriverOptions;
  private readonly feed: DiscoveryFeed;
  private readonly secrets: SecretReader;
  private assembly: Driven | null = null;
  private groups = new Set<string>();
  private resourcesChanged = true;
  private scheduled = false;
  private lastAt = -Infinity;
  private waitingSince: number | null = null;
  private inForce = false;
  private cancel: () => void = () => undefined;

  constructor(options: DriverOptions) {
    this.options = options;
    const { client, allNamespaces, allowExternalTargets, clock, log } = options;
    this.index = new DiscoveryIndex({ allowExternalTargets });
    this.feed = new DiscoveryFeed({
      client,
      allNamespaces,
      index: this.index,
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
    this.schedule();
  }

  close(): void {
    this.cancel();
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
      try {
        this.apply();
      } catch (error) {
        this.options.log.error('a new table could not be made; the last one stays in force', {
          error: errorText(error),
        });
      }
    });
  }

  private apply(): void {
    const { assembly } = this;
    if (assembly === null) return;
    assembly.fleet.setDiscoveryStale(this.feed.stale);
    if (this.index.takeDirty().size === 0 && !this.resourcesChanged) return;
    const snapshot = this.options.snapshot(this.secrets.secrets);
    if (snapshot === null) return;
    this.feed.want(snapshot.groups);
    this.secrets.want(snapshot.groups);
    this.forgetAllBut(new Set(snapshot.groups.map(({ metadata }) => keyOf(metadata))));
    if (!this.inForce && this.mustWait()) return;
    this.resourcesChanged = false;
    // What `want` has changed by itself counts for this snapshot, too.
    assembly.update({ ...snapshot, secrets: this.secrets.secrets });
    this.inForce = true;
    this.index.takeDirty();
  }

  private forgetAllBut(groups: Set<string>): void {
    for (const key of this.groups) if (!groups.has(key)) this.index.removeGroup(key);
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
