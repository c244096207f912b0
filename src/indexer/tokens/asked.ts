import type { LookupQuery } from '../../router/foreknowledge.ts';
import type { TokenIds, TokenMiss } from './contract.ts';

export type Message = Readonly<Record<string, unknown>>;
type Body = LookupQuery['body'];

/** What a request wants tokens of. */
export type Asked =
  | { readonly kind: 'ids'; readonly ids: TokenIds }
  | { readonly kind: 'text'; readonly text: string; readonly settings: Body }
  | { readonly kind: 'chat'; readonly chat: Chat }
  | { readonly kind: 'none'; readonly reason: TokenMiss };

/** A chat as `/tokenize` takes it. */
export interface Chat {
  readonly messages: readonly Message[];
  /** What shapes the rendering besides the messages. */
  readonly settings: Body;
  /** The tools offered, or undefined. */
  readonly tools: unknown;
  /** Whether the rendering ends with the plain opening of the model's own message. */
  readonly opens: boolean;
}

/** A token id fits 32 bits in every engine. */
const largestToken = 0xffff_ffff;
const promptSettings = ['add_special_tokens'];
const chatSettings = ['add_special_tokens', 'add_generation_prompt', 'continue_final_message', 'chat_template'];
/** They change the prompt, but `/tokenize` does not take them. */
const beyondTokenize = [
  'truncate_prompt_tokens',
  'prompt_embeds',
  'media_io_kwargs',
  'mm_processor_kwargs',
  'reasoning_effort',
  'reasoning',
];
/** State that lies in the engine, or tools in another form than a chat's. */
const beyondResponses = ['previous_response_id', 'conversation', 'prompt', 'tools', 'previous_input_messages'];

const none = (reason: TokenMiss): Asked => ({ kind: 'none', reason });

/** What a request wants tokens of, by the path that it came to. */
export function askedOf({ path, body }: Pick<LookupQuery, 'path' | 'body'>): Asked {
  if (beyondTokenize.some((name) => isGiven(body[name]))) return none('unsupported');
  switch (path) {
    case '/v1/chat/completions':
      return chatOf(body, body.messages);
    case '/v1/completions':
      return promptOf(body, body.prompt);
    case '/v1/embeddings':
      return isGiven(body.messages) ? none('unsupported') : promptOf(body, body.input);
    case '/v1/responses':
      return responseOf(body);
    default:
      return none('unsupported');
  }
}

/** One text, one list of token ids, or a list of one of these: several prompts share no prefix. */
function promptOf(body: Body, prompt: unknown): Asked {
  if (typeof prompt === 'string') return textOf(body, prompt);
  if (!Array.isArray(prompt) || prompt.length === 0) return none('no_prompt');
  const items: readonly unknown[] = prompt;
  if (typeof items[0] === 'number') return idsOf(items);
  if (items.length > 1) return none('several_prompts');
  const [only] = items;
  if (typeof only === 'string') return textOf(body, only);
  return Array.isArray(only) && only.length > 0 ? idsOf(only) : none('no_prompt');
}

function textOf(body: Body, text: string): Asked {
  const settings = taken(body, promptSettings);
  return settings === null ? none('unsupported') : { kind: 'text', text, settings };
}

function idsOf(items: readonly unknown[]): Asked {
  const ids = new Uint32Array(items.length);
  for (let i = 0; i < items.length; i++) {
    const id = items[i];
    if (!isTokenId(id)) return none('no_prompt');
    ids[i] = id;
  }
  return { kind: 'ids', ids };
}

function chatOf(body: Body, messages: unknown): Asked {
  if (!Array.isArray(messages) || messages.length === 0) return none('no_prompt');
  if (!messages.every(isMessage)) return none('unsupported');
  const settings = taken(body, chatSettings);
  const kwargs = kwargsOf(body);
  if (settings === null || kwargs === null || !areToolsClear(body)) return none('unsupported');
  const all = kwargs === undefined ? settings : { ...settings, chat_template_kwargs: kwargs };
  const opens = all.add_generation_prompt !== false && all.continue_final_message !== true;
  const tools = isGiven(body.tools) ? body.tools : undefined;
  return { kind: 'chat', chat: { messages, settings: all, tools, opens } };
}

/** An engine may be told to hide the tools of a request that forbids their use; nobody outside knows. */
function areToolsClear({ tools, tool_choice: choice }: Body): boolean {
  if (!isGiven(tools)) return true;
  return Array.isArray(tools) && !(choice === 'none' && tools.length > 0);
}

/** Engines hand documents to the template as one more of its arguments; null is not to be understood. */
function kwargsOf({ chat_template_kwargs: kwargs, documents }: Body): Message | null | undefined {
  if (isGiven(kwargs) && !isRecord(kwargs)) return null;
  if (!isGiven(documents)) return isGiven(kwargs) ? kwargs : undefined;
  return { ...(isGiven(kwargs) ? kwargs : {}), documents };
}

/** Texts only: an item of another kind is made into messages by rules of the engine's own. */
function responseOf(body: Body): Asked {
  if (beyondResponses.some((name) => isGiven(body[name]) && !isEmptyList(body[name]))) return none('unsupported');
  const { input, instructions } = body;
  const messages = inputMessages(input);
  if (messages === null) return none(isGiven(input) ? 'unsupported' : 'no_prompt');
  if (isGiven(instructions) && typeof instructions !== 'string') return none('unsupported');
  const system = isGiven(instructions) && instructions !== '' ? [{ role: 'system', content: instructions }] : [];
  const { chat_template_kwargs } = body;
  return chatOf({ chat_template_kwargs }, [...system, ...messages]);
}

function inputMessages(input: unknown): Message[] | null {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input) || input.length === 0) return null;
  const items: readonly unknown[] = input;
  const messages = items.filter(isPlainMessage);
  // An answer at the end may be one to be continued.
  return messages.length < items.length || messages.at(-1)?.role === 'assistant' ? null : messages;
}

/** The named settings that the body gives, null where one has no type that an engine would take. */
function taken(body: Body, names: readonly string[]): Record<string, unknown> | null {
  const settings: Record<string, unknown> = {};
  for (const name of names) {
    const value = body[name];
    if (!isGiven(value)) continue;
    if (typeof value !== (name === 'chat_template' ? 'string' : 'boolean')) return null;
    settings[name] = value;
  }
  return settings;
}

/** A message of text: an image or a sound is more than its tokens. */
function isMessage(value: unknown): value is Message {
  if (!isRecord(value) || typeof value.role !== 'string') return false;
  const { content } = value;
  if (!isGiven(content) || typeof content === 'string') return true;
  return Array.isArray(content) && content.every(isTextPart);
}

function isTextPart(part: unknown): boolean {
  return isRecord(part) && part.type === 'text' && typeof part.text === 'string';
}

/** Whether a message has nothing but a role and a text. */
export function isPlainMessage(value: unknown): value is { readonly role: string; readonly content: string } & Message {
  if (!isRecord(value) || typeof value.role !== 'string' || typeof value.content !== 'string') return false;
  return Object.keys(value).length === 2;
}

export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= largestToken;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
