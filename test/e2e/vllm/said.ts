import { expect } from 'vitest';
import type { Client } from '../testkit/client.ts';

/** A request that the same engine, or a right copy of its KV blocks, always answers with the same numbers. */
export interface Ask {
  readonly path: '/v1/chat/completions' | '/v1/completions';
  readonly body: Readonly<Record<string, unknown>>;
}

/** Tokens of every answer. */
const answered = 12;
const fixed = { model: 'tiny', temperature: 0, max_tokens: answered, ignore_eos: true };

/** Some 300 tokens, of which no block is another topic's. */
const about = (topic: string): string =>
  Array.from({ length: 40 }, (_, i) => `${topic} argument ${i} of it`).join(', ');

export const asks: Readonly<Record<'chat' | 'completion', (topic: string) => Ask>> = {
  chat: (topic) => ({
    path: '/v1/chat/completions',
    body: { ...fixed, messages: [{ role: 'user', content: about(topic) }], logprobs: true },
  }),
  completion: (topic) => ({ path: '/v1/completions', body: { ...fixed, prompt: about(topic), logprobs: 1 } }),
};

/**
 * What an engine said. The small model repeats itself whatever it has read, but the logarithms of the probabilities change with
 * every token of the prompt: who has them right has the right KV blocks.
 */
export interface Said {
  readonly text: string;
  readonly logprobs: readonly number[];
  readonly promptTokens: number;
}

interface Part {
  readonly choices: readonly {
    readonly text?: string;
    readonly message?: { readonly content: string };
    readonly delta?: { readonly content?: string };
    readonly logprobs?: {
      readonly token_logprobs?: readonly number[];
      readonly content?: readonly { readonly logprob: number }[];
    } | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number } | null;
}

/** Asks, whole or as a stream, and fails with what came instead where it is no answer. */
export async function say(client: Client, { path, body }: Ask, how: 'whole' | 'stream'): Promise<Said> {
  const said = saidIn(how === 'whole' ? [await whole(client, path, body)] : await streamed(client, path, body));
  expect(said.logprobs).toHaveLength(answered);
  return said;
}

async function whole(client: Client, path: string, body: object): Promise<string> {
  const { status, text } = await client.post(path, body);
  expect([status, text]).toEqual([200, expect.stringContaining('"choices"')]);
  return text;
}

async function streamed(client: Client, path: string, body: object): Promise<string[]> {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const stream = await (await client.streamOf(path, asked)).drain();
  expect([stream.status, stream.broken, stream.text]).toEqual([200, false, expect.stringContaining('"choices"')]);
  expect(stream.events.at(-1)).toBe('[DONE]');
  return stream.events.slice(0, -1);
}

function saidIn(texts: readonly string[]): Said {
  const parts = texts.map((text) => JSON.parse(text) as Part);
  const choices = parts.flatMap((part) => part.choices);
  return {
    text: choices.map(({ text, message, delta }) => text ?? message?.content ?? delta?.content ?? '').join(''),
    logprobs: choices.flatMap(
      ({ logprobs }) => logprobs?.token_logprobs ?? logprobs?.content?.map(({ logprob }) => logprob) ?? [],
    ),
    promptTokens: parts.findLast(({ usage }) => usage)?.usage?.prompt_tokens ?? 0,
  };
}
