import { isRecord, isTokenId } from './asked.ts';
import type { TokenIds } from './contract.ts';

/** Reads an answer of `POST /tokenize`; null where it is none. Unknown fields are passed over. */
export function parseAnswer(text: string): TokenIds | null {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    // Not JSON is not an answer: the caller counts it.
    return null;
  }
  if (!isRecord(answer) || !Array.isArray(answer.tokens)) return null;
  const tokens: readonly unknown[] = answer.tokens;
  if (answer.count !== undefined && answer.count !== tokens.length) return null;
  const ids = new Uint32Array(tokens.length);
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i];
    if (!isTokenId(id)) return null;
    ids[i] = id;
  }
  return ids;
}
