import type { BackendGroup } from '../api/backend-group.ts';
import { keyOf } from '../controller/compile.ts';
import type { ApproximateIndex } from '../indexer/approximate.ts';
import { ManagerSource } from '../indexer/manager.ts';
import { noPrefixSource } from '../router/prefix.ts';
import type { GroupAround, GroupSources } from './group-sources.ts';
import type { KVRoom } from './kv/room.ts';
import type { ManagerLookups } from './manager-lookups.ts';

/** Whether a group goes by more than this router's own memory or a KV manager: for these a room is loaded. */
export function needsRoom({ spec: { kvCache } }: BackendGroup): boolean {
  return kvCache.type === 'Events' || kvCache.prefixStore?.type === 'Redis';
}

/** The prefix source of every group. */
export class PrefixSources {
  /** Null while no group has needed it; groups that do go by what was sent there until it is loaded. */
  room: KVRoom | null = null;
  private readonly index: ApproximateIndex;
  private readonly managers: ManagerLookups;
  private readonly managerSource = new ManagerSource();

  constructor(index: ApproximateIndex, managers: ManagerLookups) {
    this.index = index;
    this.managers = managers;
  }

  of(group: BackendGroup, around: GroupAround): GroupSources {
    switch (group.spec.kvCache.type) {
      case 'None':
        return { prefixSource: noPrefixSource };
      case 'Manager':
        return { prefixSource: this.managerSource, managerLookup: this.managers.of(group, around.secrets) };
      case 'Approximate':
      case 'Events':
        return this.room?.of(group, around) ?? { prefixSource: this.index };
    }
  }

  /** Closes look-ups of groups that are gone or ask no manager any more. */
  retain(groups: readonly BackendGroup[]): void {
    const asking = groups.filter(({ spec }) => spec.kvCache.type === 'Manager');
    this.managers.retain(new Set(asking.map(({ metadata }) => keyOf(metadata))));
  }
}
