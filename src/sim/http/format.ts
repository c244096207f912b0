import type { Answer } from './generation.ts';

/** How an answer is written. The stream's methods return server-sent events, ready for the wire. */
export interface AnswerFormat {
  /** The whole answer as JSON. */
  whole(): string;
  /** Before the first token of a choice. */
  open(choice: number): string;
  /** The output token at `place` of a choice. */
  token(choice: number, place: number): string;
  /** After the last token of all choices. */
  close(): string;
}

export type FormatOf = (answer: Answer) => AnswerFormat;

/** Says that a simulator answers, where vLLM names its build. */
export const fingerprint = 'hermes-sim';
export const endOfStream = 'data: [DONE]\n\n';
