import type { BackendGroup } from '../../api/backend-group.ts';
import type { DiscoveryIndex } from '../../controller/discovery/discovery-index.ts';
import type { ObjectView } from '../../controller/discovery/object-view.ts';
import { keepPod, samePod } from '../../controller/discovery/pod-view.ts';
import { keepInferencePool, samePool } from '../../controller/discovery/pool-view.ts';
import { keepService, sameService } from '../../controller/discovery/service-view.ts';
import { keepEndpointSlice, sameSlice } from '../../controller/discovery/slice-view.ts';
import type { KubeClient, KubeObject } from '../../controller/kube/contract.ts';
import { Reflector } from '../../controller/kube/reflector.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';

export interface DiscoveryFeedOptions {
  readonly client: KubeClient;
  /** Watch the whole cluster, not only namespaces that have groups. */
  readonly allNamespaces: boolean;
  readonly index: DiscoveryIndex;
  /** Whether Services that groups name for a KV manager or a store are watched, too. */
  readonly watchesNamedServices: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Something was taken in, or a watch has come or gone. */
  readonly onChange: () => void;
}

type Collection = 'pods' | 'services' | 'slices' | 'pools';

/** What each way of discovery reads; nothing is watched that no group needs. */
const needs: Readonly<Record<BackendGroup['spec']['discovery']['type'], readonly Collection[]>> = {
  Pods: ['pods'],
  Service: ['services', 'slices', 'pods'],
  InferencePool: ['pools', 'pods'],
  Static: [],
};

const forNamedServices: readonly Collection[] = ['services', 'pods'];

/** Whether a group names a Service for another thing than its endpoints. */
const namesService = (kvCache: BackendGroup['spec']['kvCache']): boolean =>
  (kvCache.type === 'Manager' && kvCache.manager.service !== undefined) ||
  (kvCache.prefixStore?.type === 'Redis' && kvCache.prefixStore.redis.service !== undefined);

/** A collection that is watched. */
interface Watched {
  readonly collection: Collection;
  readonly reflector: Reflector<unknown>;
  /** Ends the watch; the index forgets what it told. */
  readonly end: () => void;
}

interface Kind<T extends ObjectView> {
  readonly api: string;
  readonly plural: string;
  readonly keep: (object: KubeObject) => T | null;
  readonly same: (previous: T, next: T) => boolean;
  readonly set: (view: T) => void;
  readonly remove: (view: T) => void;
}

/** Keeps a discovery index at what the cluster has of pods, Services, EndpointSlices and InferencePools. */
export class DiscoveryFeed {
  private readonly options: DiscoveryFeedOptions;
  /** By `Collection namespace`. */
  private readonly watched = new Map<string, Watched>();

  constructor(options: DiscoveryFeedOptions) {
    this.options = options;
  }

  /** Watches what these groups need, from now on, and nothing else. */
  want(groups: readonly BackendGroup[]): void {
    const { allNamespaces, watchesNamedServices } = this.options;
    const wanted = new Set<string>();
    for (const { metadata, spec } of groups) {
      const namespace = allNamespaces ? null : (metadata.namespace ?? 'default');
      const named = watchesNamedServices && namesService(spec.kvCache) ? forNamedServices : [];
      for (const collection of [...needs[spec.discovery.type], ...named]) {
        wanted.add(keyOf({ collection, namespace }));
        this.open(collection, namespace);
      }
    }
    for (const [key, { end }] of this.watched) {
      if (wanted.has(key)) continue;
      this.watched.delete(key);
      end();
    }
  }

  /** Whether all that is watched was listed once. A cluster without InferencePools has no such kind to list. */
  get synced(): boolean {
    return this.required.every(({ synced }) => synced);
  }

  /** Whether some of it may have changed unseen. */
  get stale(): boolean {
    return this.required.some(({ synced, staleSince }) => synced && staleSince !== null);
  }

  close(): void {
    for (const { reflector } of this.watched.values()) reflector.close();
  }

  private get required(): Reflector<unknown>[] {
    return [...this.watched.values()]
      .filter(({ collection }) => collection !== 'pools')
      .map(({ reflector }) => reflector);
  }

  private open(collection: Collection, namespace: string | null): void {
    const place = { collection, namespace };
    if (this.watched.has(keyOf(place))) return;
    const { index } = this.options;
    if (collection === 'pods') {
      this.reflect(place, {
        api: '/api/v1',
        plural: 'pods',
        keep: keepPod,
        same: samePod,
        set: (view) => index.setPod(view),
        remove: (view) => index.removePod(view),
      });
    } else if (collection === 'services') {
      this.reflect(place, {
        api: '/api/v1',
        plural: 'services',
        keep: keepService,
        same: sameService,
        set: (view) => index.setService(view),
        remove: (view) => index.removeService(view),
      });
    } else if (collection === 'slices') {
      this.reflect(place, {
        api: '/apis/discovery.k8s.io/v1',
        plural: 'endpointslices',
        keep: keepEndpointSlice,
        same: sameSlice,
        set: (view) => index.setEndpointSlice(view),
        remove: (view) => index.removeEndpointSlice(view),
      });
    } else {
      this.reflect(place, {
        api: '/apis/inference.networking.k8s.io/v1',
        plural: 'inferencepools',
        keep: keepInferencePool,
        same: samePool,
        set: (view) => index.setInferencePool(view),
        remove: (view) => index.removeInferencePool(view),
      });
    }
  }

  private reflect<T extends ObjectView>(place: Place, kind: Kind<T>): void {
    const { client, clock, log, onChange } = this.options;
    const { collection, namespace } = place;
    const within = namespace === null ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
    const reflector = new Reflector<T>({
      client,
      path: `${kind.api}${within}/${kind.plural}`,
      keep: kind.keep,
      changed: (previous, next) => !kind.same(previous, next),
      onChange: (_key, view, previous) => {
        if (view !== null) kind.set(view);
        else if (previous !== null) kind.remove(previous);
        onChange();
      },
      onState: onChange,
      clock,
      log,
      random: Math.random,
    });
    const end = (): void => {
      reflector.close();
      // A later watch would not tell of what has gone meanwhile.
      for (const view of reflector.items.values()) kind.remove(view);
    };
    this.watched.set(keyOf(place), { collection, reflector, end });
    reflector.start();
  }
}

interface Place {
  readonly collection: Collection;
  /** Null for all. */
  readonly namespace: string | null;
}

const keyOf = ({ collection, namespace }: Place): string => `${collection} ${namespace ?? '*'}`;
