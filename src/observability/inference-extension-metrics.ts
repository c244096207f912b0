import { histogramSamples, HistogramSeries, secondsBuckets, type Sample } from './histogram.ts';
import type { MetricFamily } from './traffic.ts';

/** One request as the reference picker's metrics count it; times in milliseconds. */
export interface PickedRequest {
  /** The model that the client named, and the one that the engine was asked for; `other` where no table knows it. */
  readonly model: string;
  readonly target: string;
  /** Status that the client got. */
  readonly status: number;
  /** Whether the status is an engine's, and not the picker's. */
  readonly fromEngine: boolean;
  readonly duration: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** As the engine told, -1 where it did not. */
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** The load of a pool, means over its ready endpoints. */
export interface PoolReading {
  readonly name: string;
  /** Share of the KV cache in use, 0..1. */
  readonly cacheUsage: number;
  readonly queueSize: number;
  readonly readyPods: number;
}

const sizeBuckets = [256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216];
const tokenBuckets = [1, 16, 64, 256, 1024, 4096, 16384, 65536, 262144];
const perTokenBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
const scheduleBuckets = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const ratioBuckets = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const bytesBuckets = [0, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
/** Pairs of models that are kept apart; later ones count as `other`, so that series stay few. */
const pairsLimit = 64;

/** Requests of one model that went on as one target. */
class ModelSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly errors = new Map<string, number>();
  readonly duration = new HistogramSeries(secondsBuckets);
  readonly requestSizes = new HistogramSeries(sizeBuckets);
  readonly responseSizes = new HistogramSeries(sizeBuckets);
  readonly inputTokens = new HistogramSeries(tokenBuckets);
  readonly outputTokens = new HistogramSeries(tokenBuckets);
  readonly perToken = new HistogramSeries(perTokenBuckets);
  requests = 0;

  constructor(model: string, target: string) {
    this.labels = { model_name: model, target_model_name: target };
  }

  add(request: PickedRequest): void {
    this.requests += 1;
    const error = errorCode(request.status, request.fromEngine);
    if (error !== null) this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
    if (!request.fromEngine) return;
    const seconds = request.duration / 1000;
    this.duration.observe(seconds);
    this.requestSizes.observe(request.requestBytes);
    this.responseSizes.observe(request.responseBytes);
    if (request.promptTokens > 0) this.inputTokens.observe(request.promptTokens);
    if (request.completionTokens <= 0) return;
    this.outputTokens.observe(request.completionTokens);
    this.perToken.observe(seconds / request.completionTokens);
  }
}

/**
 * What the reference picker counts, under its names, so that dashboards made for it go on working. Its buckets are
 * finer; ours are few because writing them takes time that requests wait for.
 */
export class InferenceExtensionMetrics {
  private readonly series = new Map<string, Map<string, ModelSeries>>();
  private pairs = 0;
  private readonly running = new Map<string, number>();
  private readonly schedule = new HistogramSeries(scheduleBuckets);
  private readonly hitRatio = new HistogramSeries(ratioBuckets);
  private readonly hitBytes = new HistogramSeries(bytesBuckets);

  /** A request for a model of the table (or `other`) has been taken. */
  started(model: string): void {
    this.running.set(model, (this.running.get(model) ?? 0) + 1);
  }

  /** The request that was told by `started` has ended. */
  finished(request: PickedRequest): void {
    const { model } = request;
    this.running.set(model, (this.running.get(model) ?? 1) - 1);
    this.seriesOf(model, request.target).add(request);
  }

  /** A decision took so many milliseconds. */
  scheduled(milliseconds: number): void {
    this.schedule.observe(milliseconds / 1000);
  }

  /** Of a prompt of so many bytes so many were thought to be cached where it went. */
  matched(cachedBytes: number, promptBytes: number): void {
    this.hitBytes.observe(cachedBytes);
    if (promptBytes > 0) this.hitRatio.observe(cachedBytes / promptBytes);
  }

  /** `pools` is asked when somebody reads. */
  families(pools: () => readonly PoolReading[]): MetricFamily[] {
    return [
      this.counter('request_total', 'Requests', (one) => [{ labels: one.labels, value: one.requests }]),
      this.counter('request_error_total', 'Requests that were answered with an error', (one) =>
        [...one.errors].map(([error, value]) => ({ labels: { ...one.labels, error_code: error }, value })),
      ),
      this.histogram('request_duration_seconds', 'From the request to the end of its answer', (one) => one.duration),
      this.histogram('request_sizes', 'Bytes of requests', (one) => one.requestSizes),
      this.histogram('response_sizes', 'Bytes of answers', (one) => one.responseSizes),
      this.histogram('input_tokens', 'Prompt tokens, as engines told', (one) => one.inputTokens),
      this.histogram('output_tokens', 'Generated tokens, as engines told', (one) => one.outputTokens),
      this.histogram(
        'normalized_time_per_output_token_seconds',
        'Duration of requests divided by their generated tokens',
        (one) => one.perToken,
      ),
      gauge('inference_objective_running_requests', 'Requests under way by model.', () =>
        [...this.running].map(([model, value]) => ({ labels: { model_name: model }, value })),
      ),
      ...poolFamilies(pools),
      this.whole('scheduler_e2e_duration_seconds', 'Time to choose an endpoint.', this.schedule),
      this.whole('prefix_indexer_hit_ratio', 'Share of the prompt thought cached where it went.', this.hitRatio),
      this.whole('prefix_indexer_hit_bytes', 'Bytes of the prompt thought cached where it went.', this.hitBytes),
    ];
  }

  private seriesOf(model: string, target: string): ModelSeries {
    const found = this.series.get(model)?.get(target);
    if (found !== undefined) return found;
    if (this.pairs >= pairsLimit && (model !== 'other' || target !== 'other')) return this.seriesOf('other', 'other');
    let targets = this.series.get(model);
    if (targets === undefined) {
      targets = new Map();
      this.series.set(model, targets);
    }
    const made = new ModelSeries(model, target);
    targets.set(target, made);
    this.pairs += 1;
    return made;
  }

  private all(): ModelSeries[] {
    return [...this.series.values()].flatMap((targets) => [...targets.values()]);
  }

  private counter(
    suffix: string,
    what: string,
    read: (series: ModelSeries) => readonly Omit<Sample, 'metricName'>[],
  ): MetricFamily {
    const name = `inference_objective_${suffix}`;
    const samples = (): Sample[] =>
      this.all().flatMap((one) => read(one).map((sample) => ({ metricName: name, ...sample })));
    return { name, type: 'counter', help: `${what}, by model and target model.`, samples };
  }

  private histogram(suffix: string, what: string, read: (series: ModelSeries) => HistogramSeries): MetricFamily {
    const name = `inference_objective_${suffix}`;
    const samples = (): Sample[] => this.all().flatMap((one) => histogramSamples(name, one.labels, read(one)));
    return { name, type: 'histogram', help: `${what}, by model and target model.`, samples };
  }

  private whole(suffix: string, help: string, series: HistogramSeries): MetricFamily {
    const name = `inference_extension_${suffix}`;
    return { name, type: 'histogram', help, samples: () => histogramSamples(name, {}, series) };
  }
}

function poolFamilies(pools: () => readonly PoolReading[]): MetricFamily[] {
  const one = (suffix: string, help: string, read: (pool: PoolReading) => number): MetricFamily =>
    gauge(`inference_pool_${suffix}`, help, () =>
      pools().map((pool) => ({ labels: { name: pool.name }, value: read(pool) })),
    );
  return [
    one('average_kv_cache_utilization', 'Mean KV cache use of a pool, 0..1.', (pool) => pool.cacheUsage),
    one('average_queue_size', 'Mean number of requests waiting at an engine of a pool.', (pool) => pool.queueSize),
    one('ready_pods', 'Endpoints of a pool that take requests.', (pool) => pool.readyPods),
  ];
}

function gauge(name: string, help: string, read: () => readonly Omit<Sample, 'metricName'>[]): MetricFamily {
  return {
    name,
    help,
    type: 'gauge',
    samples: () => read().map((sample) => ({ metricName: name, ...sample })),
  };
}

/** The reference picker's word for an error; null where there is none. */
function errorCode(status: number, fromEngine: boolean): string | null {
  if (status < 400) return null;
  if (fromEngine) return 'ModelServerError';
  if (status === 429) return 'InferencePoolResourceExhausted';
  if (status === 503) return 'ServiceUnavailable';
  return status < 500 ? 'BadRequest' : 'Internal';
}
