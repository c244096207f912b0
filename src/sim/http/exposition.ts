import type { Engine } from '../engine.ts';
import type { Histogram } from './histogram.ts';
import { nixlExposition, type NixlFigures } from './nixl-exposition.ts';

type Of = (engine: Engine) => number;

/** What stands in GET /metrics besides the engines' own numbers. */
export interface ExpositionParts {
  /** The base model's name. */
  readonly model: string;
  /** LoRA adapters that the engine serves. */
  readonly adapters: number;
  readonly firstToken: Histogram;
  /** The hand-over's own metrics; null without NIXL. */
  readonly nixl: NixlFigures | null;
  /** Whether prompts can come from elsewhere. */
  readonly external: boolean;
  /** Wall time in seconds since 1970. */
  readonly now: number;
}

/**
 * The text of GET /metrics: what routers and dashboards read of a vLLM, in its names; times are engine time. One series for
 * each data-parallel rank; the histogram and the adapters are of all.
 */
export function exposition(engines: readonly Engine[], parts: ExpositionParts): string {
  const { model, adapters, firstToken, nixl, external, now } = parts;
  const name = escaped(model);
  const lines = (metricName: string, more: readonly [string, string], of: Of): string =>
    engines
      .map((engine, rank) => `${metricName}{engine="${rank}",${more[0]}model_name="${name}"${more[1]}} ${of(engine)}\n`)
      .join('');
  const metric = (type: 'gauge' | 'counter', metricName: string, help: string, of: Of): string =>
    `# HELP ${metricName} ${help}\n# TYPE ${metricName} ${type}\n${lines(metricName, ['', ''], of)}`;
  const sleeping = (state: string, of: Of): string =>
    lines('vllm:engine_sleep_state', ['', `,sleep_state="${state}"`], of);
  const success = (reason: string, of: Of): string =>
    lines('vllm:request_success_total', [`finished_reason="${reason}",`, ''], of);
  return [
    metric('gauge', 'vllm:num_requests_running', 'Number of requests in model execution batches.', (e) => e.running),
    metric('gauge', 'vllm:num_requests_waiting', 'Number of requests waiting to be processed.', (e) => e.waiting),
    '# HELP vllm:engine_sleep_state Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake.\n',
    '# TYPE vllm:engine_sleep_state gauge\n',
    sleeping('awake', (e) => (e.sleeping ? 0 : 1)),
    sleeping('weights_offloaded', (e) => (e.sleeping ? 1 : 0)),
    sleeping('discard_all', () => 0),
    metric('gauge', 'vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.', (e) => e.usage),
    metric(
      'counter',
      'vllm:prefix_cache_queries_total',
      'Prefix cache queries, in tokens.',
      (e) => e.totals.queriedTokens,
    ),
    metric('counter', 'vllm:prefix_cache_hits_total', 'Prefix cache hits, in tokens.', (e) => e.totals.hitTokens),
    metric(
      'counter',
      'vllm:external_prefix_cache_queries_total',
      'External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried tokens.',
      ({ totals }) => (external ? totals.queriedTokens - totals.hitTokens : 0),
    ),
    metric(
      'counter',
      'vllm:external_prefix_cache_hits_total',
      'External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached tokens.',
      (e) => e.totals.externalTokens,
    ),
    metric('counter', 'vllm:num_preemptions_total', 'Cumulative number of preemptions.', (e) => e.totals.preempted),
    metric('counter', 'vllm:prompt_tokens_total', 'Number of prefill tokens processed.', (e) => e.totals.promptTokens),
    metric(
      'counter',
      'vllm:generation_tokens_total',
      'Number of generation tokens processed.',
      (e) => e.totals.generatedTokens,
    ),
    '# HELP vllm:request_success_total Count of successfully processed requests.\n',
    '# TYPE vllm:request_success_total counter\n',
    success('length', (e) => e.totals.finished),
    success('abort', (e) => e.totals.aborted),
    success('error', (e) => e.totals.failed),
    '# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds.\n',
    '# TYPE vllm:time_to_first_token_seconds histogram\n',
    firstToken.lines('vllm:time_to_first_token_seconds', 'engine="0"', `model_name="${name}"`),
    '# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig\n',
    '# TYPE vllm:cache_config_info gauge\n',
    ...engines.map(cacheConfig),
    nixl === null ? '' : nixlExposition(engines, nixl, name),
    adapters > 0 ? loraRequests(engines, adapters, now) : '',
  ].join('');
}

/**
 * As in vLLM: the value is the time, both lists name each adapter with a request in the batch or the queue, and there is
 * no sample before the first request. All adapters fit in one batch here.
 */
function loraRequests(engines: readonly Engine[], max: number, now: number): string {
  const declared =
    '# HELP vllm:lora_requests_info Running stats on lora requests.\n# TYPE vllm:lora_requests_info gauge\n';
  if (engines.every(({ totals }) => totals.submitted === 0)) return declared;
  const names = escaped([...new Set(engines.flatMap((engine) => [...engine.adapters]))].join(','));
  const labels = `max_lora="${max}",running_lora_adapters="${names}",waiting_lora_adapters="${names}"`;
  return `${declared}vllm:lora_requests_info{${labels}} ${now}\n`;
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
}

/** `num_gpu_blocks` counts vLLM's null block too, which holds no request's tokens. */
function cacheConfig({ model: { blockSize }, pool: { size } }: Engine, rank: number): string {
  const labels = `block_size="${blockSize}",enable_prefix_caching="True",engine="${rank}",kv_cache_size_tokens="${size * blockSize}",num_gpu_blocks="${size + 1}"`;
  return `vllm:cache_config_info{${labels}} 1\n`;
}
