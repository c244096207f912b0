import { errorText, type Log } from '../../observability/log.ts';
import type { KubeObject } from './contract.ts';
import { keyOf } from './kube-object.ts';

export interface StoreOptions<T> {
  /** What to hold of an object; null for nothing. */
  keep(object: KubeObject): T | null;
  /** Whether `next` says anything new; everything does unless given. */
  changed?(previous: T, next: T): boolean;
  /** `value` is null when the object is gone or no longer kept; `previous` is null when it was not held. */
  onChange(key: string, value: T | null, previous: T | null): void;
  readonly log: Log;
}

interface Fresh<T> {
  readonly version: string;
  /** Null where what is held is of the same version. */
  readonly value: T | null;
}

/** What a list holds, gathered page by page before anything of it counts. */
export type Gathered<T> = Map<string, Fresh<T>>;

/** The objects held, by key. Handlers that throw are logged, so that one odd object stops nothing else. */
export class ReflectorStore<T> {
  readonly items = new Map<string, T>();
  private readonly versions = new Map<string, string>();
  private readonly options: StoreOptions<T>;

  constructor(options: StoreOptions<T>) {
    this.options = options;
  }

  put(object: KubeObject): void {
    const key = keyOf(object);
    const version = object.metadata.resourceVersion ?? '';
    if (this.isHeld(key, version)) return;
    const value = this.read(key, object);
    if (value === undefined) return;
    if (value === null) this.remove(key);
    else this.set(key, value, version);
  }

  remove(key: string): void {
    this.versions.delete(key);
    const previous = this.items.get(key);
    if (previous === undefined) return;
    this.items.delete(key);
    this.tell(key, null, previous);
  }

  gather(object: KubeObject, into: Gathered<T>): void {
    const key = keyOf(object);
    const version = object.metadata.resourceVersion ?? '';
    if (this.isHeld(key, version)) {
      into.set(key, { version, value: null });
      return;
    }
    const value = this.read(key, object);
    if (value === undefined && this.items.has(key))
      into.set(key, { version: this.versions.get(key) ?? '', value: null });
    else if (value !== undefined && value !== null) into.set(key, { version, value });
  }

  /** What is held becomes what was gathered; the rest is deleted, first, for an address may have gone to another. */
  replace(gathered: Gathered<T>): void {
    for (const key of [...this.items.keys()]) if (!gathered.has(key)) this.remove(key);
    for (const [key, { version, value }] of gathered) if (value !== null) this.set(key, value, version);
  }

  private isHeld(key: string, version: string): boolean {
    return version !== '' && this.versions.get(key) === version;
  }

  private set(key: string, value: T, version: string): void {
    const previous = this.items.get(key);
    this.versions.set(key, version);
    if (previous !== undefined && this.options.changed?.(previous, value) === false) return;
    this.items.set(key, value);
    this.tell(key, value, previous ?? null);
  }

  /** Undefined when the object could not be read: what was held stays. */
  private read(key: string, object: KubeObject): T | null | undefined {
    try {
      return this.options.keep(object);
    } catch (error) {
      this.options.log.error('an object of the cluster cannot be read', { object: key, error: errorText(error) });
      return undefined;
    }
  }

  private tell(key: string, value: T | null, previous: T | null): void {
    try {
      this.options.onChange(key, value, previous);
    } catch (error) {
      this.options.log.error('a change in the cluster was not taken in', { object: key, error: errorText(error) });
    }
  }
}
