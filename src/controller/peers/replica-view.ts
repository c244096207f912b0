import type { PolicyReport, ReplicaReport } from '../../observability/replica-report.ts';

/** One replica of the router as the leader sees it now. */
export interface ReplicaView {
  /** Name of the replica; its address while it has never told a name. */
  readonly replica: string;
  /** `silent`: it does not answer, or what it answers cannot be read; nobody knows what it runs. */
  readonly state: 'ready' | 'notReady' | 'silent';
  /** By `namespace/name`; empty for a silent one. */
  readonly policies: ReadonlyMap<string, PolicyReport>;
}

/** The view of a replica that has told of itself. */
export function viewOf(report: ReplicaReport): ReplicaView {
  return {
    replica: report.replica,
    state: report.ready ? 'ready' : 'notReady',
    policies: new Map(report.policies.map((policy) => [policy.policy, policy])),
  };
}

const nothing: ReadonlyMap<string, PolicyReport> = new Map();

/** The view of a replica that should be there and tells nothing. */
export const silentView = (replica: string): ReplicaView => ({ replica, state: 'silent', policies: nothing });
