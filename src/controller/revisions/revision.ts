import { createHash } from 'node:crypto';
import { decodeResource, type Resource } from '../../api/decode.ts';
import { apiVersion } from '../../api/resource.ts';
import { isObject } from '../../api/schema-node.ts';
import type { KubeObject } from '../kube/contract.ts';

/** The last accepted version of an object. */
export interface Kept {
  readonly uid: string;
  /** `metadata.generation` of that version. */
  readonly generation: number;
  readonly resource: Resource;
}

/** An owned ControllerRevision (apps/v1), as it is sent. */
export interface Revision extends KubeObject {
  readonly metadata: KubeObject['metadata'] & {
    readonly namespace: string;
    readonly ownerReferences: readonly OwnerReference[];
  };
  readonly revision: number;
  readonly data: { readonly kind: string; readonly generation: number; readonly spec: Resource['spec'] };
}

interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** Which router's revisions these are; lists select by it. */
export const classLabel = 'hermes-router.io/router-class';

const shortNames = { BackendGroup: 'bg', RoutingPolicy: 'rp' } as const;

/**
 * Name of the revision of one version of an object. Uid and generation make a spec what it is, so that who keeps the
 * same version twice meets the name that is there; the hash keeps long names of objects out of it.
 */
export function revisionName({ uid, generation, resource }: Kept): string {
  const hash = createHash('sha256').update(`${resource.kind} ${uid}`).digest('hex').slice(0, 20);
  return `hermes-${shortNames[resource.kind]}-${hash}-${generation}`;
}

/**
 * The revision that keeps an accepted version. The spec is as decoded: it holds known fields only, of which those that
 * concern secrets name them. The owner's end is the revision's: the garbage collector removes it.
 */
export function toRevision(kept: Kept): Revision {
  const { uid, generation, resource } = kept;
  const { kind, metadata, spec } = resource;
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: revisionName(kept),
      namespace: metadata.namespace ?? 'default',
      labels: { [classLabel]: spec.routerClassName },
      ownerReferences: [{ apiVersion, kind, name: metadata.name, uid }],
    },
    revision: generation,
    data: { kind, generation, spec },
  };
}

/**
 * What a revision keeps; null for one that is not ours, that was tampered with, or whose spec this version of the
 * router does not take: then there is no last good version, which is no error.
 */
export function fromRevision(revision: unknown): Kept | null {
  if (!isObject(revision) || !isObject(revision.metadata) || !isObject(revision.data)) return null;
  const { metadata, data } = revision;
  const owner = records(metadata.ownerReferences).find(
    (one) => one.apiVersion === apiVersion && one.kind === data.kind,
  );
  if (owner === undefined || typeof owner.uid !== 'string' || typeof data.generation !== 'number') return null;
  const decoded = decodeResource({
    apiVersion,
    kind: data.kind,
    metadata: { name: owner.name, namespace: metadata.namespace },
    spec: data.spec,
  });
  if (!decoded.ok) return null;
  const kept: Kept = { uid: owner.uid, generation: data.generation, resource: decoded.resource };
  return revisionName(kept) === metadata.name ? kept : null;
}

/**
 * The last good versions by uid of the object, the newest of each. By uid, not by name: what an object that is gone
 * was like says nothing of another by its name.
 */
export function lastGood(revisions: readonly unknown[], routerClass: string): Map<string, Kept> {
  const newest = new Map<string, Kept>();
  for (const revision of revisions) {
    const kept = fromRevision(revision);
    if (kept === null || kept.resource.spec.routerClassName !== routerClass) continue;
    if ((newest.get(kept.uid)?.generation ?? -1) < kept.generation) newest.set(kept.uid, kept);
  }
  return newest;
}

function records(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
