import type { LookupQuery } from '../router/foreknowledge.ts';
import { askedOf, type Asked } from './tokens/asked.ts';

/** Share of the prompt that is cached, 0..1, by endpoint address. */
export type HitRates = ReadonlyMap<string, number>;

/** An answer of /match_sort as far as it can be used. */
export interface MatchSortAnswer {
  readonly hitRates: HitRates;
  /** Rows that name no address or no usable number. */
  readonly ignored: number;
}

/** Left out: they may shape the prompt, by rules of the engine's own. A hit is then a guess, which is more than none. */
const left = { reasoning_effort: undefined, reasoning: undefined, tool_choice: undefined };

/**
 * The body of `POST /match_sort` for a request, with all that shapes its prompt, or null where it has nothing that a KV
 * manager can tokenise: only one text, one list of token ids, or a chat of texts names a single prefix.
 */
export function matchSortBody({ model, path, body, candidates }: LookupQuery): string | null {
  const asked = promptOf(askedOf({ path, body: { ...body, ...left } }));
  if (asked === null) return null;
  const salt = typeof body.cache_salt === 'string' ? { cache_salt: body.cache_salt } : {};
  try {
    return JSON.stringify({ model, ...asked, ...salt, candidates });
  } catch {
    // Nested deeper than can be written out, which a client may send: the front door refuses it.
    return null;
  }
}

function promptOf(asked: Asked): Record<string, unknown> | null {
  switch (asked.kind) {
    case 'ids':
      return { token_ids: Array.from(asked.ids) };
    case 'text':
      return { prompt: asked.text, ...asked.settings };
    case 'chat': {
      const { messages, settings, tools } = asked.chat;
      return { messages, ...settings, ...(tools === undefined ? {} : { tools }) };
    }
    case 'none':
      return null;
  }
}

/** Reads an answer; null where it is none. Unknown fields are passed over, unusable rows counted. */
export function parseMatchSort(text: string): MatchSortAnswer | null {
  const answer = parsed(text);
  if (!isRecord(answer) || !Array.isArray(answer.matches)) return null;
  const tokens = answer.tokens;
  const hitRates = new Map<string, number>();
  let ignored = 0;
  for (const row of answer.matches as unknown[]) {
    const address = isRecord(row) ? row.address : undefined;
    const rate = isRecord(row) ? hitRate(row, tokens) : null;
    if (typeof address !== 'string' || rate === null) ignored += 1;
    else hitRates.set(address, Math.max(rate, hitRates.get(address) ?? 0));
  }
  return { hitRates, ignored };
}

/** A row's `hit_rate`, else its `matched_tokens` in all `tokens`. */
function hitRate(row: Record<string, unknown>, tokens: unknown): number | null {
  if (isAmount(row.hit_rate)) return Math.min(1, row.hit_rate);
  if (isAmount(row.matched_tokens) && isAmount(tokens) && tokens > 0) return Math.min(1, row.matched_tokens / tokens);
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is not an answer: the caller counts it.
    return null;
  }
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
