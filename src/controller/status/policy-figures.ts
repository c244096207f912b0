import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { PolicyReport } from '../../observability/replica-report.ts';
import type { ReplicaView } from '../peers/replica-view.ts';
import { wholeNumber, wholePercent } from './wording.ts';

type Traffic = NonNullable<RoutingPolicyStatus['traffic']>;

/** What the replicas tell of one policy. */
export function reportsOf(key: string, replicas: readonly ReplicaView[]): PolicyReport[] {
  return replicas.map(({ policies }) => policies.get(key)).filter((report) => report !== undefined);
}

/**
 * Traffic of a policy over all replicas. Requests and errors are sums. The hit rate is the mean of the replicas'
 * weighted by their requests. So are the percentiles, over the replicas that saw a first token: exact for one replica
 * or where replicas see the same traffic, which a Service in front of them brings about, and never outside the range
 * of the replicas' percentiles, in which the percentile of all requests lies too. Without a request the rates are
 * left out.
 */
export function trafficOf(reports: readonly PolicyReport[], observedReplicas: number): Traffic {
  const hit = weighted(reports, (report) => report.prefixHitPercent);
  const timed = reports.filter((report) => report.ttftP90Milliseconds > 0);
  const p50 = weighted(timed, (report) => report.ttftP50Milliseconds);
  const p90 = weighted(timed, (report) => report.ttftP90Milliseconds);
  return {
    windowSeconds: wholeNumber(reports.reduce((longest, report) => Math.max(longest, report.windowSeconds), 60)),
    observedReplicas: wholeNumber(observedReplicas),
    requestsPerMinute: wholeNumber(sum(reports, (report) => report.requestsPerMinute)),
    errorsPerMinute: wholeNumber(sum(reports, (report) => report.errorsPerMinute)),
    ...(hit === null ? {} : { prefixHitPercent: wholePercent(hit) }),
    ...(p50 === null ? {} : { ttftP50Milliseconds: wholeNumber(p50) }),
    ...(p90 === null ? {} : { ttftP90Milliseconds: wholeNumber(p90) }),
  };
}

function sum(reports: readonly PolicyReport[], value: (report: PolicyReport) => number): number {
  return reports.reduce((total, report) => total + value(report), 0);
}

/** Mean weighted by requests; null without any. */
function weighted(reports: readonly PolicyReport[], value: (report: PolicyReport) => number): number | null {
  const requests = sum(reports, (report) => report.requestsPerMinute);
  return requests === 0 ? null : sum(reports, (report) => report.requestsPerMinute * value(report)) / requests;
}
