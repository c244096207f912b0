import type { FileFault } from '../api/documents.ts';
import type { Condition } from '../controller/conditions.ts';
import type { ResourceSnapshot } from '../controller/resource-snapshot.ts';
import type { Log } from '../observability/log.ts';

/** What resources come as, for the log: `manifests in force`. */
export type ResourceForm = 'manifests' | 'configuration' | 'resources';

export function logInForce(log: Log, form: ResourceForm, { policies, broken, groups, faults }: ResourceSnapshot): void {
  log.info(`${form} in force`, {
    policies: policies.length + broken.length,
    groups: groups.length,
    faults: faults.length,
  });
}

export function logFault(log: Log, form: ResourceForm, { file, line, path, message, cure }: FileFault): void {
  const what = form === 'manifests' ? 'manifest' : form;
  log.warn(`${what} at fault`, { file, line, path, message, cure });
}

/** Tells what discovery says of groups: each condition once, until it is another. */
export class DiscoveryLog {
  private readonly log: Log;
  /** By key of the group. */
  private readonly told = new Map<string, string>();

  constructor(log: Log) {
    this.log = log;
  }

  tell(group: string, { status, reason, message }: Condition): void {
    const words = `${reason} ${message}`;
    if (this.told.get(group) === words) return;
    this.told.set(group, words);
    this.log[status === 'True' ? 'info' : 'warn']('discovery', { group, reason, message });
  }

  /** The group is gone: one by its name is told of anew. */
  forget(group: string): void {
    this.told.delete(group);
  }
}
