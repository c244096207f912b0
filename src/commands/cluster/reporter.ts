import type { ResourceState } from '../../controller/cluster-state.ts';
import type { EventNote, EventRecorder } from '../../controller/kube/events.ts';
import { isGroupStatus, isPolicyStatus } from '../../controller/status/read-status.ts';
import type { WatchedResource } from '../../controller/watched.ts';
import type { FleetEvent, FleetEventType } from '../../datalayer/report.ts';

interface ToldCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export interface ReporterIdentity {
  readonly routerClass: string;
  readonly replica: string;
  readonly namespace: string;
}

/** Endpoint events that a person should see; the others are in the log and the metrics. */
const warnings: ReadonlySet<FleetEventType> = new Set(['EndpointEjected', 'EndpointUnhealthy', 'SlotsExhausted']);
const silent: ReadonlySet<FleetEventType> = new Set(['MetricsStale']);

/** Turns what happens into Kubernetes Events on the objects concerned; used by the replica that leads. */
export class Reporter {
  private readonly recorder: EventRecorder;
  private readonly identity: ReporterIdentity;
  /** What was told of an object last, by its id: a condition that stays is no event. */
  private readonly told = new Map<string, string>();

  constructor(recorder: EventRecorder, identity: ReporterIdentity) {
    this.recorder = recorder;
    this.identity = identity;
  }

  get failures(): number {
    return this.recorder.failures;
  }

  /** A status was made: Accepted and LastGoodInForce are told when they change. */
  status({ watched }: ResourceState, status: { readonly conditions?: readonly ToldCondition[] }): void {
    const accepted = status.conditions?.find(({ type }) => type === 'Accepted');
    const lastGood = status.conditions?.find(({ reason }) => reason === 'LastGoodInForce');
    if (accepted === undefined) return;
    const now = wordsOf(watched, accepted, lastGood);
    const before = this.told.get(watched.id) ?? toldEarlier(watched);
    this.told.set(watched.id, now);
    if (before === now) return;
    const good = accepted.status === 'True';
    this.record(watched, {
      type: good ? 'Normal' : 'Warning',
      reason: good ? 'Accepted' : 'Refused',
      note: accepted.message,
    });
    if (lastGood !== undefined)
      this.record(watched, { type: 'Warning', reason: 'LastGoodInForce', note: lastGood.message });
  }

  fleet(group: WatchedResource, { type, endpoint, message }: FleetEvent): void {
    if (silent.has(type)) return;
    this.record(group, {
      type: warnings.has(type) ? 'Warning' : 'Normal',
      reason: type,
      note: `${endpoint}: ${message}`,
    });
  }

  /** This replica leads now: told on its Lease. */
  leading(): void {
    const { routerClass, replica, namespace } = this.identity;
    this.recorder.record({
      regarding: {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: `hermes-router-${routerClass}`, namespace },
      },
      type: 'Normal',
      reason: 'LeaderElected',
      action: 'Lead',
      note: `${replica} writes the status of router class ${routerClass}`,
    });
  }

  /** The object is gone: one that is made anew by its name is told of anew. */
  forget(id: string): void {
    this.told.delete(id);
  }

  close(): void {
    this.recorder.close();
  }

  private record(watched: WatchedResource, note: Pick<EventNote, 'type' | 'reason' | 'note'>): void {
    const { kind, name, namespace, uid, resourceVersion } = watched;
    this.recorder.record({
      regarding: {
        apiVersion: 'hermes-router.io/v1alpha1',
        kind,
        metadata: { name, namespace, uid, resourceVersion },
      },
      action: 'Reconcile',
      ...note,
    });
  }
}

function wordsOf(
  { uid, generation }: WatchedResource,
  accepted: ToldCondition,
  lastGood: ToldCondition | undefined,
): string {
  return `${uid} ${accepted.status} ${accepted.reason} ${lastGood === undefined ? '' : generation}`;
}

/** What the status says that another leader has written: a new leader does not tell all of it again. */
function toldEarlier(watched: WatchedResource): string {
  const { status } = watched;
  if (!isPolicyStatus(status) && !isGroupStatus(status)) return '';
  const accepted = status.conditions?.find(({ type }) => type === 'Accepted');
  if (accepted?.observedGeneration === undefined) return '';
  return wordsOf(
    watched,
    accepted,
    status.conditions?.find(({ reason }) => reason === 'LastGoodInForce'),
  );
}
