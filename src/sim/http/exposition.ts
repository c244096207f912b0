import type { Engine } from '../engine.ts';
import type { Histogram } from './histogram.ts';

/** The text of GET /metrics: what routers and dashboards read of a vLLM, in its names; times are engine time. */
export function exposition(engine: Engine, model: string, firstToken: Histogram): string {
  const name = model.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  const { totals, pool } = engine;
  const metric = (type: 'gauge' | 'counter', metricName: string, help: string, value: number): string =>
    `# HELP ${metricName} ${help}\n# TYPE ${metricName} ${type}\n${metricName}{engine="0",model_name="${name}"} ${value}\n`;
  const sleepState = engine.sleeping ? 1 : 0;
  return [
    metric('gauge', 'vllm:num_requests_running', 'Number of requests in model execution batches.', engine.running),
    metric('gauge', 'vllm:num_requests_waiting', 'Number of requests waiting to be processed.', engine.waiting),
    sleepStates(name, sleepState),
    metric('gauge', 'vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.', engine.usage),
    metric('counter', 'vllm:prefix_cache_queries_total', 'Prefix cache queries, in tokens.', totals.queriedTokens),
    metric('counter', 'vllm:prefix_cache_hits_total', 'Prefix cache hits, in tokens.', totals.hitTokens),
    metric('counter', 'vllm:num_preemptions_total', 'Cumulative number of preemptions.', totals.preempted),
    metric('counter', 'vllm:prompt_tokens_total', 'Number of prefill tokens processed.', totals.promptTokens),
    metric('counter', 'vllm:generation_tokens_total', 'Number of generation tokens processed.', totals.generatedTokens),
    requestSuccess(name, totals.finished, totals.aborted),
    '# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.\n',
    '# TYPE vllm:time_to_first_token_seconds histogram\n',
    firstToken.lines('vllm:time_to_first_token_seconds', 'engine="0"', `model_name="${name}"`),
    cacheConfig(engine.model.blockSize, pool.size),
  ].join('');
}

function sleepStates(model: string, sleeping: number): string {
  const series = (state: string, value: number) =>
    `vllm:engine_sleep_state{engine="0",model_name="${model}",sleep_state="${state}"} ${value}\n`;
  return (
    '# HELP vllm:engine_sleep_state Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake.\n' +
    '# TYPE vllm:engine_sleep_state gauge\n' +
    series('awake', 1 - sleeping) +
    series('weights_offloaded', sleeping) +
    series('discard_all', 0)
  );
}

function requestSuccess(model: string, finished: number, aborted: number): string {
  const series = (reason: string, value: number) =>
    `vllm:request_success_total{engine="0",finished_reason="${reason}",model_name="${model}"} ${value}\n`;
  return (
    '# HELP vllm:request_success_total Count of successfully processed requests.\n' +
    '# TYPE vllm:request_success_total counter\n' +
    series('length', finished) +
    series('abort', aborted)
  );
}

/** `num_gpu_blocks` counts vLLM's null block too, which holds no request's tokens. */
function cacheConfig(blockSize: number, blocks: number): string {
  const labels = `block_size="${blockSize}",enable_prefix_caching="True",engine="0",kv_cache_size_tokens="${blocks * blockSize}",num_gpu_blocks="${blocks + 1}"`;
  return (
    '# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig\n' +
    '# TYPE vllm:cache_config_info gauge\n' +
    `vllm:cache_config_info{${labels}} 1\n`
  );
}
