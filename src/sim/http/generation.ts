import type { Adapter, Sequence } from '../sequence.ts';
import { TokenWriter, tokenize } from '../tokens.ts';
import { badValue, emptyPrompt } from './errors.ts';
import { checkFields, member, missingField, numberField, stringField, type Body, type Field } from './body.ts';
import type { ServedModels } from './names.ts';

/** What the parsers need to know of the engine. */
export interface EngineLimits {
  readonly models: ServedModels;
  /** Tokens of prompt and output together. */
  readonly maxModelLength: number;
}

/** A request for tokens, whatever path it came by. */
export interface Generation {
  readonly adapter: Adapter | null;
  /** The name that the answer carries. */
  readonly model: string;
  readonly salt: string;
  readonly prompts: readonly Uint32Array[];
  /** Choices for each prompt. */
  readonly n: number;
  readonly maxOutput: number;
  /** Why the answer ends: at the asked limit, or by the model's own wish. */
  readonly finishReason: 'length' | 'stop';
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
}

/** An answer under way: its request, and one sequence for each choice, in order. */
export interface Answer {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly generation: Generation;
  readonly sequences: readonly Sequence[];
  /** JSON of what a prefill's answer says of the blocks that are kept; null where the engine keeps none. */
  readonly transferParams: (() => string) | null;
}

/** Tokens that a chat answer has when nobody says: a simulated model stops by itself. */
const defaultChatOutput = 128;
const defaultCompletionOutput = 16;

const common: readonly Field[] = [
  { name: 'model', kind: 'string' },
  { name: 'max_tokens', kind: 'integer' },
  { name: 'n', kind: 'integer' },
  { name: 'stream', kind: 'boolean' },
  { name: 'stream_options', kind: 'object' },
  { name: 'temperature', kind: 'number' },
  { name: 'cache_salt', kind: 'string' },
  { name: 'kv_transfer_params', kind: 'object' },
];
const chatFields: readonly Field[] = [
  { name: 'messages', kind: 'list', required: true },
  ...common,
  { name: 'max_completion_tokens', kind: 'integer' },
];
const responseFields: readonly Field[] = [...common, { name: 'max_output_tokens', kind: 'integer' }];

export function parseChat(body: Body, limits: EngineLimits): Generation {
  checkFields(body, chatFields);
  const asked = firstNumber(body, ['max_completion_tokens', 'max_tokens']);
  return generation(body, limits, {
    prompts: () => [chatPrompt(body.get('messages'))],
    asked,
    usual: defaultChatOutput,
  });
}

export function parseCompletion(body: Body, limits: EngineLimits): Generation {
  checkFields(body, common);
  const asked = firstNumber(body, ['max_tokens']);
  const prompts = () => textPrompts(body, 'prompt');
  return generation(body, limits, { prompts, asked, usual: defaultCompletionOutput });
}

export function parseResponse(body: Body, limits: EngineLimits): Generation {
  checkFields(body, responseFields);
  const input = body.get('input');
  if (typeof input !== 'string' && !Array.isArray(input)) throw missingField(body, 'input');
  const messages: unknown[] = typeof input === 'string' ? [{ role: 'user', content: input }] : input;
  const instructions = stringField(body, 'instructions');
  const all = instructions === null ? messages : [{ role: 'system', content: instructions }, ...messages];
  const asked = firstNumber(body, ['max_output_tokens']);
  const parsed = generation(body, limits, { prompts: () => [chatPrompt(all)], asked, usual: defaultChatOutput });
  return { ...parsed, n: 1 };
}

export function parseEmbedding(body: Body, limits: EngineLimits): Generation {
  checkFields(body, common);
  const parsed = generation(body, limits, { prompts: () => textPrompts(body, 'input'), asked: null, usual: 0 });
  return { ...parsed, n: 1, stream: false };
}

/** The token ids of a chat, ending where the model's own message begins, or with the last message where that is not wanted. */
export function chatPrompt(messages: unknown, opensAnswer = true): Uint32Array {
  const writer = new TokenWriter();
  for (const message of Array.isArray(messages) ? messages : []) {
    const role = member(message, 'role');
    writer.message(typeof role === 'string' ? role : 'user', contentText(member(message, 'content')));
  }
  if (opensAnswer) writer.openMessage('assistant');
  return writer.finish();
}

/** A text, token ids, or a list of either. */
export function textPrompts(body: Body, name: string): Uint32Array[] {
  const value = body.get(name);
  if (typeof value === 'string') return [tokenize(value)];
  if (!Array.isArray(value) || value.length === 0) throw missingField(body, name);
  if (isTokenIds(value)) return [Uint32Array.from(value)];
  return value.map((item: unknown) => {
    if (typeof item === 'string') return tokenize(item);
    if (isTokenIds(item)) return Uint32Array.from(item);
    throw missingField(body, name);
  });
}

export function isTokenIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0 && id <= 0xffffffff);
}

interface Parts {
  readonly prompts: () => Uint32Array[];
  /** Output tokens asked for; null where the client does not say. */
  readonly asked: number | null;
  readonly usual: number;
}

function generation(body: Body, limits: EngineLimits, parts: Parts): Generation {
  const adapter = limits.models.resolve(stringField(body, 'model'));
  checkSampling(body, limits.maxModelLength);
  const prompts = parts.prompts();
  if (prompts.some((prompt) => prompt.length === 0)) throw emptyPrompt();
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  const maxOutput = outputTokens(parts, longest, limits.maxModelLength);
  const options = body.get('stream_options');
  const stream = body.get('stream') === true;
  return {
    adapter,
    model: adapter?.name ?? limits.models.base,
    salt: stringField(body, 'cache_salt') ?? '',
    prompts,
    n: numberField(body, 'n') ?? 1,
    maxOutput,
    finishReason: parts.asked === null && parts.usual === defaultChatOutput ? 'stop' : 'length',
    stream,
    includeUsage: stream && member(options, 'include_usage') === true,
    continuousUsage: stream && member(options, 'continuous_usage_stats') === true,
  };
}

function checkSampling(body: Body, maxModelLength: number): void {
  const temperature = numberField(body, 'temperature');
  if (temperature !== null && temperature < 0)
    throw badValue('temperature', temperature, `temperature must be non-negative, got ${negative(temperature)}.`);
  for (const name of ['n', 'max_tokens', 'max_completion_tokens', 'max_output_tokens']) {
    const value = numberField(body, name);
    if (value !== null && value < 1) throw badValue(name, value, `${name} must be at least 1, got ${value}.`);
    if (value !== null && name !== 'n' && value > maxModelLength) throw tooMuchOutput(name, value, maxModelLength);
  }
}

function negative(temperature: number): string {
  return Number.isInteger(temperature) ? temperature.toFixed(1) : String(temperature);
}

function tooMuchOutput(name: string, value: number, limit: number): Error {
  const message = `${name}=${value} cannot be greater than max_model_len=${limit}. Please request fewer output tokens.`;
  return badValue(name, value, message);
}

/** How long the answer will be; a prompt that leaves too little room is refused. */
function outputTokens({ asked, usual }: Parts, prompt: number, limit: number): number {
  const start = `This model's maximum context length is ${limit} tokens. However,`;
  const least = usual === 0 ? 0 : 1;
  if (prompt + least > limit) {
    const exceeds = `your prompt contains at least ${limit + 1} input tokens, which exceeds this limit even without any output tokens.`;
    throw badValue('input_tokens', limit + 1, `${start} ${exceeds} Please reduce the length of the input prompt.`);
  }
  if (asked === null) return Math.min(usual, limit - prompt);
  if (prompt + asked <= limit) return asked;
  const total = `you requested ${asked} output tokens and your prompt contains at least ${prompt} input tokens, for a total of at least ${prompt + asked} tokens.`;
  const cure = 'Please reduce the length of the input prompt or the number of requested output tokens.';
  throw badValue('input_tokens', prompt, `${start} ${total} ${cure}`);
}

function firstNumber(body: Body, names: readonly string[]): number | null {
  for (const name of names) {
    const value = numberField(body, name);
    if (value !== null) return value;
  }
  return null;
}

/** Text of a message: a string, or the text parts of a list. */
function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part) => member(part, 'text'))
    .filter((text) => typeof text === 'string')
    .join('\n');
}
