import { Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { Sample } from './histogram.ts';
import type { MetricFamily } from './traffic.ts';

/** A number that is read when somebody asks for it. */
export interface GaugeSource {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  read(): readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

/** The registry behind `/metrics`: the process's own numbers, traffic, and whatever else is handed in. */
export function createMetrics(families: readonly MetricFamily[], gauges: readonly GaugeSource[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 50 });
  for (const family of families) registry.registerMetric(asMetric(family));
  for (const source of gauges) {
    const gauge = new Gauge({
      name: source.name,
      help: source.help,
      labelNames: [...(source.labels ?? [])],
      registers: [registry],
      collect(): void {
        gauge.reset();
        for (const { labels, value } of source.read()) gauge.set({ ...labels }, value);
      },
    });
  }
  return registry;
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

function asMetric(family: MetricFamily): Gauge {
  // prom-client's types only know its own classes, although its registry asks for no more than name and get.
  return new FamilyMetric(family) as unknown as Gauge;
}
