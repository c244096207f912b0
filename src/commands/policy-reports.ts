import type { EndpointScore, PolicyReport } from '../observability/replica-report.ts';
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

/** Characters for the scores of all policies: most of what a replica takes of another, and some milliseconds to write. */
const room = 2.5 * 1024 * 1024;

/**
 * The policies of `/api/v1/stats`: every one in the table, with or without traffic. Scores are those of endpoints that
 * were picked in the last minute, at most 64 a policy; of very many busy policies each tells of its busiest endpoints
 * only, so that the report of 1,000 stays readable for a peer.
 */
export function policyReports(table: RoutingTable, { traffic, book, generationOf }: ReportParts): PolicyReport[] {
  const stats = new Map(traffic.stats().map((one) => [one.policy, one]));
  const scored = table.policies.map((policy) => ({
    policy,
    picked: book.scores(policy).filter(({ picks }) => picks > 0),
  }));
  let busy = scored.filter(({ picked }) => picked.length > 0).length;
  let left = room;
  return scored.map(({ policy, picked }) => {
    const { told, taken } = fitting(picked, left / busy);
    if (picked.length > 0) busy -= 1;
    left -= taken;
    return {
      ...(stats.get(policy.key) ?? idleStats(policy.key)),
      generation: generationOf(policy.key),
      scores: told,
    };
  });
}

/** As many of the first as fit, and the characters that they may take. */
function fitting(scores: readonly EndpointScore[], length: number): { told: readonly EndpointScore[]; taken: number } {
  let taken = 0;
  for (let i = 0; i < scores.length; i++) {
    const own = longestText(scores[i]);
    if (taken + own > length) return { told: scores.slice(0, i), taken };
    taken += own;
  }
  return { told: scores, taken };
}

/** Characters of a number in JSON with a field's name around it, at most. */
const figure = 36;

/** Characters that a score takes in JSON, at most; to write it would take longer than to send it. */
function longestText({ name, group, breakdown }: EndpointScore): number {
  let length = 3 * figure + name.length + group.length;
  for (const { scorer } of breakdown) length += 2.5 * figure + scorer.length;
  return length;
}
