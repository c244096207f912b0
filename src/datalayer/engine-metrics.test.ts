import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readEngineMetrics } from './engine-metrics.ts';

const captured = readFileSync(new URL('testdata/vllm-0.32-busy.txt', import.meta.url), 'latin1');
const nothing = {
  waiting: null,
  running: null,
  usage: null,
  cacheTokens: null,
  lora: null,
  awake: null,
  startTime: null,
  ignored: 0,
};

describe('readEngineMetrics', () => {
  it('reads what a real vLLM 0.32 under load says', () => {
    expect(readEngineMetrics('vLLM', captured)).toEqual({
      waiting: 0,
      running: 4,
      usage: 0.7301587301587302,
      cacheTokens: 2048,
      lora: null,
      awake: true,
      startTime: 1795246807.24,
      ignored: 0,
    });
  });

  it.each([
    {
      says: 'the older vLLM name of cache usage',
      engine: 'vLLM',
      text: 'vllm:gpu_cache_usage_perc{model_name="m"} 0.5\n',
      is: { usage: 0.5 },
    },
    {
      says: 'the newer name where an engine has both',
      engine: 'vLLM',
      text: 'vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n',
      is: { usage: 0.25 },
    },
    {
      says: 'the sum of the queues and the mean of the caches of data-parallel ranks',
      engine: 'vLLM',
      text: [
        'vllm:num_requests_waiting{engine="0"} 1',
        'vllm:num_requests_waiting{engine="1"} 2',
        'vllm:num_requests_running{engine="0"} 3',
        'vllm:num_requests_running{engine="1"} 4',
        'vllm:kv_cache_usage_perc{engine="0"} 0.25',
        'vllm:kv_cache_usage_perc{engine="1"} 0.75',
        'vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="100"} 1',
        'vllm:cache_config_info{engine="1",block_size="16",num_gpu_blocks="100"} 1',
      ].join('\n'),
      is: { waiting: 3, running: 7, usage: 0.5, cacheTokens: 3200 },
    },
    {
      says: 'a share of 1 as a full cache, not as one percent',
      engine: 'vLLM',
      text: 'vllm:kv_cache_usage_perc 1.0\n',
      is: { usage: 1 },
    },
    {
      says: 'no cache size where the engine has not decided it',
      engine: 'vLLM',
      text: 'vllm:cache_config_info{block_size="16",num_gpu_blocks="None"} 1\n',
      is: { cacheTokens: null },
    },
    {
      says: 'the latest adapters, not those of label sets left behind',
      engine: 'vLLM',
      text: [
        'vllm:lora_requests_info{max_lora="2",running_lora_adapters="a",waiting_lora_adapters=""} 1.7952e+09',
        'vllm:lora_requests_info{max_lora="2",running_lora_adapters="b,c",waiting_lora_adapters="d"} 1.7953e+09',
        'vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.7951e+09',
      ].join('\n'),
      is: { lora: { running: ['b', 'c'], waiting: ['d'], distinct: 3, max: 2 } },
    },
    {
      says: 'an adapter in both lists as one',
      engine: 'vLLM',
      text: 'vllm:lora_requests_info{max_lora="4",running_lora_adapters="a,b",waiting_lora_adapters="b,a,c"} 1\n',
      is: { lora: { running: ['a', 'b'], waiting: ['b', 'a', 'c'], distinct: 3, max: 4 } },
    },
    {
      says: 'the first 256 adapters of a list without end',
      engine: 'vLLM',
      text: `vllm:lora_requests_info{max_lora="1",running_lora_adapters="${'a,'.repeat(255)}b,c",waiting_lora_adapters=""} 1\n`,
      is: { lora: { running: [...Array<string>(255).fill('a'), 'b'], waiting: [], distinct: 2, max: 1 } },
    },
    {
      says: 'an engine that sleeps',
      engine: 'vLLM',
      text: 'vllm:engine_sleep_state{sleep_state="weights_offloaded"} 1\nvllm:engine_sleep_state{sleep_state="awake"} 0\n',
      is: { awake: false },
    },
    {
      says: 'an engine with one rank asleep as asleep',
      engine: 'vLLM',
      text: [
        'vllm:engine_sleep_state{engine="0",sleep_state="awake"} 1',
        'vllm:engine_sleep_state{engine="1",sleep_state="awake"} 0',
      ].join('\n'),
      is: { awake: false },
    },
    {
      says: 'SGLang',
      engine: 'SGLang',
      text: [
        'sglang:num_queue_reqs{model_name="m"} 5.0',
        'sglang:num_running_reqs{model_name="m"} 6.0',
        'sglang:token_usage{model_name="m"} 0.28',
        'sglang:cache_config_info{page_size="64",num_pages="10"} 1.0',
      ].join('\n'),
      is: { waiting: 5, running: 6, usage: 0.28, cacheTokens: 640 },
    },
    {
      says: 'trtllm-serve',
      engine: 'TensorRTLLM',
      text: 'trtllm_num_requests_waiting 1\ntrtllm_num_requests_running 2\ntrtllm_kv_cache_utilization 0.5\n',
      is: { waiting: 1, running: 2, usage: 0.5 },
    },
    { says: 'nothing of another engine', engine: 'SGLang', text: 'vllm:num_requests_waiting 1\n', is: {} },
    { says: 'nothing of a web page', engine: 'vLLM', text: '<html>\nvllm\n</html>', is: {} },
  ] as const)('reads $says', ({ engine, text, is }) => {
    expect(readEngineMetrics(engine, text)).toEqual({ ...nothing, ...is });
  });

  it.each(['NaN', '-1', '+Inf', 'ten', ''])('ignores and counts a queue of "%s", and keeps the other rank', (value) => {
    const text = `vllm:num_requests_waiting{engine="0"} ${value}\nvllm:num_requests_waiting{engine="1"} 2\n`;
    expect(readEngineMetrics('vLLM', text)).toEqual({ ...nothing, waiting: 2, ignored: 1 });
  });

  it.each(['1.5', '73', '-0.1', 'NaN'])('ignores and counts a cache usage of %s', (value) => {
    expect(readEngineMetrics('vLLM', `vllm:kv_cache_usage_perc ${value}\n`)).toEqual({ ...nothing, ignored: 1 });
  });

  it('says only possible numbers of any garbage', () => {
    const garbled = fc.array(fc.tuple(fc.nat(captured.length - 1), fc.string({ maxLength: 4 })), { maxLength: 30 });
    fc.assert(
      fc.property(garbled, (cuts) => {
        let text = captured.slice(0, 6_000);
        for (const [at, by] of cuts) text = text.slice(0, at) + by + text.slice(at + by.length);
        const { waiting, running, usage, startTime } = readEngineMetrics('vLLM', text);
        for (const value of [waiting, running, usage, startTime]) {
          expect(value === null || (Number.isFinite(value) && value >= 0)).toBe(true);
        }
        expect(usage ?? 0).toBeLessThanOrEqual(1);
      }),
      { numRuns: 50 },
    );
  });
});
