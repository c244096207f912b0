import type { LookupFunction } from 'node:net';
import type { BackendGroup } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import type { Manager } from '../api/kv-cache.ts';
import { keyOf } from '../controller/compile.ts';
import { headerSecret, type HeaderSecret } from '../controller/connection.ts';
import type { Discovery } from '../controller/found.ts';
import type { Secrets } from '../controller/secrets.ts';
import { guardedLookup } from './guarded-lookup.ts';
import { createManagerLookup, type ManagerFailure, type OpenManagerLookup } from '../indexer/manager.ts';
import { rateLimited, type Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import type { LookupQuery, ManagerLookup } from '../router/foreknowledge.ts';

interface Open {
  /** URL and time-out: a change of either makes a new one. */
  readonly settings: string;
  readonly open: OpenManagerLookup;
  /** What the group's requests ask with. */
  readonly lookup: ManagerLookup;
  /** What the manager wants to see, and why there is none; a renewed one costs no connection. */
  token: string | null;
  missing: string | null;
  /** Failures so far, and the last one unless an answer has come since. */
  failures: number;
  trouble: ManagerFailure | null;
}

/** Failures that are the manager's, and not those of one question or of too many. */
const isTrouble = (failure: ManagerFailure): boolean => failure !== 'too_many' && failure !== 'rows_ignored';

export interface ManagerLookupsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** What says where Services may be reached. */
  readonly discovery?: Pick<Discovery, 'refusalOf'>;
}

/** The connections to external KV managers. */
export class ManagerLookups {
  /** By reason, over all groups. */
  readonly failures = new Map<ManagerFailure, number>();
  private readonly clock: Clock;
  private readonly log: Log;
  /** A dead manager fails for every request. */
  private readonly calmLog: Log;
  private readonly discovery: Pick<Discovery, 'refusalOf'>;
  private readonly managed = new Map<string, Open>();

  constructor({ clock, log, discovery = {} }: ManagerLookupsOptions) {
    this.clock = clock;
    this.discovery = discovery;
    this.log = log;
    this.calmLog = rateLimited(log, () => clock.now());
  }

  /** How the group's requests ask its manager, with the token that is in `secrets`. */
  of(group: BackendGroup, secrets: Secrets): ManagerLookup {
    const key = keyOf(group.metadata);
    const manager = managerOf(group);
    const namespace = group.metadata.namespace ?? 'default';
    const address = { ...addressOf(manager, namespace), ...this.guardOf(manager, namespace) };
    const settings = `${address.url.href} ${address.timeout}`;
    let entry = this.managed.get(key);
    if (entry?.settings !== settings) {
      if (entry !== undefined) this.close(entry.open);
      entry = this.open(key, settings, address);
      this.managed.set(key, entry);
    }
    this.authorize(entry, key, headerSecret(manager.tokenSecretRef, namespace, secrets));
    return entry.lookup;
  }

  /** Closes those of all other groups. */
  retain(keys: ReadonlySet<string>): void {
    for (const [key, { open }] of this.managed) {
      if (keys.has(key)) continue;
      this.managed.delete(key);
      this.close(open);
    }
  }

  /** What went wrong last at the KV manager of each group that asks one; null where it answers. */
  troubles(): Map<string, ManagerFailure | null> {
    return new Map([...this.managed].map(([key, { trouble }]) => [key, trouble]));
  }

  /** Names of Services are resolved under guard: who may write a group may also write what its names mean. */
  private guardOf({ service }: Manager, namespace: string): Pick<Address, 'lookup'> {
    const { discovery } = this;
    if (service === undefined || discovery.refusalOf === undefined) return {};
    const named = { namespace, name: service.name };
    const refusal = (address: string): string | null => discovery.refusalOf?.(named, address) ?? null;
    const onRefused = (reason: string): void =>
      this.calmLog.warn('a KV manager is not where its Service may be; it is not asked', { ...named, reason });
    return { lookup: guardedLookup(refusal, onRefused) };
  }

  private open(key: string, settings: string, address: Address): Open {
    const open: OpenManagerLookup = createManagerLookup({
      ...address,
      token: () => entry.token,
      random: Math.random,
      clock: this.clock,
      onFailure: (reason) => this.failed(entry, key, reason),
    });
    const entry: Open = {
      settings,
      open,
      lookup: (query) => this.ask(entry, query),
      token: null,
      missing: null,
      failures: 0,
      trouble: null,
    };
    return entry;
  }

  private authorize(entry: Open, group: string, { value, missing }: HeaderSecret): void {
    if (missing !== null && missing !== entry.missing)
      this.log.warn('a secret is missing; the KV manager is asked without a token', { group, secret: missing });
    entry.token = value;
    entry.missing = missing;
  }

  private async ask(entry: Open, query: LookupQuery): Promise<ReadonlyMap<string, number> | null> {
    const { failures } = entry;
    const hits = await entry.open.lookup(query);
    if (hits !== null && entry.failures === failures) entry.trouble = null;
    return hits;
  }

  private failed(entry: Open, group: string, reason: ManagerFailure): void {
    entry.failures += 1;
    if (isTrouble(reason)) entry.trouble = reason;
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
    this.calmLog.warn('KV manager gives no answer; requests are routed without its hits', { group, reason });
  }

  private close(open: OpenManagerLookup): void {
    open.close().catch((error: unknown) => this.calmLog.warn('closing a KV manager failed', { error: String(error) }));
  }
}

interface Address {
  readonly url: URL;
  /** Milliseconds. */
  readonly timeout: number;
  readonly lookup?: LookupFunction;
}

function managerOf({ metadata, spec }: BackendGroup): Manager {
  if (spec.kvCache.type !== 'Manager') throw new TypeError(`group ${metadata.name} asks no KV manager`);
  return spec.kvCache.manager;
}

function addressOf({ service, url, path, timeout }: Manager, namespace: string): Address {
  const origin = url ?? `http://${service?.name}.${namespace}:${service?.port}`;
  // Set, not resolved: a path like //other would name another host.
  const address = new URL(origin);
  address.pathname = path;
  return { url: address, timeout: parseDuration(timeout) };
}
