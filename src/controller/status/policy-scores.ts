import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { EndpointScore, PolicyReport } from '../../observability/replica-report.ts';
import { decimalText, wholePercent } from './wording.ts';

type Scores = NonNullable<NonNullable<RoutingPolicyStatus['scores']>['endpoints']>;
type Breakdown = EndpointScore['breakdown'];

const mostEndpoints = 32;
const mostScorers = 16;

interface Summed {
  readonly name: string;
  readonly group: string;
  picks: number;
  score: number;
  readonly parts: Map<string, { value: number; picks: number; readonly weight: number }>;
}

/**
 * How the endpoints scored over all replicas, the busiest first, at most 32. Shares are of the requests that all
 * endpoints got; scores are means weighted by picks, since a replica that picked an endpoint more often has seen it
 * more often. Endpoints without a pick are left out.
 */
export function scoresOf(reports: readonly PolicyReport[]): Scores {
  const endpoints = new Map<string, Summed>();
  for (const score of reports.flatMap(({ scores }) => scores)) {
    // One number that is none would make the API server refuse the whole status.
    if (score.picks > 0 && Number.isFinite(score.score)) add(endpoints, score);
  }
  const all = [...endpoints.values()];
  const picks = all.reduce((total, endpoint) => total + endpoint.picks, 0);
  return all
    .sort((a, b) => b.picks - a.picks || compare(a.group, b.group) || compare(a.name, b.name))
    .slice(0, mostEndpoints)
    .map((endpoint) => ({
      name: endpoint.name,
      group: endpoint.group,
      sharePercent: wholePercent((100 * endpoint.picks) / picks),
      score: decimalText(endpoint.score / endpoint.picks),
      breakdown: [...endpoint.parts].slice(0, mostScorers).map(([scorer, part]) => ({
        scorer,
        value: decimalText(part.value / part.picks),
        weight: decimalText(part.weight),
      })),
    }));
}

function add(endpoints: Map<string, Summed>, { name, group, picks, score, breakdown }: EndpointScore): void {
  const key = `${group}/${name}`;
  let summed = endpoints.get(key);
  if (summed === undefined) {
    summed = { name, group, picks: 0, score: 0, parts: new Map() };
    endpoints.set(key, summed);
  }
  summed.picks += picks;
  summed.score += picks * score;
  addParts(summed, picks, breakdown);
}

function addParts({ parts }: Summed, picks: number, breakdown: Breakdown): void {
  for (const { scorer, value, weight } of breakdown) {
    const part = parts.get(scorer);
    if (part === undefined) parts.set(scorer, { value: picks * value, picks, weight });
    else {
      part.value += picks * value;
      part.picks += picks;
    }
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
