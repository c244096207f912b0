import { errorText, type Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import { backoffDelay } from './backoff.ts';
import type { KubeClient, WatchEvent } from './contract.ts';
import { isKubeObject, isOlder, keyOf, statusOf, versionOf } from './kube-object.ts';
import { ListFailed, readList } from './reflector-list.ts';
import { ReflectorStore, type Gathered, type StoreOptions } from './reflector-store.ts';

export interface ReflectorOptions<T> extends StoreOptions<T> {
  readonly client: KubeClient;
  /** Of the collection, such as `/api/v1/namespaces/a/pods`. */
  readonly path: string;
  /** Such as `labelSelector`. */
  readonly query?: Readonly<Record<string, string>>;
  /** `synced` or `staleSince` is another. */
  onState(): void;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** What a step of the state machine does next. */
type Step = 'list' | 'watch';

const retry = { first: 800, longest: 30_000 };
/** Milliseconds for which a server is left alone at most, whatever it asks for. */
const longestRetryAfter = 120_000;
/** Milliseconds after which a watch that ends has done its work, and another may be opened at once. */
const goodLife = 10_000;
/** Milliseconds for which lists older than what was seen are passed over; then the cluster was restored from a backup. */
const olderPassedOver = 60_000;

/** By the status of a list that was refused: what whoever installed the program has left out. */
const cures = new Map([
  [403, 'give the service account the right to list and watch it (config/rbac, or the chart)'],
  [404, 'install the CRD of this kind (config/crd, or the chart hermes-router-crds, for kinds of hermes-router.io)'],
]);

/**
 * Holds what the API server has of one collection: a list, then a watch from its version, again and again. Whatever
 * goes wrong, what is held stays: only a DELETED event or a whole newer list without an object takes it away.
 */
export class Reflector<T> {
  readonly items: ReadonlyMap<string, T>;
  private readonly options: ReflectorOptions<T>;
  private readonly store: ReflectorStore<T>;
  private hasSynced = false;
  private stale: number | null = null;
  /** The newest version seen. */
  private version = '';
  /** Raised whenever what is under way no longer counts. */
  private epoch = 0;
  private closed = false;
  private failures = 0;
  /** A version was refused as too old, and no watch has lived long since. */
  private expired = false;
  /** Null until the server took the watch. */
  private watchOpenedAt: number | null = null;
  private olderSince: number | null = null;
  private stopWaiting: () => void = () => undefined;
  private stopWatch: () => void = () => undefined;

  constructor(options: ReflectorOptions<T>) {
    this.options = options;
    this.store = new ReflectorStore(options);
    this.items = this.store.items;
  }

  /** The first list is complete; stays so. */
  get synced(): boolean {
    return this.hasSynced;
  }

  /** Since when (clock milliseconds) neither list nor watch is alive; null while what is held is what there is. */
  get staleSince(): number | null {
    return this.stale;
  }

  start(): void {
    this.becomeStale();
    this.next('list');
  }

  /** Ends list, watch and waits; what is held stays readable. */
  close(): void {
    this.closed = true;
    this.epoch += 1;
    this.stopWaiting();
    this.stopWatch();
  }

  private next(step: Step): void {
    this.epoch += 1;
    if (step === 'list') void this.list(this.epoch);
    else this.watch(this.epoch);
  }

  /** Waits longer after each failure, and at least as long as the server asks for. */
  private nextLater(step: Step, retryAfter = 0): void {
    const { clock, random } = this.options;
    const delay = Math.max(backoffDelay(retry, this.failures, random), Math.min(retryAfter, longestRetryAfter));
    this.failures += 1;
    this.epoch += 1;
    this.stopWaiting = clock.after(delay, () => this.next(step));
  }

  private async list(epoch: number): Promise<void> {
    const gathered: Gathered<T> = new Map();
    const take = this.store.gather.bind(this.store);
    try {
      const version = await readList(this.options.client, this.pathWith, (object) => take(object, gathered));
      if (epoch === this.epoch) this.listed(version, gathered);
    } catch (error) {
      if (epoch === this.epoch) this.listFailed(error);
    }
  }

  private listed(version: string, gathered: Gathered<T>): void {
    if (isOlder(version, this.version) && this.passOver(version)) return;
    this.olderSince = null;
    this.version = version;
    this.store.replace(gathered);
    this.becomeFresh(true);
    // Whoever heard of a change may have closed this.
    if (!this.closed) this.next('watch');
  }

  private passOver(version: string): boolean {
    const { clock, log, path } = this.options;
    this.olderSince ??= clock.now();
    const longEnough = clock.now() - this.olderSince >= olderPassedOver;
    const what = longEnough ? 'the API server has gone back to an older version' : 'a list is older than what was seen';
    log.warn(what, { path, version, seen: this.version });
    if (longEnough) return false;
    this.becomeStale();
    this.nextLater('list');
    return true;
  }

  private listFailed(error: unknown): void {
    const { path, log } = this.options;
    const failed = error instanceof ListFailed ? error : null;
    this.becomeStale();
    if (failed?.status === 410 && !this.expired) {
      this.expired = true;
      this.next('list');
      return;
    }
    const cure = cures.get(failed?.status ?? 0);
    log.warn('cannot list, what was known stays', {
      path,
      error: errorText(error),
      ...(cure !== undefined && { cure }),
    });
    this.nextLater('list', failed?.retryAfter);
  }

  private watch(epoch: number): void {
    const { client, random } = this.options;
    this.watchOpenedAt = null;
    const path = this.pathWith({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.version,
      // Between 5 and 10 minutes: many reflectors do not come back at the same time.
      timeoutSeconds: String(Math.floor(300 + random() * 300)),
    });
    this.stopWatch = client.watch(path, {
      open: () => {
        if (epoch === this.epoch) this.opened();
      },
      event: (event) => {
        if (epoch === this.epoch) this.take(event);
      },
      end: (status, error, retryAfter) => {
        if (epoch === this.epoch) this.watchEnded(status, error, retryAfter);
      },
    });
  }

  private opened(): void {
    this.watchOpenedAt ??= this.options.clock.now();
    this.becomeFresh(false);
  }

  private take({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      this.stopWatch();
      const { code, message } = statusOf(object);
      this.watchFailed(code, message, 0);
      return;
    }
    this.opened();
    const version = versionOf(object);
    if (version !== null && !isOlder(version, this.version)) this.version = version;
    if (type !== 'BOOKMARK') this.takeObject(type, object);
  }

  private takeObject(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: unknown): void {
    if (!isKubeObject(object)) {
      this.stopWatch();
      this.watchFailed(null, 'an event without an object', 0);
      return;
    }
    if (type === 'DELETED') this.store.remove(keyOf(object));
    else this.store.put(object);
  }

  private watchEnded(status: number | null, error: Error | null, retryAfter = 0): void {
    if (status !== null) {
      this.watchFailed(status, error?.message ?? '', retryAfter);
      return;
    }
    const lived = this.restIfGood();
    if (error === null && lived) {
      this.next('watch');
      return;
    }
    this.becomeStale();
    if (error !== null) this.options.log.warn('a watch broke off', { path: this.options.path, error: error.message });
    this.nextLater('watch');
  }

  /** The server refused the watch or ended it with an error; null stands for an error without a code. */
  private watchFailed(code: number | null, message: string, retryAfter: number): void {
    this.restIfGood();
    this.becomeStale();
    if (code === 410 && !this.expired) {
      this.expired = true;
      this.next('list');
      return;
    }
    this.options.log.warn('a watch was refused', { path: this.options.path, code, error: message });
    // A server that is busy or ill takes the same watch later; any other refusal is for a new list to make out.
    const ill = code !== null && (code === 429 || code >= 500);
    this.nextLater(ill ? 'watch' : 'list', retryAfter);
  }

  /** A watch that lived long enough has shown that the server is well. */
  private restIfGood(): boolean {
    const { watchOpenedAt } = this;
    if (watchOpenedAt === null || this.options.clock.now() - watchOpenedAt < goodLife) return false;
    this.failures = 0;
    this.expired = false;
    return true;
  }

  private becomeStale(): void {
    if (this.stale !== null) return;
    this.stale = this.options.clock.now();
    this.options.onState();
  }

  private becomeFresh(synced: boolean): void {
    if (this.stale === null && (this.hasSynced || !synced)) return;
    this.stale = null;
    this.hasSynced ||= synced;
    this.options.onState();
  }

  private readonly pathWith = (query: Readonly<Record<string, string>>): string => {
    const { path, query: own = {} } = this.options;
    return `${path}?${new URLSearchParams({ ...own, ...query }).toString()}`;
  };
}
