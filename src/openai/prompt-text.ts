import { RoutingError } from '../router/errors.ts';
import type { Prompt } from '../router/prompt.ts';
import { decode, type Payload } from './payload.ts';

/**
 * Writes what an engine would compute of a request into `prompt`: tools, messages, prompt or input, in the order that
 * chat templates use. Not the engine's own template, but equal prefixes here mean equal prefixes there. Throws
 * RoutingError for what is nested too deeply to be written out.
 */
export function writePrompt(payload: Payload, model: string, prompt: Prompt): void {
  const { body, utf8 } = payload;
  const salt = body.cache_salt;
  prompt.begin(model, typeof salt !== 'string' ? '' : utf8 ? salt : decode(salt));
  const writer = new PromptWriter(prompt, utf8);
  if (body.tools !== undefined) writer.value(body.tools);
  if (typeof body.instructions === 'string') writer.text(body.instructions);
  if (Array.isArray(body.messages)) writer.messages(body.messages);
  if (body.prompt !== undefined) writer.prompt(body.prompt);
  if (body.input !== undefined) writer.input(body.input);
}

class PromptWriter {
  private readonly target: Prompt;
  private readonly utf8: boolean;

  constructor(prompt: Prompt, utf8: boolean) {
    this.target = prompt;
    this.utf8 = utf8;
  }

  text(text: string): void {
    const prompt = this.target;
    if (this.utf8) {
      const target = prompt.reserve(text.length * 3);
      prompt.wrote(asBuffer(target).write(text, prompt.end, 'utf8'));
    } else {
      const target = prompt.reserve(text.length);
      prompt.wrote(asBuffer(target).write(text, prompt.end, 'latin1'));
    }
  }

  messages(messages: readonly unknown[]): void {
    for (const message of messages) {
      if (!isRecord(message)) continue;
      if (typeof message.role === 'string') this.text(message.role);
      this.text('\n');
      this.content(message.content);
      if (message.tool_calls !== undefined) this.value(message.tool_calls);
      // Items of /v1/responses such as the output of a function keep their text in fields of their own.
      else if (message.content === undefined) this.value(message);
      this.text('\n');
    }
  }

  /** A string, an array of strings, or token ids; engines compute an array's prompts one by one. */
  prompt(value: unknown): void {
    if (typeof value === 'string') this.text(value);
    else if (isTokenIds(value)) this.target.appendTokens(value);
    else if (Array.isArray(value)) for (const item of value) this.one(item);
  }

  private one(item: unknown): void {
    if (typeof item === 'string') this.text(item);
    else if (isTokenIds(item)) this.target.appendTokens(item);
  }

  /** The `input` of embeddings (as a prompt) and of responses (as a prompt or as messages). */
  input(value: unknown): void {
    if (Array.isArray(value) && value.some(isRecord)) this.messages(value);
    else this.prompt(value);
  }

  value(value: unknown): void {
    let text: string;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      // The parser takes any depth, the writer does not.
      throw new RoutingError('invalid_value', 'the body is nested too deeply', { source: 'client', cause });
    }
    this.text(text);
  }

  private content(content: unknown): void {
    if (typeof content === 'string') {
      this.text(content);
      return;
    }
    if (!Array.isArray(content)) return;
    for (const part of content) {
      if (isRecord(part) && typeof part.text === 'string') this.text(part.text);
      else this.value(part);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTokenIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => Number.isInteger(id));
}

/** The same memory as a Buffer, which writes strings in place. */
function asBuffer(bytes: Uint8Array): Buffer {
  const known = buffers.get(bytes);
  if (known !== undefined) return known;
  const made = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  buffers.set(bytes, made);
  return made;
}

const buffers = new WeakMap<Uint8Array, Buffer>();
