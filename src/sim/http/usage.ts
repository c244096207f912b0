import type { Answer } from './generation.ts';

/** Tokens of an answer; a prompt with several choices counts once. */
export interface TokenCounts {
  readonly prompt: number;
  readonly cached: number;
  readonly output: number;
}

export function countTokens({ generation, sequences }: Answer): TokenCounts {
  let prompt = 0;
  let cached = 0;
  let output = 0;
  for (let i = 0; i < sequences.length; i++) {
    const sequence = sequences[i];
    output += sequence.outputLength;
    if (i % generation.n !== 0) continue;
    prompt += sequence.promptLength;
    cached += sequence.usageCachedTokens;
  }
  return { prompt, cached, output };
}

/** The usage object of a whole answer. `created` is what vLLM puts at created_cache_tokens: 0 in chats, null elsewhere. */
export function wholeUsage(answer: Answer, created: 0 | null): object {
  const { prompt, cached, output } = countTokens(answer);
  return {
    prompt_tokens: prompt,
    total_tokens: prompt + output,
    completion_tokens: output,
    prompt_tokens_details: { cached_tokens: cached, created_cache_tokens: created, multimodal_tokens: null },
    completion_tokens_details: null,
  };
}

/** The usage object of a stream's last event: absent details are left out there. */
export function streamUsage(answer: Answer, created: 0 | null): object {
  const { prompt, cached, output } = countTokens(answer);
  const details =
    created === null ? { cached_tokens: cached } : { cached_tokens: cached, created_cache_tokens: created };
  return {
    prompt_tokens: prompt,
    total_tokens: prompt + output,
    completion_tokens: output,
    prompt_tokens_details: details,
  };
}

/** The running count that `continuous_usage_stats` adds to every event, as JSON behind a comma; empty when not asked for. */
export function runningUsage({ generation, sequences }: Answer, choice: number, output: number): string {
  if (!generation.continuousUsage) return '';
  const prompt = sequences[choice].promptLength;
  const total = prompt + output;
  return `,"usage":{"prompt_tokens":${prompt},"total_tokens":${total},"completion_tokens":${output},"completion_tokens_details":null}`;
}
