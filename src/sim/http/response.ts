import type { Answer } from './generation.ts';
import type { AnswerFormat } from './format.ts';
import { countTokens } from './usage.ts';

/** Answers of /v1/responses; its streams name every event and have no end mark. */
export class ResponseFormat implements AnswerFormat {
  private readonly answer: Answer;
  private readonly item: string;
  private events = 0;

  constructor(answer: Answer) {
    this.answer = answer;
    this.item = answer.id.replace('resp_', 'msg_');
  }

  whole(): string {
    return JSON.stringify(this.response(this.answer.generation.finishReason === 'stop' ? 'completed' : 'incomplete'));
  }

  open(): string {
    const part = { annotations: [], text: '', type: 'output_text', logprobs: [] };
    const item = { id: this.item, content: [], role: 'assistant', status: 'in_progress', type: 'message' };
    return (
      this.event('response.created', { response: this.response('in_progress') }) +
      this.event('response.in_progress', { response: this.response('in_progress') }) +
      this.event('response.output_item.added', { item, output_index: 0 }) +
      this.event('response.content_part.added', { content_index: 0, item_id: this.item, output_index: 0, part })
    );
  }

  token(choice: number, place: number): string {
    const delta = this.answer.sequences[choice].textAt(place);
    const where = { content_index: 0, delta, item_id: this.item, logprobs: [], output_index: 0 };
    return this.event('response.output_text.delta', where);
  }

  close(): string {
    const text = this.answer.sequences[0].text();
    const where = { content_index: 0, item_id: this.item, output_index: 0 };
    const stopped = this.answer.generation.finishReason === 'stop';
    return (
      this.event('response.output_text.done', { ...where, logprobs: [], text }) +
      this.event('response.content_part.done', { ...where, part: this.part() }) +
      this.event('response.output_item.done', { item: this.message(), output_index: 0 }) +
      this.event(stopped ? 'response.completed' : 'response.incomplete', {
        response: this.response(stopped ? 'completed' : 'incomplete'),
      })
    );
  }

  private event(type: string, fields: object): string {
    const data = JSON.stringify({ type, sequence_number: this.events, ...fields });
    this.events += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  }

  private part(): object {
    return { annotations: [], text: this.answer.sequences[0].text(), type: 'output_text', logprobs: null };
  }

  private message(): object {
    const content = [this.part()];
    return { id: this.item, content, role: 'assistant', status: 'completed', type: 'message', phase: null };
  }

  private response(status: 'in_progress' | 'completed' | 'incomplete'): object {
    const { id, created, generation } = this.answer;
    return {
      id,
      created_at: created,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: null,
      metadata: null,
      model: generation.model,
      object: 'response',
      output: status === 'in_progress' ? [] : [this.message()],
      parallel_tool_calls: true,
      temperature: 1,
      tool_choice: 'none',
      tools: [],
      top_p: 1,
      background: false,
      max_output_tokens: generation.maxOutput,
      max_tool_calls: null,
      previous_response_id: null,
      prompt: null,
      reasoning: null,
      service_tier: 'auto',
      status,
      text: null,
      top_logprobs: null,
      truncation: 'disabled',
      usage: status === 'in_progress' ? null : this.usage(),
      user: null,
      presence_penalty: 0,
      frequency_penalty: 0,
      kv_transfer_params: null,
      ec_transfer_params: null,
      input_messages: null,
      output_messages: null,
    };
  }

  private usage(): object {
    const { prompt, cached, output } = countTokens(this.answer);
    return {
      input_tokens: prompt,
      input_tokens_details: {
        cached_tokens: cached,
        cache_write_tokens: 0,
        input_tokens_per_turn: [],
        cached_tokens_per_turn: [],
      },
      output_tokens: output,
      output_tokens_details: {
        reasoning_tokens: 0,
        tool_output_tokens: 0,
        output_tokens_per_turn: [],
        tool_output_tokens_per_turn: [],
      },
      total_tokens: prompt + output,
    };
  }
}
