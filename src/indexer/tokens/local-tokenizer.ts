import { LocalRenderer, type LocalRendererOptions } from './local-renderer.ts';
import { PromptTokenizer, type PromptTokenizerOptions } from './prompt-tokenizer.ts';

/** A tokenizer by the model's own files, in a thread of its own. */
export function createLocalTokenizer(
  options: LocalRendererOptions & Omit<PromptTokenizerOptions, 'renderer'>,
): PromptTokenizer {
  return new PromptTokenizer({ ...options, renderer: new LocalRenderer(options) });
}
