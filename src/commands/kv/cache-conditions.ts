import { met, unmet, type Condition } from '../../controller/conditions.ts';
import type { ManagerLookups } from '../manager-lookups.ts';
import type { GroupEvents } from './group-events.ts';
import type { KVRoom } from './room.ts';
import type { StoreState } from './shared-stores.ts';

const type = 'CacheKnown';

export interface CacheParts {
  readonly room: Pick<KVRoom, 'follower' | 'stores'> | null;
  readonly managers: ManagerLookups;
}

/** Whether the router knows what the caches of a group hold, where that hangs on others: by key of the group. */
export function cacheConditions({ room, managers }: CacheParts): Map<string, readonly Condition[]> {
  const found = new Map<string, readonly Condition[]>();
  const add = (key: string, condition: Condition): void => void found.set(key, [...(found.get(key) ?? []), condition]);
  for (const [key, events] of room?.follower.groups() ?? []) add(key, ofEvents(events));
  for (const [key, store] of room?.stores.states() ?? []) add(key, ofStore(store));
  for (const [key, failure] of managers.troubles()) add(key, ofManager(failure));
  return found;
}

function ofEvents({ live, total, trouble }: GroupEvents): Condition {
  if (trouble === null) return met(type, 'the KV events of all endpoints arrive');
  const which = `of ${total - live} of ${total} endpoints do not arrive (${trouble.endpoint}: ${trouble.reason})`;
  return unmet(type, 'EventsMissing', `the KV events ${which}; their hits are guessed from what was sent`);
}

function ofStore({ shared, reason }: StoreState): Condition {
  if (shared) return met(type, 'prefixes are shared with the other replicas');
  return unmet(type, 'NotShared', `prefixes are not shared (${reason}); each replica goes by its own`);
}

function ofManager(failure: string | null): Condition {
  if (failure === null) return met(type, 'the KV manager answers');
  return unmet(type, 'ManagerFailing', `the KV manager gives no answer (${failure}); requests go without its hits`);
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
