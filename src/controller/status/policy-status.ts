import type { RoutingPolicyStatus } from '../../api/routing-policy-status.ts';
import type { Condition } from '../conditions.ts';
import type { ReplicaView } from '../peers/replica-view.ts';
import { recordedClaims } from '../claims.ts';
import { mergeConditions } from './merge-conditions.ts';
import { reportsOf, trafficOf } from './policy-figures.ts';
import { scoresOf } from './policy-scores.ts';
import { programmed, type PolicyVersions } from './programmed.ts';
import { cut, durationText, listed, perSecondText, timeText } from './wording.ts';

/** Everything that a policy's status is made of. */
export interface PolicyFacts extends PolicyVersions {
  /** What was decided about Accepted and ResolvedRefs; of several about one type the worst stands. */
  readonly conditions: readonly Condition[];
  readonly backends: readonly { readonly name: string; readonly weight: number }[];
  /** What the strategy in force expands to; null where none is in force. */
  readonly effectiveProfile: string | null;
  /** Since when it claims which models; undefined where no claim of it counts. */
  readonly claimedSince?: ReadonlyMap<string, number> | undefined;
  readonly replicas: readonly ReplicaView[];
  /** The status that the object has. */
  readonly previous: RoutingPolicyStatus | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const types = ['Accepted', 'ResolvedRefs', 'Programmed'] as const;
const longestProfile = 1024;
const longestBackends = 512;
/** What a column shows while there is nothing to show: an empty one would be taken for a fault of the table. */
const none = '-';

/** The status of a policy. Pure: the same facts make the same status, and time alone changes nothing. */
export function policyStatus(facts: PolicyFacts): RoutingPolicyStatus {
  const { generation, previous, replicas, effectiveProfile } = facts;
  const reports = reportsOf(facts.key, replicas);
  const traffic = trafficOf(reports, replicas.filter(({ state }) => state !== 'silent').length);
  const runs = programmed(facts, replicas);
  return {
    observedGeneration: generation,
    conditions: conditionsOf(facts, runs.condition),
    programmedReplicas: runs.replicas,
    ...(effectiveProfile === null ? {} : { effectiveProfile: cut(effectiveProfile, longestProfile) }),
    ...claimsOf(facts),
    summary: {
      backends: backendsText(facts.backends),
      requestsPerSecond: perSecondText(traffic.requestsPerMinute ?? 0),
      hit: traffic.prefixHitPercent === undefined ? none : `${traffic.prefixHitPercent}%`,
      ttftP90: traffic.ttftP90Milliseconds === undefined ? none : durationText(traffic.ttftP90Milliseconds),
    },
    traffic,
    ...withScores(scoresOf(reports), previous?.scores, facts.now),
  };
}

/** A policy's last good version is in force for as long as Accepted is not True: that says since when, over restarts. */
function conditionsOf(facts: PolicyFacts, runs: (refusedSince: string) => Condition) {
  const { generation, now, conditions, previous } = facts;
  const context = { generation, now, previous: previous?.conditions ?? [] };
  const [accepted] = mergeConditions(['Accepted'], conditions, context);
  return mergeConditions(types, [...conditions, runs(accepted.lastTransitionTime)], context);
}

/** A policy that is not in force for now keeps the dates that it had. */
function claimsOf({ claimedSince, previous, now }: PolicyFacts): Pick<RoutingPolicyStatus, 'claims'> {
  const claims = claimedSince === undefined ? previous?.claims : recordedClaims(claimedSince, now);
  return claims === undefined ? {} : { claims };
}

type Scores = NonNullable<RoutingPolicyStatus['scores']>;

/** Scores that say the same were gathered when they first said it: a time that runs on is no news. */
function withScores(
  endpoints: NonNullable<Scores['endpoints']>,
  previous: Scores | undefined,
  now: number,
): { scores?: Scores } {
  if (endpoints.length === 0) return {};
  const same = JSON.stringify(previous?.endpoints) === JSON.stringify(endpoints);
  return { scores: { updated: same ? (previous?.updated ?? timeText(now)) : timeText(now), endpoints } };
}

/** `a 95%, b 5%` */
function backendsText(backends: PolicyFacts['backends']): string {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  const words = backends.map(({ name, weight }) => `${name} ${shareText(total === 0 ? 0 : (100 * weight) / total)}`);
  return words.length === 0 ? none : listed(words, longestBackends);
}

/** A share that is neither none nor all must not look so. */
function shareText(percent: number): string {
  if (percent > 0 && percent < 1) return '<1%';
  if (percent < 100 && percent > 99) return '>99%';
  return `${Math.round(percent)}%`;
}
