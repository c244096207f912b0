import type { Payload } from '../../openai/payload.ts';

/** The paths whose requests and answers carry `kv_transfer_params` in every engine of that protocol. */
const paths: ReadonlySet<string> = new Set(['/v1/chat/completions', '/v1/completions']);

/**
 * Whether a request's prompt can be computed by one engine for another. Embeddings end with their prompt. Engines that
 * know /v1/responses keep them for later ones, where a prefiller's would be in the way. Of several prompts in one body
 * an engine tells the blocks of the first only, and the decoder would read these for all. Several answers to one prompt
 * would each read the blocks, and the first reader frees them: what the others read may be another request's by then.
 */
export function isTransferable(path: string, { body }: Payload): boolean {
  if (!paths.has(path) || isMany(body.n) || isMany(body.best_of)) return false;
  const { prompt } = body;
  return !Array.isArray(prompt) || prompt.length < 2 || typeof prompt[0] === 'number';
}

const isMany = (count: unknown): boolean => typeof count === 'number' && count > 1;
