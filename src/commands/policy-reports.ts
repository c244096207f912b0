import type { PolicyReport } from '../observability/replica-report.ts';
import type { ScoreBook } from '../observability/score-book.ts';
import { idleStats, type Traffic } from '../observability/traffic.ts';
import type { Explanation } from '../router/explanation.ts';
import type { RoutingTable } from '../router/table.ts';

/** Where the reports come from. */
export interface ReportParts {
  readonly traffic: Traffic;
  readonly book: ScoreBook<Explanation>;
  /** `metadata.generation` of what is in force of a policy; 0 where it is not known. */
  readonly generationOf: (policy: string) => number;
}

/** The policies of `/api/v1/stats`: every one in the table, with or without traffic. */
export function policyReports(table: RoutingTable, { traffic, book, generationOf }: ReportParts): PolicyReport[] {
  const stats = new Map(traffic.stats().map((one) => [one.policy, one]));
  return table.policies.map((policy) => ({
    ...(stats.get(policy.key) ?? idleStats(policy.key)),
    generation: generationOf(policy.key),
    scores: book.scores(policy),
  }));
}
