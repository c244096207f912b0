import type { AdapterReport } from '../router/adapters.ts';
import { labelOf, SeriesFinder, type Sample } from './metrics-text.ts';
import type { Engine } from './targets.ts';

/** Adapters of one list that are kept: far more than a batch holds. */
const maxAdapters = 256;

/** What an engine's metrics say; null where they do not. */
export interface EngineReport {
  /** Requests in the engine's queue, over all its data-parallel ranks. */
  readonly waiting: number | null;
  /** Requests in the engine's batch, over all ranks. */
  readonly running: number | null;
  /** Share of the KV cache in use, 0..1, the mean of the ranks. */
  readonly usage: number | null;
  /** Tokens that fit in the KV cache, over all ranks. */
  readonly cacheTokens: number | null;
  readonly lora: AdapterReport | null;
  /** False: the engine sleeps, or a rank of it. */
  readonly awake: boolean | null;
  /** When the process started, in seconds since 1970. */
  readonly startTime: number | null;
  /** Samples that no engine means: not a number, negative, a share above 1. */
  readonly ignored: number;
}

/** The labels of an engine's series about its KV cache. */
interface CacheLabels {
  readonly blockSize: string;
  readonly blocks: string;
  /** The product of the two, where the engine tells it. */
  readonly tokens: string;
}

/** Where one engine says what. */
interface EngineSeries {
  readonly finder: SeriesFinder;
  readonly cache: CacheLabels;
}

/** Places in `SeriesFinder.names`; a series that an engine lacks is null there. */
const at = { waiting: 0, running: 1, usage: 2, olderUsage: 3, cache: 4, lora: 5, sleep: 6, startTime: 7 } as const;

type Names = Partial<Record<Exclude<keyof typeof at, 'startTime'>, string>>;

function seriesOf(names: Names, cache: CacheLabels): EngineSeries {
  const places: (string | null)[] = [names.waiting, names.running, names.usage, names.olderUsage].map(orNull);
  places.push(orNull(names.cache), orNull(names.lora), orNull(names.sleep), 'process_start_time_seconds');
  return { finder: new SeriesFinder(places), cache };
}

function orNull(name: string | undefined): string | null {
  return name ?? null;
}

const engines: Readonly<Record<Engine, EngineSeries>> = Object.freeze({
  vLLM: seriesOf(
    {
      waiting: 'vllm:num_requests_waiting',
      running: 'vllm:num_requests_running',
      usage: 'vllm:kv_cache_usage_perc',
      olderUsage: 'vllm:gpu_cache_usage_perc',
      cache: 'vllm:cache_config_info',
      lora: 'vllm:lora_requests_info',
      sleep: 'vllm:engine_sleep_state',
    },
    { blockSize: 'block_size', blocks: 'num_gpu_blocks', tokens: 'kv_cache_size_tokens' },
  ),
  SGLang: seriesOf(
    {
      waiting: 'sglang:num_queue_reqs',
      running: 'sglang:num_running_reqs',
      usage: 'sglang:token_usage',
      cache: 'sglang:cache_config_info',
    },
    { blockSize: 'page_size', blocks: 'num_pages', tokens: 'kv_cache_size_tokens' },
  ),
  TensorRTLLM: seriesOf(
    {
      waiting: 'trtllm_num_requests_waiting',
      running: 'trtllm_num_requests_running',
      usage: 'trtllm_kv_cache_utilization',
    },
    { blockSize: 'block_size', blocks: 'num_blocks', tokens: 'kv_cache_size_tokens' },
  ),
});

/** Reads what the router needs of an engine's `/metrics`; never throws: garbage is ignored and counted. */
export function readEngineMetrics(engine: Engine, text: string): EngineReport {
  const { finder, cache } = engines[engine];
  const found = finder.find(text);
  const waiting = new Tally(found[at.waiting], Infinity);
  const running = new Tally(found[at.running], Infinity);
  const usage = new Tally(found[at.usage].length > 0 ? found[at.usage] : found[at.olderUsage], 1);
  const started = new Tally(found[at.startTime], Infinity);
  return {
    waiting: waiting.sum(),
    running: running.sum(),
    usage: usage.mean(),
    cacheTokens: cacheTokens(found[at.cache], cache),
    lora: loraReport(found[at.lora]),
    awake: isAwake(found[at.sleep]),
    startTime: started.max(),
    ignored: waiting.ignored + running.ignored + usage.ignored + started.ignored,
  };
}

/** The valid samples of a series: 0 up to a limit. */
class Tally {
  ignored = 0;
  private readonly valid: number[] = [];

  constructor(samples: readonly Sample[], limit: number) {
    for (const { value } of samples) {
      if (Number.isFinite(value) && value >= 0 && value <= limit) this.valid.push(value);
      else this.ignored += 1;
    }
  }

  sum(): number | null {
    return this.valid.length === 0 ? null : this.valid.reduce((sum, value) => sum + value, 0);
  }

  mean(): number | null {
    const sum = this.sum();
    return sum === null ? null : sum / this.valid.length;
  }

  max(): number | null {
    return this.valid.length === 0 ? null : this.valid.reduce((most, value) => Math.max(most, value), 0);
  }
}

function cacheTokens(samples: readonly Sample[], names: CacheLabels): number | null {
  let total = 0;
  for (const { labels } of samples) {
    const tokens = positive(labelOf(labels, names.tokens));
    total += tokens > 0 ? tokens : positive(labelOf(labels, names.blockSize)) * positive(labelOf(labels, names.blocks));
  }
  return total > 0 ? total : null;
}

/** 0 for what is no positive number: labels say `None` where the engine has not decided. */
function positive(label: string | null): number {
  const value = Number(label ?? 0);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

/** vLLM leaves old label sets behind and writes the time as the value: the latest is the one that holds. */
function loraReport(samples: readonly Sample[]): AdapterReport | null {
  let latest: Sample | null = null;
  for (const sample of samples) if (latest === null || sample.value > latest.value) latest = sample;
  if (latest === null) return null;
  const running = adapters(labelOf(latest.labels, 'running_lora_adapters'));
  const waiting = adapters(labelOf(latest.labels, 'waiting_lora_adapters'));
  const distinct = new Set([...running, ...waiting]).size;
  return { running, waiting, distinct, max: positive(labelOf(latest.labels, 'max_lora')) };
}

function adapters(list: string | null): string[] {
  const names = (list ?? '').split(',', maxAdapters);
  return names.filter((name) => name !== '');
}

function isAwake(samples: readonly Sample[]): boolean | null {
  const ranks = samples.filter(({ labels }) => labelOf(labels, 'sleep_state') === 'awake');
  return ranks.length === 0 ? null : ranks.every(({ value }) => value !== 0);
}
