import { pluralOf } from '../../api/kinds.ts';
import { apiVersion } from '../../api/resource.ts';
import { ClusterState } from '../../controller/cluster-state.ts';
import type { KubeClient } from '../../controller/kube/contract.ts';
import { Reflector } from '../../controller/kube/reflector.ts';
import type { ResourceSnapshot } from '../../controller/resource-snapshot.ts';
import { classLabel, lastGood } from '../../controller/revisions/revision.ts';
import type { Secrets } from '../../controller/secrets.ts';
import { keepResource, type ResourceKind, type WatchedResource } from '../../controller/watched.ts';
import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { kindsStay } from './kinds-stay.ts';
import { Removals } from './removals.ts';
import { collectionPaths, type Scope } from './scope.ts';

const api = `/apis/${apiVersion}`;

export interface ResourcesOptions {
  readonly client: KubeClient;
  readonly scope: Scope;
  readonly routerClass: string;
  readonly allowExternalTargets: boolean;
  /** What is watched; both kinds unless given. */
  readonly kinds?: readonly ResourceKind[];
  readonly clock: Clock;
  readonly log: Log;
  /** What is to be in force may have changed. */
  readonly onChange: () => void;
  /** An object's status is another, or an object is gone. */
  readonly onStatus: (watched: WatchedResource, gone: boolean) => void;
}

/** Our own resources of a cluster, watched. */
export class ClusterResources {
  readonly state = new ClusterState();
  private readonly options: ResourcesOptions;
  private readonly reflectors: Reflector<WatchedResource>[];
  private readonly removals: Removals;
  private remembered = false;
  private remembering = false;

  constructor(options: ResourcesOptions) {
    this.options = options;
    const { kinds = ['BackendGroup', 'RoutingPolicy'] } = options;
    this.removals = new Removals({
      clock: options.clock,
      away: () => this.reflectors.some(({ synced, staleSince }) => synced && staleSince !== null),
      kindsStay: () =>
        kindsStay(options.client, kinds).catch((error: unknown) => {
          options.log.warn('the API server does not say whether our CRDs stay; deletions wait', {
            error: errorText(error),
          });
          return null;
        }),
      onGone: (watched) => this.gone(watched),
      onOrphan: ({ id }) => {
        options.log.error(
          'an object went together with its CRD; it stays in force: install the CRD and apply it again',
          {
            object: id,
          },
        );
      },
    });
    this.reflectors = kinds.flatMap((kind) => this.reflect(kind));
  }

  start(): void {
    for (const reflector of this.reflectors) reflector.start();
  }

  close(): void {
    for (const reflector of this.reflectors) reflector.close();
    this.removals.close();
  }

  /** Whether every resource was listed once. */
  get synced(): boolean {
    return this.reflectors.every(({ synced }) => synced);
  }

  /** What is to be in force; null before all of it has been read. */
  snapshot(secrets: Secrets): ResourceSnapshot | null {
    if (!this.synced) return null;
    if (!this.remembered && [...this.state.all()].some(({ inForce }) => inForce === null)) {
      this.remember();
      return null;
    }
    this.remembered = true;
    return this.state.snapshot(secrets);
  }

  /** All revisions of this router class; rejects where the API server does not give them. */
  async revisions(): Promise<unknown[]> {
    const { client, scope, routerClass } = this.options;
    const selector = `labelSelector=${encodeURIComponent(`${classLabel}=${routerClass}`)}`;
    const found: unknown[] = [];
    for (const path of collectionPaths(scope, '/apis/apps/v1', 'controllerrevisions')) {
      const { status, body } = await client.send({ method: 'GET', path: `${path}?${selector}` });
      if (status !== 200) throw new Error(`the API server answered ${status} for ControllerRevisions`);
      const items: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'items') : undefined;
      if (Array.isArray(items)) for (const item of items) found.push(item);
    }
    return found;
  }

  /** Some object was never valid as far as this process knows: an earlier one may have known better. */
  private remember(): void {
    if (this.remembering) return;
    this.remembering = true;
    this.revisions()
      .then((revisions) => {
        for (const [uid, { resource, generation }] of lastGood(revisions, this.options.routerClass)) {
          const created = [...this.state.all()].find(({ watched }) => watched.uid === uid)?.watched.created ?? 0;
          this.state.remember(uid, { resource, generation, created });
        }
      })
      .catch((error: unknown) => {
        this.options.log.warn('last good versions of earlier runs cannot be read; routing begins without them', {
          error: errorText(error),
        });
      })
      .finally(() => {
        this.remembered = true;
        this.options.onChange();
      });
  }

  private reflect(kind: ResourceKind): Reflector<WatchedResource>[] {
    const { client, scope, routerClass, allowExternalTargets, clock, log } = this.options;
    const keep = keepResource({ kind, routerClass, allowExternalTargets });
    return collectionPaths(scope, api, pluralOf(kind)).map(
      (path) =>
        new Reflector<WatchedResource>({
          client,
          path,
          keep,
          onChange: (_key, watched, previous) => this.taken(watched, previous),
          onState: () => {
            this.removals.changed();
            this.options.onChange();
          },
          clock,
          log,
          random: Math.random,
        }),
    );
  }

  private taken(watched: WatchedResource | null, previous: WatchedResource | null): void {
    const { onChange, onStatus } = this.options;
    if (watched !== null) {
      this.removals.present(watched.id);
      if (this.state.set(watched)) {
        this.tellFaults(watched);
        onChange();
      }
      onStatus(watched, false);
    } else if (previous !== null) this.removals.deleted(previous);
  }

  private gone(watched: WatchedResource): void {
    const { onChange, onStatus } = this.options;
    if (this.state.remove(watched.id)) onChange();
    onStatus(watched, true);
  }

  private tellFaults({ id, faults }: WatchedResource): void {
    for (const { path, message, cure } of faults)
      this.options.log.warn('resource at fault', { object: id, path, message, cure });
  }
}
