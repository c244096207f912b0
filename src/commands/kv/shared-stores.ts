import type { LookupFunction } from 'node:net';
import type { BackendGroup } from '../../api/backend-group.ts';
import { keyOf } from '../../controller/compile.ts';
import type { Discovery } from '../../controller/found.ts';
import type { RedisStore } from '../../api/prefix-store.ts';
import type { Secrets } from '../../controller/secrets.ts';
import type { ApproximateIndex } from '../../indexer/approximate.ts';
import { connectRedis, type RedisTarget } from '../../indexer/shared/connection.ts';
import { SharedPrefixStore, type SharedPrefixState } from '../../indexer/shared/shared-prefix-store.ts';
import type { Log } from '../../observability/log.ts';
import type { Clock } from '../../router/clock.ts';
import type { Endpoint } from '../../router/endpoint.ts';
import { guardedLookup } from '../guarded-lookup.ts';
import { MissingSecretError, redisTarget } from './redis-target.ts';

export interface SharedStoresOptions {
  readonly index: ApproximateIndex;
  /** At least 32 random bytes, the same in all replicas; null where none were given. */
  readonly prefixKey: Uint8Array | null;
  /** When the engine's process at a slot started, in seconds since 1970; 0 while that is not known. */
  readonly startedAt: (slot: number) => number;
  /** What says where Services may be reached. */
  readonly discovery?: Pick<Discovery, 'refusalOf'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** How the prefixes of one group are shared. */
export interface StoreState {
  readonly shared: boolean;
  /** Why not; empty where they are. */
  readonly reason: string;
}

interface Wanted {
  readonly target: RedisTarget;
  readonly prefixKey: Uint8Array;
  readonly lookup?: LookupFunction;
}

class Open {
  /** A change of it makes a new one. */
  readonly target: RedisTarget;
  readonly store: SharedPrefixStore;
  endpoints: readonly Endpoint[] = [];

  constructor(target: RedisTarget, store: SharedPrefixStore) {
    this.target = target;
    this.store = store;
  }

  /** These are the group's endpoints from now on. */
  follow(endpoints: readonly Endpoint[]): SharedPrefixStore {
    if (this.endpoints !== endpoints) this.store.reconcile(endpoints);
    this.endpoints = endpoints;
    return this.store;
  }
}

const withoutKey = 'the router has no key for it: start all replicas with --prefix-key-file';

/** The shared prefix stores of all groups that ask for one. */
export class SharedStores {
  private readonly options: SharedStoresOptions;
  private readonly open = new Map<string, Open>();
  private readonly refused = new Map<string, string>();

  constructor(options: SharedStoresOptions) {
    this.options = options;
  }

  /** The group's store, which knows these endpoints from now on; null where it has none. */
  of(group: BackendGroup, endpoints: readonly Endpoint[], secrets: Secrets): SharedPrefixStore | null {
    const key = keyOf(group.metadata);
    const { prefixStore } = group.spec.kvCache;
    if (prefixStore?.type !== 'Redis') return this.without(key);
    const { prefixKey } = this.options;
    if (prefixKey === null) return this.without(key, withoutKey);
    try {
      const target = redisTarget(prefixStore.redis, { namespace: group.metadata.namespace ?? 'default', secrets });
      return this.known(key, { target, prefixKey, ...this.guardOf(group, prefixStore.redis) }).follow(endpoints);
    } catch (error) {
      if (error instanceof MissingSecretError) return this.without(key, error.message);
      throw error;
    }
  }

  /** Closes those of all other groups. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of [...this.open.keys(), ...this.refused.keys()]) if (!keys.has(key)) this.without(key);
  }

  /** The engine at the slot has restarted or has another owner; whether a store has seen to it. */
  forget(slot: number): boolean {
    let seen = false;
    for (const { store, endpoints } of this.open.values()) {
      if (!endpoints.some((endpoint) => endpoint.slot === slot)) continue;
      store.forget(slot);
      seen = true;
    }
    return seen;
  }

  /** Whether all that other replicas have told so far is known here. */
  get warm(): boolean {
    for (const { store } of this.open.values()) if (!store.state.warm) return false;
    return true;
  }

  /** By key of the group. */
  states(): Map<string, StoreState> {
    const states = new Map<string, StoreState>();
    for (const [key, reason] of this.refused) states.set(key, { shared: false, reason });
    for (const [key, { store }] of this.open) {
      const { connected, reason, message } = store.state;
      states.set(key, { shared: connected, reason: connected ? '' : `${reason}: ${message}` });
    }
    return states;
  }

  /** One number of all stores together. */
  sum(count: keyof SharedPrefixStore['counters']): number {
    let sum = 0;
    for (const { store } of this.open.values()) sum += store.counters[count];
    return sum;
  }

  /** Names of Services are resolved under guard: who may write a group may also write what its names mean. */
  private guardOf({ metadata }: BackendGroup, { service }: RedisStore): Pick<Wanted, 'lookup'> {
    const { discovery = {} } = this.options;
    if (service === undefined || discovery.refusalOf === undefined) return {};
    const named = { namespace: metadata.namespace ?? 'default', name: service.name };
    // What is refused is told as what went wrong with connecting.
    return {
      lookup: guardedLookup(
        (address) => discovery.refusalOf?.(named, address) ?? null,
        () => undefined,
      ),
    };
  }

  private known(key: string, wanted: Wanted): Open {
    const { target } = wanted;
    const known = this.open.get(key);
    if (known !== undefined && isSame(known.target, target)) return known;
    this.without(key);
    const made = new Open(target, this.connect(key, wanted));
    this.open.set(key, made);
    return made;
  }

  private connect(key: string, { target, prefixKey, lookup }: Wanted): SharedPrefixStore {
    const { index, clock, startedAt } = this.options;
    return new SharedPrefixStore({
      connect: () => connectRedis(target, clock, lookup),
      index,
      prefixKey,
      stream: `hermes:{${key}}:prefixes`,
      clock,
      random: Math.random,
      startedAt,
      onState: (state) => this.told(key, state),
    });
  }

  private told(group: string, { connected, reason, message }: SharedPrefixState): void {
    const { log } = this.options;
    if (connected) log.info('prefixes are shared', { group });
    else if (reason !== 'Connecting') log.warn('prefixes are not shared; each replica goes by its own', { group, reason, error: message }); // prettier-ignore
  }

  private without(key: string, reason = ''): null {
    this.open.get(key)?.store.close();
    this.open.delete(key);
    if (reason === '') this.refused.delete(key);
    else if (this.refused.get(key) !== reason) {
      this.refused.set(key, reason);
      this.options.log.error('prefixes are not shared', { group: key, reason });
    }
    return null;
  }
}

const isSame = (a: RedisTarget, b: RedisTarget): boolean => JSON.stringify(a) === JSON.stringify(b);
