import type { FileFault } from '../api/documents.ts';
import type { BackendGroup } from '../api/backend-group.ts';
import type { Resource } from '../api/decode.ts';
import { asBrokenGroup, asBrokenPolicy, identityOf } from './broken-policy.ts';
import type { AcceptedPolicy, BrokenGroup, BrokenPolicy } from './compile.ts';
import { notYetDated, readClaims, type ClaimHistory } from './claims.ts';
import type { ResourceSnapshot } from './resource-snapshot.ts';
import type { Secrets } from './secrets.ts';
import { isPolicyStatus } from './status/read-status.ts';
import { hasNewSpec, type WatchedResource } from './watched.ts';

/** A version of a resource that is or was valid. */
export interface GoodVersion {
  readonly resource: Resource;
  readonly generation: number;
  /** Of the object, in milliseconds since 1970. */
  readonly created: number;
}

/** What became of one object. */
export interface ResourceState {
  readonly watched: WatchedResource;
  /** What is in force, or null where no version was ever valid. */
  readonly inForce: GoodVersion | null;
}

/**
 * Our objects of a cluster over time. One that is not valid keeps its last good version in force while the others go
 * on changing; one that is gone is a deletion.
 */
export class ClusterState {
  private readonly states = new Map<string, ResourceState>();
  /** Last good versions that outlived a restart, by the object's uid. */
  private readonly revisions = new Map<string, GoodVersion>();
  private readonly accepted = new WeakMap<GoodVersion, { readonly claims: string; readonly policy: AcceptedPolicy }>();

  /** Takes in an object; true when what is in force or what is known of its faults may have changed. */
  set(watched: WatchedResource): boolean {
    const known = this.states.get(watched.id);
    if (known !== undefined && !hasNewSpec(known.watched, watched)) {
      this.states.set(watched.id, { ...known, watched });
      return claimsText(known.watched) !== claimsText(watched);
    }
    // A new object of an old name has nothing to do with the old one.
    const before = known?.watched.uid === watched.uid ? known.inForce : (this.revisions.get(watched.uid) ?? null);
    this.states.set(watched.id, { watched, inForce: goodVersion(watched) ?? before });
    return true;
  }

  /** True when there was such an object. */
  remove(id: string): boolean {
    return this.states.delete(id);
  }

  /** A last good version of an earlier run: in force where the object, of that uid, is not valid now. */
  remember(uid: string, version: GoodVersion): boolean {
    this.revisions.set(uid, version);
    for (const [id, { watched, inForce }] of this.states) {
      if (watched.uid !== uid || inForce !== null) continue;
      this.states.set(id, { watched, inForce: version });
      return true;
    }
    return false;
  }

  get(id: string): ResourceState | undefined {
    return this.states.get(id);
  }

  all(): Iterable<ResourceState> {
    return this.states.values();
  }

  /** What is to be in force. */
  snapshot(secrets: Secrets): ResourceSnapshot {
    const groups: BackendGroup[] = [];
    const declaredSince = new Map<BackendGroup, number>();
    const policies: AcceptedPolicy[] = [];
    const broken: BrokenPolicy[] = [];
    const brokenGroups: BrokenGroup[] = [];
    const faults: FileFault[] = [];
    const lastGoodInForce = new Set<string>();
    for (const { watched, inForce } of this.states.values()) {
      for (const { path, message, cure } of watched.faults)
        faults.push({ file: watched.id, line: 1, path, message, cure });
      if (inForce === null) {
        broken.push(...brokenPolicy(watched));
        brokenGroups.push(...brokenGroup(watched));
      }
      if (inForce?.resource.kind === 'BackendGroup') {
        groups.push(inForce.resource);
        declaredSince.set(inForce.resource, isOriginal(inForce) ? inForce.created : notYetDated);
      } else if (inForce !== null) policies.push(this.acceptedPolicy(inForce, inForce.resource, watched));
      if (inForce !== null && watched.resource === null) lastGoodInForce.add(watched.id);
    }
    return { groups, declaredSince, policies, broken, brokenGroups, secrets, faults, lastGoodInForce };
  }

  /** The same object for the same version: what is compiled from it is kept by its identity. */
  private acceptedPolicy(
    version: GoodVersion,
    resource: AcceptedPolicy['resource'],
    watched: WatchedResource,
  ): AcceptedPolicy {
    const claims = claimsText(watched);
    const known = this.accepted.get(version);
    if (known?.claims === claims) return known.policy;
    const policy = { resource, created: version.created, history: historyOf(version, watched) };
    this.accepted.set(version, { claims, policy });
    return policy;
  }
}

/** Every change of a spec raises the generation: of the first one nothing was added later. */
const isOriginal = ({ generation }: GoodVersion): boolean => generation === 1;

const recordedOf = ({ kind, status }: WatchedResource) =>
  kind === 'RoutingPolicy' && isPolicyStatus(status) ? status.claims : undefined;

/**
 * Two versions of an object of which the same claims count have the same text. What a first status says of a policy is
 * nothing new: its claims are as old as the policy without being recorded.
 */
function claimsText(watched: WatchedResource): string {
  const claims = [...readClaims(recordedOf(watched))];
  return JSON.stringify(watched.generation === 1 ? claims.filter(([, since]) => since > watched.created) : claims);
}

function historyOf(version: GoodVersion, watched: WatchedResource): ClaimHistory {
  return { recorded: readClaims(recordedOf(watched)), isOriginal: isOriginal(version) };
}

function goodVersion({ resource, generation, created }: WatchedResource): GoodVersion | null {
  return resource === null ? null : { resource, generation, created };
}

function brokenPolicy({ document, created }: WatchedResource): BrokenPolicy[] {
  const identity = identityOf(document);
  return identity?.kind === 'RoutingPolicy' ? [{ ...asBrokenPolicy(document, identity), created }] : [];
}

function brokenGroup({ document }: WatchedResource): BrokenGroup[] {
  const identity = identityOf(document);
  return identity?.kind === 'BackendGroup' ? [asBrokenGroup(document, identity)] : [];
}
