import type { BackendGroup } from '../api/backend-group.ts';
import type { FileFault } from '../api/documents.ts';
import type { AcceptedPolicy, BrokenGroup, BrokenPolicy } from './compile.ts';
import type { Secrets } from './secrets.ts';

/** What files or a cluster say now, bad parts replaced by their last good versions. */
export interface ResourceSnapshot {
  readonly groups: readonly BackendGroup[];
  /** Since when groups say what they say, in milliseconds since 1970; absent in files, where there is no time. */
  readonly declaredSince?: ReadonlyMap<BackendGroup, number>;
  readonly policies: readonly AcceptedPolicy[];
  readonly broken: readonly BrokenPolicy[];
  readonly brokenGroups?: readonly BrokenGroup[];
  readonly secrets: Secrets;
  /** Of files; those of a cluster's objects are told in their status. */
  readonly faults: readonly FileFault[];
  /** Keys (`Kind namespace/name`) of which an older version is in force than the sources hold. */
  readonly lastGoodInForce: ReadonlySet<string>;
}

/** Where nothing has been read, or there is nothing to read. */
export const noResources: ResourceSnapshot = Object.freeze({
  groups: [],
  policies: [],
  broken: [],
  secrets: new Map(),
  faults: [],
  lastGoodInForce: new Set<string>(),
});
