import type { HandoverStage, PolicyHandoverTelemetry, RequestResult, StageOutcome } from './telemetry.ts';
import { HistogramSeries, secondsBuckets } from './histogram.ts';
import { Window } from './window.ts';

/** A request result's columns in the sliding window. */
export const Column = { requests: 0, errors: 1, estimated: 2, predicted: 3, prompt: 4, cached: 5 } as const;

/** First-token times that are kept for percentiles. */
const remembered = 512;
const minute = 60_000;
/** Status codes have three digits. */
const codeClasses = 10;

/** Traffic of one policy: counters since the start and a window of the last minute. */
export class PolicyTraffic implements PolicyHandoverTelemetry {
  /** Requests by group; each counts by class of the status code, `2xx` at 2. */
  readonly requests = new Map<string, Float64Array>();
  readonly timeToFirstToken = new HistogramSeries(secondsBuckets);
  readonly interToken = new HistogramSeries(secondsBuckets);
  readonly duration = new HistogramSeries(secondsBuckets);
  readonly decision = new HistogramSeries([0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01]);
  promptTokens = 0;
  completionTokens = 0;
  cachedTokens = 0;
  retries = 0;
  /** Calls of hand-overs that have ended, by stage and outcome with a space between. */
  readonly stages = new Map<string, number>();
  abandonedTransfers = 0;
  notices = 0;
  broken = 0;
  inFlight = 0;
  /** When the last request ended, in milliseconds of the clock. */
  lastAt: number;
  private readonly now: () => number;
  private readonly window: Window;
  /** The last first-token times in milliseconds, and when each was told. */
  private readonly firstTokens = new Float64Array(remembered);
  private readonly firstTokensAt = new Float64Array(remembered);
  private firstTokenCount = 0;

  constructor(now: () => number) {
    this.now = now;
    this.lastAt = now();
    this.window = new Window(Object.keys(Column).length, this.lastAt);
  }

  started(): void {
    this.inFlight += 1;
  }

  retried(): void {
    this.retries += 1;
  }

  stageEnded(stage: HandoverStage, outcome: StageOutcome): void {
    const key = `${stage} ${outcome}`;
    this.stages.set(key, (this.stages.get(key) ?? 0) + 1);
  }

  abandoned(): void {
    this.abandonedTransfers += 1;
  }

  noticed(notices: number): void {
    this.notices += notices;
  }

  finished(result: RequestResult): void {
    this.inFlight -= 1;
    this.lastAt = this.now();
    this.countsOf(result.group)[Math.floor(result.status / 100)] += 1;
    if (result.broken) this.broken += 1;
    this.duration.observe(result.duration / 1000);
    this.decision.observe(result.decisionMicroseconds / 1_000_000);
    this.times(result);
    const { window } = this;
    window.advance(this.lastAt);
    window.add(Column.requests, 1);
    // That a client leaves is nobody's fault here.
    if (result.status >= 500 || (result.broken && result.status !== 499)) window.add(Column.errors, 1);
    window.add(Column.estimated, result.estimatedTokens);
    window.add(Column.predicted, result.estimatedCached);
    this.tokens(result);
  }

  /** Sum of a column over the last minute. */
  lastMinute(column: number): number {
    return this.window.sum(column, this.now());
  }

  /** First-token times of the last minute, sorted, in milliseconds; of more than 512 the latest. */
  recentFirstTokens(): Float64Array {
    const oldest = this.now() - minute;
    const known = Math.min(this.firstTokenCount, remembered);
    return this.firstTokens
      .subarray(0, known)
      .filter((_time, i) => this.firstTokensAt[i] > oldest)
      .sort();
  }

  private countsOf(group: string): Float64Array {
    let counts = this.requests.get(group);
    if (counts === undefined) {
      counts = new Float64Array(codeClasses);
      this.requests.set(group, counts);
    }
    return counts;
  }

  private times(result: RequestResult): void {
    if (result.timeToFirstToken < 0) return;
    this.timeToFirstToken.observe(result.timeToFirstToken / 1000);
    const at = this.firstTokenCount % remembered;
    this.firstTokens[at] = result.timeToFirstToken;
    this.firstTokensAt[at] = this.lastAt;
    this.firstTokenCount += 1;
    if (result.completionTokens < 2) return;
    const rest = result.duration - result.timeToFirstToken;
    this.interToken.observe(rest / 1000 / (result.completionTokens - 1));
  }

  private tokens(result: RequestResult): void {
    if (result.promptTokens > 0) this.promptTokens += result.promptTokens;
    if (result.completionTokens > 0) this.completionTokens += result.completionTokens;
    if (result.cachedTokens < 0) return;
    this.cachedTokens += result.cachedTokens;
    this.window.add(Column.prompt, Math.max(0, result.promptTokens));
    this.window.add(Column.cached, result.cachedTokens);
  }
}
