import { histogramSamples, HistogramSeries, type Sample } from '../../observability/histogram.ts';
import type { MetricFamily } from '../../observability/traffic.ts';

/** Upper bounds of the time that an answer takes, in seconds. */
const buckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

interface Series {
  readonly path: string;
  readonly status: number;
  count: number;
}

/** Counts of questions and what they took. */
export class QuestionTelemetry {
  private readonly requests = new Map<string, Series>();
  private readonly times = new Map<string, HistogramSeries>();

  /** `path` is one of those that are served, never what a client wrote. */
  answered(path: string, seconds: number): void {
    this.count(path, 200);
    let times = this.times.get(path);
    if (times === undefined) {
      times = new HistogramSeries(buckets);
      this.times.set(path, times);
    }
    times.observe(seconds);
  }

  refused(path: string, status: number): void {
    this.count(path, status);
  }

  families(): MetricFamily[] {
    const requests = 'hermes_indexer_requests_total';
    const duration = 'hermes_indexer_request_duration_seconds';
    return [
      {
        name: requests,
        help: 'Questions answered and refused, by path and status.',
        type: 'counter',
        samples: () =>
          [...this.requests.values()].map(({ path, status, count }): Sample => {
            return { metricName: requests, labels: { path, code: String(status) }, value: count };
          }),
      },
      {
        name: duration,
        help: 'Time from the end of the headers of a question to its answer.',
        type: 'histogram',
        samples: () => [...this.times].flatMap(([path, series]) => histogramSamples(duration, { path }, series)),
      },
    ];
  }

  private count(path: string, status: number): void {
    const key = `${status} ${path}`;
    const series = this.requests.get(key);
    if (series === undefined) this.requests.set(key, { path, status, count: 1 });
    else series.count += 1;
  }
}
