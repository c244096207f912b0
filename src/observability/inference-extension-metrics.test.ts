import { describe, expect, it } from 'vitest';
import { InferenceExtensionMetrics, type PickedRequest } from './inference-extension-metrics.ts';
import { createMetrics } from './metrics.ts';

const request: PickedRequest = {
  model: 'm',
  target: 'm-fp8',
  status: 200,
  fromEngine: true,
  duration: 1000,
  requestBytes: 300,
  responseBytes: 2000,
  promptTokens: 12,
  completionTokens: 4,
};

/** Samples by name and labels, as Prometheus reads them. */
async function read(metrics: InferenceExtensionMetrics): Promise<Map<string, number>> {
  const pools = [{ name: 'pool', cacheUsage: 0.5, queueSize: 2, readyPods: 3 }];
  const text = await createMetrics(
    metrics.families(() => pools),
    [],
  ).metrics();
  const lines = text.split('\n').filter((line) => line.startsWith('inference_'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

function told(...requests: Partial<PickedRequest>[]): InferenceExtensionMetrics {
  const metrics = new InferenceExtensionMetrics();
  for (const over of requests) {
    metrics.started(over.model ?? 'm');
    metrics.finished({ ...request, ...over });
  }
  return metrics;
}

const labels = '{model_name="m",target_model_name="m-fp8"}';

describe('InferenceExtensionMetrics', () => {
  it("counts under the reference picker's names and labels", async () => {
    const samples = await read(told({}, {}));
    expect(samples.get(`inference_objective_request_total${labels}`)).toBe(2);
    for (const [name, sum] of [
      ['request_duration_seconds', 2],
      ['request_sizes', 600],
      ['response_sizes', 4000],
      ['input_tokens', 24],
      ['output_tokens', 8],
      ['normalized_time_per_output_token_seconds', 0.5],
    ] as const) {
      expect(samples.get(`inference_objective_${name}_sum${labels}`), name).toBe(sum);
      expect(samples.get(`inference_objective_${name}_count${labels}`), name).toBe(2);
    }
    expect(samples.get('inference_pool_average_kv_cache_utilization{name="pool"}')).toBe(0.5);
    expect(samples.get('inference_pool_average_queue_size{name="pool"}')).toBe(2);
    expect(samples.get('inference_pool_ready_pods{name="pool"}')).toBe(3);
  });

  it('follows the requests that are under way', async () => {
    const metrics = told({});
    metrics.started('m');
    expect((await read(metrics)).get('inference_objective_running_requests{model_name="m"}')).toBe(1);
  });

  it('knows what decisions took and what they expected of caches', async () => {
    const metrics = new InferenceExtensionMetrics();
    metrics.scheduled(0.15);
    metrics.matched(64, 128);
    const samples = await read(metrics);
    expect(samples.get('inference_extension_scheduler_e2e_duration_seconds_sum')).toBeCloseTo(0.00015);
    expect(samples.get('inference_extension_prefix_indexer_hit_ratio_sum')).toBe(0.5);
    expect(samples.get('inference_extension_prefix_indexer_hit_bytes_sum')).toBe(64);
  });

  it.each([
    [503, true, 'ModelServerError'],
    [404, true, 'ModelServerError'],
    [429, false, 'InferencePoolResourceExhausted'],
    [503, false, 'ServiceUnavailable'],
    [400, false, 'BadRequest'],
    [500, false, 'Internal'],
  ])('calls a %i (of an engine: %s) %s, as the reference picker does', async (status, fromEngine, code) => {
    const samples = await read(told({ status, fromEngine }));
    const name = `inference_objective_request_error_total{model_name="m",target_model_name="m-fp8",error_code="${code}"}`;
    expect(samples.get(name)).toBe(1);
  });

  it('observes nothing where no engine has answered or told of tokens', async () => {
    const samples = await read(told({ status: 503, fromEngine: false }, { promptTokens: -1, completionTokens: -1 }));
    expect(samples.get(`inference_objective_request_duration_seconds_count${labels}`)).toBe(1);
    expect(samples.get(`inference_objective_output_tokens_count${labels}`)).toBe(0);
  });

  it('keeps its series few', async () => {
    const models = Array.from({ length: 200 }, (_, i) => ({ model: `m${i}`, target: `m${i}` }));
    const samples = await read(told(...models));
    const totals = [...samples].filter(([name]) => name.startsWith('inference_objective_request_total'));
    expect(totals.length).toBe(65);
    expect(totals.reduce((sum, [, value]) => sum + value, 0)).toBe(200);
  });
});
