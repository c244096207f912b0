import type { BackendGroupStatus } from '../../api/backend-group-status.ts';
import { pluralOf } from '../../api/kinds.ts';
import { apiVersion } from '../../api/resource.ts';
import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { KubeRequest } from '../kube/contract.ts';
import { Outbox, type OutboxOptions, type WriteResult } from './outbox.ts';
import { isGroupStatus, isPolicyStatus } from './read-status.ts';
import { worthWriting } from './worth-writing.ts';

type AnyStatus = RoutingPolicyStatus | BackendGroupStatus;
type Kind = 'RoutingPolicy' | 'BackendGroup';

/** An object as the API server was last seen to have it. */
export interface StatusTarget {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Its `status` as it stands there, whoever wrote it. */
  readonly status: unknown;
}

export interface StatusWriterOptions extends Omit<OutboxOptions, 'what'> {
  /** Milliseconds between two writes of an object of which only figures have moved (`--status-interval`). */
  readonly interval: number;
}

/** What is known of an object's status. */
interface Entry {
  readonly uid: string;
  /** The version that the reflector showed last. */
  seen: string;
  /** The status that the object has. */
  known: AnyStatus | undefined;
  /** Sent and not answered. */
  underWay: AnyStatus | null;
  /** When it was sent last, in milliseconds of the clock; -Infinity where this leader has sent none. */
  sentAt: number;
}

const fieldManager = 'hermes-router';

/**
 * Brings status to the API server while this replica leads. It writes what is worth writing compared with what the
 * object has there, so that a new leader writes nothing where all is right. Call `put` again and again: figures that
 * wait for the interval are taken when their time has come.
 */
export class StatusWriter {
  private readonly options: StatusWriterOptions;
  private readonly outbox: Outbox;
  private readonly entries = new Map<string, Entry>();
  private leading = false;

  constructor(options: StatusWriterOptions) {
    this.options = options;
    this.outbox = new Outbox({ ...options, what: 'status' });
  }

  /** Writes by result, for metrics. */
  get results(): ReadonlyMap<WriteResult, number> {
    return this.outbox.results;
  }

  /** Objects that wait to be written. */
  get waiting(): number {
    return this.outbox.waiting;
  }

  lead(): void {
    this.leading = true;
  }

  /** Somebody else leads, or this replica ends: nothing more is written, and nothing remembered. */
  resign(): void {
    this.leading = false;
    this.entries.clear();
    this.outbox.clear();
  }

  /** The status that an object is to have; does nothing while this replica does not lead. */
  put(target: StatusTarget, next: AnyStatus): void {
    if (!this.leading) return;
    const { clock, interval } = this.options;
    const key = keyOf(target);
    const entry = this.entryOf(key, target);
    const known = entry.underWay ?? entry.known;
    const change = worthWriting(known, next, clock.now() - entry.sentAt, interval);
    if (change === 'none') {
      // The object has, or is about to have, what it should: an older write that waits would undo that.
      this.outbox.drop(key);
      return;
    }
    this.outbox.put({
      key,
      namespace: target.namespace,
      urgent: change === 'meaning',
      request: () => applyRequest(target, entry.seen, next),
      sent: () => {
        entry.underWay = next;
        entry.sentAt = clock.now();
      },
      settled: (result) => {
        entry.underWay = null;
        if (result === 'written') entry.known = next;
        // Whose object has gone meanwhile says nothing of the one that has its name now.
        return result === 'written' || result === 'gone' || this.entries.get(key) !== entry;
      },
    });
  }

  /** The API server has another version of an object: a write that waits builds on it, or is dropped with its object. */
  seen(target: StatusTarget): void {
    const key = keyOf(target);
    if (this.entries.has(key)) this.entryOf(key, target);
  }

  /** The object is gone. */
  forget(target: Pick<StatusTarget, 'kind' | 'namespace' | 'name'>): void {
    const key = keyOf(target);
    this.entries.delete(key);
    this.outbox.forget(key);
  }

  private entryOf(key: string, target: StatusTarget): Entry {
    let entry = this.entries.get(key);
    if (entry === undefined || entry.uid !== target.uid) {
      // Another object by the same name owes nothing to the one before.
      if (entry !== undefined) this.outbox.forget(key);
      const { uid, resourceVersion } = target;
      entry = { uid, seen: resourceVersion, known: readStatus(target), underWay: null, sentAt: -Infinity };
      this.entries.set(key, entry);
    }
    // Until the reflector moves on, what was written is newer than what it shows.
    if (entry.seen !== target.resourceVersion) {
      entry.seen = target.resourceVersion;
      entry.known = readStatus(target);
    }
    return entry;
  }
}

const keyOf = ({ kind, namespace, name }: Pick<StatusTarget, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace}/${name}`;

/** A status that does not fit the schema was written by nobody we know: any other is news. */
function readStatus({ kind, status }: StatusTarget): AnyStatus | undefined {
  if (kind === 'RoutingPolicy') return isPolicyStatus(status) ? status : undefined;
  return isGroupStatus(status) ? status : undefined;
}

/**
 * Server-side apply: docs/design/0008-status.md says why. The version keeps it off an object that was made anew: of a
 * custom resource's status the API server does not compare the uid.
 */
function applyRequest(target: StatusTarget, resourceVersion: string, status: AnyStatus): KubeRequest {
  const { kind, namespace, name } = target;
  const path = `/apis/${apiVersion}/namespaces/${namespace}/${pluralOf(kind)}/${name}/status`;
  return {
    method: 'PATCH',
    path: `${path}?fieldManager=${fieldManager}&force=true`,
    contentType: 'application/apply-patch+yaml',
    body: { apiVersion, kind, metadata: { name, namespace, resourceVersion }, status },
  };
}
