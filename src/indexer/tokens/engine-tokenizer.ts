import { EngineRenderer, type EngineRendererOptions } from './engine-renderer.ts';
import { PromptTokenizer, type PromptTokenizerOptions } from './prompt-tokenizer.ts';

/** Milliseconds that a request waits for its tokens where nothing else is said. */
export const defaultTokenTimeout = 20;

/** A tokenizer that asks a group's own engines: exact, chat template, tools and all. */
export function createEngineTokenizer(
  options: EngineRendererOptions & Omit<PromptTokenizerOptions, 'renderer'>,
): PromptTokenizer {
  return new PromptTokenizer({ ...options, renderer: new EngineRenderer(options) });
}
