import type { BackendGroup } from '../api/backend-group.ts';
import { keyOf } from '../controller/compile.ts';
import type { Condition } from '../controller/conditions.ts';
import { resolveConnection, type ResolvedConnection } from '../controller/connection.ts';
import type { Discovery, Found } from '../controller/found.ts';
import type { Secrets } from '../controller/secrets.ts';
import type { GroupTarget } from '../datalayer/targets.ts';
import type { Connection } from '../router/policy.ts';
import { groupTarget } from './group-target.ts';

interface Entry {
  readonly group: BackendGroup;
  readonly found: Found;
  readonly resolved: ResolvedConnection;
  readonly target: GroupTarget;
}

/** What is known of every group beside its resource; kept as it is where nothing has changed. */
export class GroupTargets {
  private entries = new Map<string, Entry>();
  /** The same by the very group, so that thousands of unchanged ones cost no key each. */
  private byGroup = new Map<BackendGroup, Entry>();

  /** Takes in the groups as they are now. */
  update(groups: readonly BackendGroup[], secrets: Secrets, discovery: Discovery): void {
    const entries = new Map<string, Entry>();
    const byGroup = new Map<BackendGroup, Entry>();
    for (const group of groups) {
      const same = this.byGroup.get(group);
      const key = same?.target.key ?? keyOf(group.metadata);
      const resolved = same !== undefined && !namesSecret(group) ? same.resolved : resolveConnection(group, secrets);
      const entry = made(group, discovery.find(group), resolved, same ?? this.entries.get(key));
      entries.set(key, entry);
      byGroup.set(group, entry);
    }
    this.entries = entries;
    this.byGroup = byGroup;
  }

  get targets(): GroupTarget[] {
    return [...this.entries.values()].map(({ target }) => target);
  }

  connection(key: string): Connection {
    return this.entry(key).resolved.connection;
  }

  discovered(key: string): Condition {
    return this.entry(key).found.condition;
  }

  /** Whether the group's models are those that its engines name. */
  learnsModels(key: string): boolean {
    return this.entries.get(key)?.target.learnModels === true;
  }

  /** Secrets that groups name and nobody has, by group. */
  *missing(): Iterable<{ group: string; secret: string }> {
    for (const [group, { resolved }] of this.entries) for (const secret of resolved.missing) yield { group, secret };
  }

  private entry(key: string): Entry {
    const entry = this.entries.get(key);
    if (entry === undefined) throw new Error(`no group ${key} is known`);
    return entry;
  }
}

function namesSecret({ spec }: BackendGroup): boolean {
  return spec.connection.caSecretRef !== undefined || spec.connection.apiKeySecretRef !== undefined;
}

function made(group: BackendGroup, found: Found, resolved: ResolvedConnection, known: Entry | undefined): Entry {
  const kept = known !== undefined && sameConnection(known.resolved, resolved) ? known.resolved : resolved;
  if (known?.group === group && known.resolved === kept && known.found.seeds === found.seeds)
    return known.found === found ? known : { ...known, found };
  return { group, found, resolved: kept, target: groupTarget(group, kept.connection, found.seeds) };
}

function sameConnection(a: ResolvedConnection, b: ResolvedConnection): boolean {
  const { connection: one } = a;
  const { connection: other } = b;
  return (
    one.scheme === other.scheme &&
    one.ca === other.ca &&
    one.serverName === other.serverName &&
    one.apiKey === other.apiKey &&
    one.forwardAuthorization === other.forwardAuthorization &&
    a.missing.join() === b.missing.join()
  );
}
