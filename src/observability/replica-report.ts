import type { PolicyStats } from './traffic.ts';

/** How an endpoint scored lately under one policy. */
export interface EndpointScore {
  readonly name: string;
  /** Name of its BackendGroup. */
  readonly group: string;
  /** Requests that it got in the last minute. */
  readonly picks: number;
  /** Mean of its scores in the decisions that were looked at. */
  readonly score: number;
  readonly breakdown: readonly { readonly scorer: string; readonly value: number; readonly weight: number }[];
}

/** One policy as a replica runs it. */
export interface PolicyReport extends PolicyStats {
  /** `metadata.generation` of what is in force here; 0 where that is not known. */
  readonly generation: number;
  readonly scores: readonly EndpointScore[];
}

/** What a replica tells of itself at `/api/v1/stats`; the leader gathers it for the status of the resources. */
export interface ReplicaReport {
  /** Name of the replica: the pod's name. */
  readonly replica: string;
  readonly ready: boolean;
  /** Every policy in the table, with or without traffic. */
  readonly policies: readonly PolicyReport[];
}
