import type { BackendGroup } from '../api/backend-group.ts';
import { parseDuration } from '../api/duration.ts';
import { keyOf, type GroupSurroundings } from '../controller/compile.ts';
import type { ApproximateIndex } from '../indexer/approximate.ts';
import { createManagerLookup, ManagerSource, type ManagerFailure, type OpenManagerLookup } from '../indexer/manager.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../router/clock.ts';
import { noPrefixSource } from '../router/prefix.ts';

interface Open {
  /** URL and time-out: a change of either makes a new one. */
  readonly settings: string;
  readonly open: OpenManagerLookup;
}

/** The prefix source of every group, and the connections to external KV managers. */
export class PrefixSources {
  readonly failures = new Map<ManagerFailure, number>();
  private readonly index: ApproximateIndex;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly managers = new Map<string, Open>();
  private readonly managerSource = new ManagerSource();

  /** `log` should be rate limited: a dead manager fails for every request. */
  constructor(index: ApproximateIndex, clock: Clock, log: Log) {
    this.index = index;
    this.clock = clock;
    this.log = log;
  }

  of(group: BackendGroup): Pick<GroupSurroundings, 'prefixSource' | 'managerLookup'> {
    const { kvCache } = group.spec;
    if (kvCache.type === 'None') return { prefixSource: noPrefixSource };
    if (kvCache.type === 'Approximate') return { prefixSource: this.index };
    return { prefixSource: this.managerSource, managerLookup: this.manager(group).lookup };
  }

  /** Closes connections of groups that are gone or no longer ask a manager. */
  retain(groups: readonly BackendGroup[]): void {
    const asking = new Set(
      groups.filter((group) => group.spec.kvCache.type === 'Manager').map((group) => keyOf(group.metadata)),
    );
    for (const [key, { open }] of this.managers) {
      if (asking.has(key)) continue;
      this.managers.delete(key);
      this.close(open);
    }
  }

  private manager(group: BackendGroup): OpenManagerLookup {
    const key = keyOf(group.metadata);
    const { url, timeout } = managerAddress(group);
    const settings = `${url.href} ${timeout}`;
    const known = this.managers.get(key);
    if (known?.settings === settings) return known.open;
    if (known !== undefined) this.close(known.open);
    const open = createManagerLookup({
      url,
      timeout,
      random: Math.random,
      clock: this.clock,
      onFailure: (reason) => this.failed(key, reason),
    });
    this.managers.set(key, { settings, open });
    return open;
  }

  private failed(group: string, reason: ManagerFailure): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
    this.log.warn('KV manager gives no answer; requests are routed without its hits', { group, reason });
  }

  private close(open: OpenManagerLookup): void {
    open.close().catch((error: unknown) => this.log.warn('closing a KV manager failed', { error: String(error) }));
  }
}

function managerAddress(group: BackendGroup): { url: URL; timeout: number } {
  const { kvCache } = group.spec;
  if (kvCache.type !== 'Manager') throw new TypeError(`group ${group.metadata.name} asks no KV manager`);
  const { service, url, path, timeout } = kvCache.manager;
  const origin = url ?? `http://${service?.name}.${group.metadata.namespace}:${service?.port}`;
  // Set, not resolved: a path like //other would name another host.
  const address = new URL(origin);
  address.pathname = path;
  return { url: address, timeout: parseDuration(timeout) };
}
