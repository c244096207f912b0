import { revisionName, toRevision, type Kept, type Revision } from './revision.ts';

/** A revision that is there. */
export interface PresentRevision {
  readonly namespace: string;
  readonly name: string;
  /** Of the object that it keeps a version of. */
  readonly uid: string;
}

export interface RevisionPlan {
  readonly create: readonly Revision[];
  readonly delete: readonly PresentRevision[];
}

/**
 * What brings the revisions from what is present to what is wanted. The data of a ControllerRevision cannot be
 * changed, so a new version is another revision. The older ones of an object go only when the wanted one is there: at
 * no moment is none kept. Revisions of objects that nothing is wanted of stay: the garbage collector knows better
 * whether those are gone.
 */
export function planRevisions(wanted: readonly Kept[], present: readonly PresentRevision[]): RevisionPlan {
  const byOwner = new Map<string, PresentRevision[]>();
  for (const revision of present) {
    const known = byOwner.get(revision.uid);
    if (known === undefined) byOwner.set(revision.uid, [revision]);
    else known.push(revision);
  }
  const create: Revision[] = [];
  const surplus: PresentRevision[] = [];
  for (const kept of wanted) {
    const name = revisionName(kept);
    const own = byOwner.get(kept.uid) ?? [];
    if (own.some((revision) => revision.name === name))
      surplus.push(...own.filter((revision) => revision.name !== name));
    else create.push(toRevision(kept));
  }
  return { create, delete: surplus };
}
