import { met, unmet, type Condition } from '../../controller/conditions.ts';
import type { ManagerLookups } from '../manager-lookups.ts';
import type { EventFollower } from './group-events.ts';
import type { SharedStores } from './shared-stores.ts';

const type = 'CacheKnown';

export interface CacheParts {
  readonly follower: EventFollower;
  readonly stores: SharedStores;
  readonly managers: ManagerLookups;
}

/** Whether the router knows what the caches of a group hold, where that hangs on others: by key of the group. */
export function cacheConditions({ follower, stores, managers }: CacheParts): Map<string, readonly Condition[]> {
  const found = new Map<string, readonly Condition[]>();
  const add = (key: string, condition: Condition): void => void found.set(key, [...(found.get(key) ?? []), condition]);
  for (const [key, { live, total, trouble }] of follower.groups()) {
    if (trouble === null) add(key, met(type, 'the KV events of all endpoints arrive'));
    else {
      const which = `of ${total - live} of ${total} endpoints do not arrive (${trouble.endpoint}: ${trouble.reason})`;
      add(key, unmet(type, 'EventsMissing', `the KV events ${which}; their hits are guessed from what was sent`));
    }
  }
  for (const [key, { shared, reason }] of stores.states()) {
    if (shared) add(key, met(type, 'prefixes are shared with the other replicas'));
    else add(key, unmet(type, 'NotShared', `prefixes are not shared (${reason}); each replica goes by its own`));
  }
  for (const [key, failure] of managers.troubles()) {
    if (failure === null) add(key, met(type, 'the KV manager answers'));
    else
      add(
        key,
        unmet(type, 'ManagerFailing', `the KV manager gives no answer (${failure}); requests go without its hits`),
      );
  }
  return found;
}

/** Tells of groups about whose caches something else is known than at the last look. */
export class CacheWatch {
  private last = new Map<string, string>();

  /** Keys of groups whose conditions have changed. */
  look(conditions: ReadonlyMap<string, readonly Condition[]>): string[] {
    const now = new Map<string, string>();
    for (const [key, list] of conditions) now.set(key, JSON.stringify(list));
    const keys = new Set([...this.last.keys(), ...now.keys()]);
    const changed = [...keys].filter((key) => this.last.get(key) !== now.get(key));
    this.last = now;
    return changed;
  }
}
