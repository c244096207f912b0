/** Upper bounds of time histograms, in seconds. */
export const secondsBuckets: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
];

/** Counts of one series in a flat array: observing costs a short search and no look-up by label. */
export class HistogramSeries {
  readonly bounds: readonly number[];
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length);
  }

  observe(value: number): void {
    this.sum += value;
    this.count += 1;
    for (let i = 0; i < this.bounds.length; i++) {
      if (value > this.bounds[i]) continue;
      this.counts[i] += 1;
      return;
    }
  }
}

/** One sample as prom-client writes it. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly metricName: string;
}

/** The cumulative samples of a series. */
export function histogramSamples(
  name: string,
  labels: Readonly<Record<string, string>>,
  series: HistogramSeries,
): Sample[] {
  const samples: Sample[] = [];
  let total = 0;
  series.bounds.forEach((bound, i) => {
    total += series.counts[i];
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: String(bound) }, value: total });
  });
  samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: series.count });
  samples.push({ metricName: `${name}_sum`, labels, value: series.sum });
  samples.push({ metricName: `${name}_count`, labels, value: series.count });
  return samples;
}
