import type { LeastTimeWeights } from '../../src/policies/pair-scorers/least-time.ts';
import { quantile } from '../../src/sim/statistics.ts';
import { contenders, random, weighing, type Contender } from './contenders.ts';
import { conditions, randomLimit, scenarios } from './scenarios.ts';
import { sustainable } from './search.ts';
import { simulate, type Run } from './simulation.ts';
import { arrivals, type Arrival } from './workload.ts';

/** One contender in one scenario with one seed; plain data, so that it can go to another thread. */
export interface Job {
  /** Place among the scenarios. */
  readonly scenario: number;
  readonly seed: number;
  readonly requests: number;
  /** Name of a contender; PDLeastTime where there are weights. */
  readonly contender: string;
  readonly weights?: Partial<LeastTimeWeights>;
  /** Place among the conditions; 0, and all as it should be, where it is left out. */
  readonly condition?: number;
  /** As in PairTopology; every request is disaggregated where it is left out. */
  readonly disaggregateAbove?: number;
  /** Places among the loads at which to look. */
  readonly at: readonly number[];
}

/** Seconds: to the first token, and between tokens. */
export interface Figures {
  readonly p50: number;
  readonly p90: number;
  readonly gap90: number;
  readonly gap99: number;
}

export interface Result {
  /** Requests a second, relative to those at which random pairs have the p90 of TTFT that is not to be passed. */
  readonly ratio: number;
  /** At each load asked for. */
  readonly at: readonly Figures[];
}

/** Of what random pairs can carry (`randomLimit`): medium, high, and more than they can. */
export const loads = [0.5, 0.85, 1.3];
/** The one whose p90 of TTFT is not to be passed. */
export const high = 1;
/** Between tokens, p90, whatever the policy; seconds. */
export const gapBound = 0.05;

/** Requests of the last job, which the next one often needs again. */
let known: { readonly key: string; readonly list: readonly Arrival[]; readonly firstToken: number } | null = null;

export function measure(job: Job): Result {
  const { seed, disaggregateAbove = -1, condition = 0 } = job;
  const scenario = scenarios[job.scenario];
  const { groups } = scenario;
  const limit = randomLimit(scenario);
  const highRate = loads[high] * limit;
  const { list, firstToken } = referenceOf(job, highRate);
  const contender = contenderOf(job);
  const run = { groups, contender, arrivals: list, seed, disaggregateAbove, ...conditions[condition].options };
  // Random pairs, all as it should be, are the measure.
  const isReference = contender === random && condition === 0 && disaggregateAbove < 0;
  const ratio = isReference ? 1 : sustainable(run, { firstToken, gap: gapBound }, highRate) / highRate;
  return { ratio, at: job.at.map((place) => figuresOf({ ...run, rate: loads[place] * limit })) };
}

function referenceOf({ scenario, seed, requests }: Job, rate: number): NonNullable<typeof known> {
  const key = `${scenario} ${seed} ${requests}`;
  if (known?.key !== key) {
    const { groups, mix } = scenarios[scenario];
    const list = arrivals(mix, requests, seed);
    const { p90 } = figuresOf({ groups, contender: random, arrivals: list, seed, rate });
    known = { key, list, firstToken: p90 };
  }
  return known;
}

function figuresOf(run: Run): Figures {
  const { firstTokens, gaps } = simulate(run);
  return {
    p50: quantile(firstTokens, 0.5),
    p90: quantile(firstTokens, 0.9),
    gap90: gaps.quantile(0.9),
    gap99: gaps.quantile(0.99),
  };
}

function contenderOf({ contender, weights }: Job): Contender {
  if (weights !== undefined) return weighing(weights);
  const found = contenders.find(({ name }) => name === contender);
  if (found === undefined) throw new Error(`no contender is named ${contender}`);
  return found;
}
