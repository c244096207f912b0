import type { HandoverTelemetry, PolicyHandoverTelemetry } from './telemetry.ts';
import { histogramSamples, type HistogramSeries, type Sample } from './histogram.ts';
import { Column, PolicyTraffic } from './policy-traffic.ts';

/** Milliseconds after which a policy without traffic is dropped from the metrics. */
const idleLimit = 15 * 60_000;
const windowSeconds = 60;

/** A metric that prom-client's registry can write. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  samples(): Sample[];
}

/** Traffic of the last minute of one policy, as `/api/v1/stats` tells it. */
export interface PolicyStats {
  readonly policy: string;
  readonly windowSeconds: number;
  readonly requestsPerMinute: number;
  readonly errorsPerMinute: number;
  /** Percent; real where engines tell, else as predicted at the decision. */
  readonly prefixHitPercent: number;
  readonly ttftP50Milliseconds: number;
  readonly ttftP90Milliseconds: number;
  readonly inFlight: number;
}

/** What there is to tell of a policy without traffic. */
export function idleStats(policy: string): PolicyStats {
  return {
    policy,
    windowSeconds,
    requestsPerMinute: 0,
    errorsPerMinute: 0,
    prefixHitPercent: 0,
    ttftP50Milliseconds: 0,
    ttftP90Milliseconds: 0,
    inFlight: 0,
  };
}

/** Traffic of all policies. */
export class Traffic implements HandoverTelemetry {
  private readonly policies = new Map<string, PolicyTraffic>();
  private readonly refusals = new Map<number, number>();
  private readonly now: () => number;

  /** `now` in milliseconds, monotonic. */
  constructor(now: () => number) {
    this.now = now;
  }

  policy(key: string): PolicyHandoverTelemetry {
    let traffic = this.policies.get(key);
    if (traffic === undefined) {
      traffic = new PolicyTraffic(this.now);
      this.policies.set(key, traffic);
    }
    return traffic;
  }

  refused(status: number): void {
    this.refusals.set(status, (this.refusals.get(status) ?? 0) + 1);
  }

  stats(): PolicyStats[] {
    this.dropIdle();
    return [...this.policies].map(([policy, traffic]) => {
      const firstTokens = traffic.recentFirstTokens();
      return {
        policy,
        windowSeconds,
        requestsPerMinute: traffic.lastMinute(Column.requests),
        errorsPerMinute: traffic.lastMinute(Column.errors),
        prefixHitPercent: Math.round(100 * hitRatio(traffic)),
        ttftP50Milliseconds: percentile(firstTokens, 0.5),
        ttftP90Milliseconds: percentile(firstTokens, 0.9),
        inFlight: traffic.inFlight,
      };
    });
  }

  families(): MetricFamily[] {
    return [
      this.family(
        'counter',
        'hermes_requests_total',
        'Requests by policy, group and class of the status code.',
        requestSamples,
      ),
      this.histogram(
        'hermes_time_to_first_token_seconds',
        'From the request to the first byte of its answer.',
        (t) => t.timeToFirstToken,
      ),
      this.histogram('hermes_inter_token_seconds', 'Mean time between two tokens of an answer.', (t) => t.interToken),
      this.histogram(
        'hermes_request_duration_seconds',
        'From the request to the end of its answer.',
        (t) => t.duration,
      ),
      this.histogram('hermes_decision_seconds', 'Time to choose an endpoint.', (t) => t.decision),
      this.single('counter', 'hermes_prompt_tokens_total', 'Prompt tokens, as engines told.', (t) => t.promptTokens),
      this.single(
        'counter',
        'hermes_completion_tokens_total',
        'Generated tokens, as engines told.',
        (t) => t.completionTokens,
      ),
      this.single(
        'counter',
        'hermes_cached_tokens_total',
        'Prompt tokens found in the KV cache, as engines told.',
        (t) => t.cachedTokens,
      ),
      this.single(
        'gauge',
        'hermes_prefix_hit_ratio_predicted',
        'Share of prompt tokens thought cached, last minute.',
        predictedRatio,
      ),
      this.single(
        'gauge',
        'hermes_prefix_hit_ratio_real',
        'Share of prompt tokens cached as engines told, last minute.',
        realRatio,
      ),
      this.single('gauge', 'hermes_requests_in_flight', 'Requests under way.', (t) => t.inFlight),
      this.single('counter', 'hermes_retries_total', 'Further tries on another endpoint.', (t) => t.retries),
      this.single(
        'counter',
        'hermes_broken_answers_total',
        'Requests that ended without a whole answer of an engine.',
        (t) => t.broken,
      ),
      this.family(
        'counter',
        'hermes_handovers_total',
        'Calls of hand-overs from prefillers to decoders, by policy, stage and outcome.',
        stageSamples,
      ),
      this.single(
        'counter',
        'hermes_handover_abandoned_total',
        'Hand-overs that left KV blocks with a prefiller which nobody will read.',
        (t) => t.abandonedTransfers,
      ),
      this.single(
        'counter',
        'hermes_handover_notices_total',
        'Abandoned hand-overs that the prefiller has been told of.',
        (t) => t.notices,
      ),
      {
        type: 'counter',
        name: 'hermes_refused_requests_total',
        help: 'Requests that were refused before a policy took them, by status.',
        samples: () =>
          [...this.refusals].map(([status, value]) => ({
            metricName: 'hermes_refused_requests_total',
            labels: { code: String(status) },
            value,
          })),
      },
    ];
  }

  private family(
    type: MetricFamily['type'],
    name: string,
    help: string,
    one: (name: string, policy: string, traffic: PolicyTraffic) => Sample[],
  ): MetricFamily {
    return {
      type,
      name,
      help,
      samples: () => {
        this.dropIdle();
        return [...this.policies].flatMap(([policy, traffic]) => one(name, policy, traffic));
      },
    };
  }

  private single(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    value: (traffic: PolicyTraffic) => number,
  ): MetricFamily {
    return this.family(type, name, help, (metricName, policy, traffic) => [
      { metricName, labels: { policy }, value: value(traffic) },
    ]);
  }

  private histogram(name: string, help: string, series: (traffic: PolicyTraffic) => HistogramSeries): MetricFamily {
    return this.family('histogram', name, help, (metric, policy, traffic) =>
      histogramSamples(metric, { policy }, series(traffic)),
    );
  }

  private dropIdle(): void {
    const oldest = this.now() - idleLimit;
    for (const [key, traffic] of this.policies) {
      if (traffic.inFlight === 0 && traffic.lastAt < oldest) this.policies.delete(key);
    }
  }
}

function requestSamples(metricName: string, policy: string, traffic: PolicyTraffic): Sample[] {
  const samples: Sample[] = [];
  for (const [group, counts] of traffic.requests) {
    counts.forEach((value, codeClass) => {
      if (value > 0) samples.push({ metricName, labels: { policy, group, code: `${codeClass}xx` }, value });
    });
  }
  return samples;
}

function stageSamples(metricName: string, policy: string, traffic: PolicyTraffic): Sample[] {
  return [...traffic.stages].map(([key, value]) => {
    const [stage, outcome] = key.split(' ');
    return { metricName, labels: { policy, stage, outcome }, value };
  });
}

function predictedRatio(traffic: PolicyTraffic): number {
  return ratio(traffic.lastMinute(Column.predicted), traffic.lastMinute(Column.estimated));
}

function realRatio(traffic: PolicyTraffic): number {
  return ratio(traffic.lastMinute(Column.cached), traffic.lastMinute(Column.prompt));
}

function hitRatio(traffic: PolicyTraffic): number {
  return traffic.lastMinute(Column.prompt) > 0 ? realRatio(traffic) : predictedRatio(traffic);
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** The nearest rank, rounded; 0 where there is nothing. */
function percentile(sorted: Float64Array, rank: number): number {
  const n = sorted.length;
  return n === 0 ? 0 : Math.round(sorted[Math.ceil(rank * n) - 1]);
}
