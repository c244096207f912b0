import type { Answer } from './generation.ts';
import { endOfStream, fingerprint, type AnswerFormat } from './format.ts';
import { runningUsage, streamUsage, wholeUsage } from './usage.ts';

/** Answers of /v1/chat/completions. */
export class ChatFormat implements AnswerFormat {
  private readonly answer: Answer;
  private readonly start: string;

  constructor(answer: Answer) {
    this.answer = answer;
    const { id, created, generation } = answer;
    const head = { id, object: 'chat.completion.chunk', created, model: generation.model };
    this.start = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
  }

  whole(): string {
    const { id, created, generation, sequences } = this.answer;
    return JSON.stringify({
      id,
      object: 'chat.completion',
      created,
      model: generation.model,
      choices: sequences.map((sequence, index) => ({
        index,
        message: {
          role: 'assistant',
          content: sequence.text(),
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          reasoning: null,
        },
        logprobs: null,
        finish_reason: generation.finishReason,
        stop_reason: null,
        token_ids: null,
        routed_experts: null,
      })),
      service_tier: null,
      system_fingerprint: fingerprint,
      usage: wholeUsage(this.answer, 0),
      prompt_logprobs: null,
      prompt_token_ids: null,
      prompt_text: null,
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    });
  }

  open(choice: number): string {
    const delta = `{"index":${choice},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]`;
    const usage = runningUsage(this.answer, choice, 0);
    return `${this.start}${delta}${usage},"prompt_token_ids":null,"prompt_text":null}\n\n`;
  }

  token(choice: number, place: number): string {
    const { generation, sequences } = this.answer;
    const last = place === generation.maxOutput - 1;
    const finish = last ? `"${generation.finishReason}","stop_reason":null` : 'null';
    const content = `{"index":${choice},"delta":{"content":"${sequences[choice].textAt(place)}"}`;
    const usage = runningUsage(this.answer, choice, place + 1);
    const named = last && !generation.includeUsage ? `,"system_fingerprint":"${fingerprint}"` : '';
    return `${this.start}${content},"logprobs":null,"finish_reason":${finish},"token_ids":null}]${usage}${named}}\n\n`;
  }

  close(): string {
    if (!this.answer.generation.includeUsage) return endOfStream;
    const usage = JSON.stringify(streamUsage(this.answer, 0));
    return `${this.start}],"usage":${usage},"system_fingerprint":"${fingerprint}"}\n\n${endOfStream}`;
  }
}
