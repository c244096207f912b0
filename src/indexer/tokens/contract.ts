import type { LookupQuery } from '../../router/foreknowledge.ts';

/**
 * Token ids of a prompt, in order. Shared with the tokenizer's memory: read only. They spell the prompt's text, so they
 * are as secret as it is: never logged, shown or stored.
 */
export type TokenIds = Uint32Array;

/**
 * Why a prompt has no token ids; the request is then routed by the text of its prompt.
 * - `no_prompt`, `several_prompts`: there is no one prompt. `unsupported`: something in it, or in the settings of the
 *   chat, that `/tokenize` does not take as the generating path does.
 * - `timeout`: not in time. `too_many`: as many questions as are allowed wait already. `no_engine`: none is ready.
 * - `breaker_open`, `unreachable`, `status` (other than 200), `answer_too_large`, `answer_invalid`: the engines' fault.
 * - `refused`: a local tokenizer could not render the chat.
 */
export const tokenMisses = [
  'no_prompt',
  'several_prompts',
  'unsupported',
  'timeout',
  'too_many',
  'no_engine',
  'breaker_open',
  'unreachable',
  'status',
  'answer_too_large',
  'answer_invalid',
  'refused',
] as const;
export type TokenMiss = (typeof tokenMisses)[number];

/** The exact tokens that a group's engines make of a prompt. */
export interface Tokenizer {
  /**
   * Token ids at once where they are at hand (given as ids, or remembered), else when they come, `null` where they
   * cannot be had. Never rejects and never takes longer than the tokenizer's own limit; every `null` is counted.
   */
  tokens(query: LookupQuery): TokenIds | null | Promise<TokenIds | null>;
  /** Ends connections or threads. */
  close(): Promise<void>;
}

/** What asking for a rendering came to: ids, or why there are none. */
export type Outcome = TokenIds | TokenMiss;

/** A rendering to ask for: the body of a `POST /tokenize`. */
export interface Question {
  readonly body: Readonly<Record<string, unknown>>;
  /** Addresses of engines that may answer; a local tokenizer needs none. */
  readonly candidates: readonly string[];
  /** Nobody waits for it: it gives way to those that somebody waits for. */
  readonly background: boolean;
}

/** Who renders and tokenises whole questions: an engine, or a thread of our own. */
export interface Renderer {
  /** Never rejects, and settles within a bound of its own, which may be far longer than a request can wait. */
  ask(question: Question): Promise<Outcome>;
  close(): Promise<void>;
}
