import { Template } from '@huggingface/jinja';
import { isRecord, type Message } from './asked.ts';

/** A question that this renderer cannot answer as an engine would. Its message tells kinds of things, never contents. */
export class RenderError extends Error {
  override readonly name = 'RenderError';
}

/** Templates that walk over the parts of a content want parts, others a text; engines look at the template likewise. */
const walksParts = /\{%-?\s*for\s+\w+\s+in\s+\w+(\.content|\[\s*['"]content['"]\s*\])/;

/** A model's chat template, rendered as engines render it for messages of text. */
export class ChatTemplate {
  private readonly template: Template;
  private readonly specials: Readonly<Record<string, string>>;
  private readonly parts: boolean;

  /** `specials`: texts of special tokens that templates may name, such as `bos_token`. Throws what the parser throws. */
  constructor(source: string, specials: Readonly<Record<string, string>>) {
    this.template = new Template(source);
    this.specials = specials;
    this.parts = walksParts.test(source);
  }

  /** The text of a question with messages. Throws RenderError, or what the template raises. */
  render(body: Message): string {
    if (body.chat_template !== undefined) throw new RenderError('a template of the client is not run here');
    if (body.continue_final_message === true) throw new RenderError('continuing a message is not known here');
    const kwargs = isRecord(body.chat_template_kwargs) ? body.chat_template_kwargs : {};
    const messages: readonly unknown[] = Array.isArray(body.messages) ? body.messages : [];
    const tools: readonly unknown[] | null = Array.isArray(body.tools) ? body.tools : null;
    return this.template.render({
      ...this.specials,
      ...kwargs,
      messages: messages.map((message) => this.message(message)),
      tools: tools === null ? null : tools.map(toolOf),
      add_generation_prompt: body.add_generation_prompt !== false,
    });
  }

  private message(message: unknown): Record<string, unknown> {
    if (!isRecord(message)) throw new RenderError('a message must be an object');
    const { role, name, tool_call_id: id } = message;
    // Engines turn it into another role where the template does not know it.
    if (role === 'developer') throw new RenderError('the role developer is not known here');
    const written: Record<string, unknown> = { role, content: this.content(message) };
    if (typeof name === 'string') written.name = name;
    if (role === 'tool' && id !== undefined) written.tool_call_id = id;
    return role === 'assistant' ? { ...written, ...answerOf(message) } : written;
  }

  private content({ role, content }: Message): unknown {
    const parts: readonly unknown[] = Array.isArray(content) ? content : [{ text: content ?? '' }];
    const texts = parts.map((part) => {
      if (isRecord(part) && typeof part.text === 'string') return part.text;
      throw new RenderError('a content must be text');
    });
    // The results of tools are one text for every template.
    if (!this.parts || role === 'tool') return texts.join('\n');
    return content === undefined || content === null ? [] : texts.map((text) => ({ type: 'text', text }));
  }
}

/** What answers have besides their text. */
function answerOf({ reasoning, tool_calls: calls }: Message): Record<string, unknown> {
  const told = reasoning === undefined || reasoning === null ? {} : { reasoning, reasoning_content: reasoning };
  return Array.isArray(calls) && calls.length > 0 ? { ...told, tool_calls: calls.map(callOf) } : told;
}

/** Arguments come as JSON text and reach templates as an object. */
function callOf(call: unknown): Record<string, unknown> {
  if (!isRecord(call) || !isRecord(call.function)) throw new RenderError('a tool call must name a function');
  const { arguments: given } = call.function;
  const parsed: unknown = typeof given === 'string' && given !== '' ? JSON.parse(given) : (given ?? {});
  return { ...call, function: { ...call.function, arguments: parsed === '' ? {} : parsed } };
}

/** The fields that engines know of a tool, in their order. */
function toolOf(tool: unknown): Record<string, unknown> {
  if (!isRecord(tool) || !isRecord(tool.function)) throw new RenderError('a tool must be a function');
  const { name, description = null, parameters = null, strict } = tool.function;
  const known = { name, description, parameters, ...(strict === undefined || strict === null ? {} : { strict }) };
  return { type: 'function', function: known };
}
