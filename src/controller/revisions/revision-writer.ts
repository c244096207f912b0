import type { KubeRequest } from '../kube/contract.ts';
import { Outbox, type OutboxOptions, type Write, type WriteResult } from '../status/outbox.ts';
import { planRevisions, type PresentRevision } from './plan.ts';
import { fromRevision, revisionName, type Kept, type Revision } from './revision.ts';

/** Keeps the last accepted version of every object in the cluster while this replica leads. */
export class RevisionWriter {
  private readonly outbox: Outbox;
  /** What is there, by uid of the owner and name. */
  private readonly present = new Map<string, Map<string, PresentRevision>>();
  /** Key of the revision that each object is to have. */
  private readonly wanted = new Map<string, string>();
  private leading = false;

  constructor(options: Omit<OutboxOptions, 'what'>) {
    this.outbox = new Outbox({ ...options, what: 'a revision' });
  }

  /** Writes by result, for metrics. */
  get results(): ReadonlyMap<WriteResult, number> {
    return this.outbox.results;
  }

  /** Writes that wait. */
  get waiting(): number {
    return this.outbox.waiting;
  }

  /** This replica leads; `revisions` are all that the cluster has of this router class. */
  lead(revisions: readonly unknown[]): void {
    this.leading = true;
    for (const revision of revisions) {
      const kept = fromRevision(revision);
      if (kept !== null) this.add(presentOf(kept));
    }
  }

  resign(): void {
    this.leading = false;
    this.present.clear();
    this.wanted.clear();
    this.outbox.clear();
  }

  /** The version to keep of an object; does nothing while this replica does not lead. Cheap when it is kept already. */
  keep(kept: Kept): void {
    if (!this.leading) return;
    const { uid } = kept;
    const key = keyOf(uid, revisionName(kept));
    const before = this.wanted.get(uid);
    if (before !== undefined && before !== key) this.outbox.forget(before);
    this.wanted.set(uid, key);
    const plan = planRevisions([kept], [...(this.present.get(uid)?.values() ?? [])]);
    for (const revision of plan.create) this.create(kept, revision);
    for (const surplus of plan.delete) this.remove(surplus);
  }

  /** The object is gone; the garbage collector takes its revisions. */
  forget(uid: string): void {
    const wanted = this.wanted.get(uid);
    if (wanted !== undefined) this.outbox.forget(wanted);
    for (const name of this.present.get(uid)?.keys() ?? []) this.outbox.forget(keyOf(uid, name));
    this.wanted.delete(uid);
    this.present.delete(uid);
  }

  private create(kept: Kept, body: Revision): void {
    const { uid } = kept;
    const key = keyOf(uid, body.metadata.name);
    const { namespace } = body.metadata;
    this.write({ key, namespace }, { method: 'POST', path: pathOf(namespace), body }, (result) => {
      // The name tells uid and generation: who has made it before kept the same version.
      const there = result === 'written' || result === 'conflict';
      if (there) this.add(presentOf(kept));
      if (there && this.wanted.get(uid) === key) this.keep(kept);
      return there || result === 'gone';
    });
  }

  private remove({ namespace, name, uid }: PresentRevision): void {
    const about = { key: keyOf(uid, name), namespace };
    this.write(about, { method: 'DELETE', path: `${pathOf(namespace)}/${name}` }, (result) => {
      const gone = result === 'written' || result === 'gone';
      if (gone) this.present.get(uid)?.delete(name);
      return gone;
    });
  }

  /** What to write of one revision never changes: one that is under way need not be sent again. */
  private write(
    about: Pick<Write, 'key' | 'namespace'>,
    request: KubeRequest,
    settled: (result: WriteResult) => boolean,
  ): void {
    if (this.outbox.isUnderWay(about.key)) return;
    this.outbox.put({ ...about, request: () => request, urgent: request.method === 'POST', sent: () => {}, settled });
  }

  private add(revision: PresentRevision): void {
    const known = this.present.get(revision.uid);
    if (known === undefined) this.present.set(revision.uid, new Map([[revision.name, revision]]));
    else known.set(revision.name, revision);
  }
}

const pathOf = (namespace: string): string => `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`;

const keyOf = (uid: string, name: string): string => `${uid} ${name}`;

const presentOf = (kept: Kept): PresentRevision => ({
  namespace: kept.resource.metadata.namespace ?? 'default',
  name: revisionName(kept),
  uid: kept.uid,
});
