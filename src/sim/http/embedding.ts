import { mix } from '../mix.ts';
import type { Answer } from './generation.ts';
import type { AnswerFormat } from './format.ts';
import { countTokens } from './usage.ts';

const dimensions = 16;

/** Answers of /v1/embeddings: a unit vector that depends on the input alone. There is no stream of these. */
export class EmbeddingFormat implements AnswerFormat {
  private readonly answer: Answer;

  constructor(answer: Answer) {
    this.answer = answer;
  }

  whole(): string {
    const { id, created, generation, sequences } = this.answer;
    const { prompt } = countTokens(this.answer);
    return JSON.stringify({
      id,
      object: 'list',
      created,
      model: generation.model,
      data: sequences.map(({ seed }, index) => ({ index, object: 'embedding', embedding: unitVector(seed) })),
      usage: { prompt_tokens: prompt, total_tokens: prompt, completion_tokens: 0, prompt_tokens_details: null },
    });
  }

  open(): string {
    return '';
  }

  token(): string {
    return '';
  }

  close(): string {
    return '';
  }
}

function unitVector(seed: number): number[] {
  const values = Array.from({ length: dimensions }, (_, i) => mix(seed + i) / 0x80000000 - 1);
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}
