import type { Foreknowledge } from './foreknowledge.ts';
import type { Prompt } from './prompt.ts';

/** Header look-up by lower-case name; both front doors have one. */
export interface HeaderLookup {
  get(name: string): string | undefined;
}

/** What the decision may know of a request. Valid only while the decision runs: front doors reuse the object. */
export interface InferenceRequest {
  /** The model the client asked for. */
  readonly model: string;
  readonly headers: HeaderLookup;
  /** OpenAI's `user` field, or empty. */
  readonly user: string;
  /** The prompt's text and, made when first asked for, its chained block keys. */
  readonly prompt: Prompt;
  /** What was found out about it beforehand. */
  readonly known: Foreknowledge;
  /** The id that log lines and answers name it by; explanations show it. Absent or empty where there is none. */
  readonly requestId?: string;
}
