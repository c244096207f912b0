import type { Answer } from './generation.ts';
import { endOfStream, fingerprint, type AnswerFormat } from './format.ts';
import { runningUsage, streamUsage, wholeUsage } from './usage.ts';

/** Answers of /v1/completions. */
export class CompletionFormat implements AnswerFormat {
  private readonly answer: Answer;
  private readonly start: string;

  constructor(answer: Answer) {
    this.answer = answer;
    const { id, created, generation } = answer;
    const head = { id, object: 'text_completion', created, model: generation.model };
    this.start = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
  }

  whole(): string {
    const { id, created, generation, sequences } = this.answer;
    return JSON.stringify({
      id,
      object: 'text_completion',
      created,
      model: generation.model,
      choices: sequences.map((sequence, index) => ({
        index,
        text: sequence.text(),
        logprobs: null,
        finish_reason: generation.finishReason,
        stop_reason: null,
        token_ids: null,
        prompt_logprobs: null,
        prompt_token_ids: null,
        routed_experts: null,
      })),
      service_tier: null,
      system_fingerprint: fingerprint,
      usage: wholeUsage(this.answer, null),
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    });
  }

  open(): string {
    return '';
  }

  token(choice: number, place: number): string {
    const { generation, sequences } = this.answer;
    const last = place === generation.maxOutput - 1;
    const finish = last ? `"${generation.finishReason}"` : 'null';
    const text = `{"index":${choice},"text":"${sequences[choice].textAt(place)}","logprobs":null,"finish_reason":${finish}`;
    const usage = runningUsage(this.answer, choice, place + 1);
    const named = last && !generation.includeUsage ? `,"system_fingerprint":"${fingerprint}"` : '';
    return `${this.start}${text},"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]${usage}${named}}\n\n`;
  }

  close(): string {
    if (!this.answer.generation.includeUsage) return endOfStream;
    const usage = JSON.stringify(streamUsage(this.answer, null));
    return `${this.start}],"usage":${usage},"system_fingerprint":"${fingerprint}"}\n\n${endOfStream}`;
  }
}
