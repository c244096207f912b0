import { Registry, collectDefaultMetrics, type Metric } from 'prom-client';
import type { Sample } from './histogram.ts';
import type { MetricFamily } from './traffic.ts';

/** A number that is read when somebody asks for it. */
export interface GaugeSource {
  /** Ends in `_total` where the number only grows: then it is a counter. */
  readonly name: string;
  readonly help: string;
  read(): readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

/** The registry behind `/metrics`: the process's own numbers, traffic, and whatever else is handed in. */
export function createMetrics(families: readonly MetricFamily[], gauges: readonly GaugeSource[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 50 });
  for (const family of [...families, ...gauges.map(asFamily)]) registry.registerMetric(asMetric(family));
  return registry;
}

function asFamily(source: GaugeSource): MetricFamily {
  const { name, help } = source;
  return {
    name,
    help,
    type: name.endsWith('_total') ? 'counter' : 'gauge',
    samples: () => source.read().map(({ labels = {}, value }) => ({ metricName: name, labels, value })),
  };
}

interface Collected {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
  readonly aggregator: 'sum';
}

/** prom-client writes any object that can tell its samples; ours keep them in flat arrays. */
class FamilyMetric {
  readonly name: string;
  private readonly family: MetricFamily;

  constructor(family: MetricFamily) {
    this.name = family.name;
    this.family = family;
  }

  get(): Promise<Collected> {
    const { name, help, type } = this.family;
    return Promise.resolve({ name, help, type, values: this.family.samples(), aggregator: 'sum' });
  }

  reset(): void {}
}

function asMetric(family: MetricFamily): Metric {
  // prom-client's types only know its own classes, although its registry asks for no more than name and get.
  return new FamilyMetric(family) as unknown as Metric;
}
