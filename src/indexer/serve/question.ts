import { QuestionError } from './errors.ts';

/** Longest name of a model, a salt or a candidate that is read, in UTF-16 units. */
const longestName = 1024;
/** Most candidates of a question: as many endpoints as a router has. */
const mostCandidates = 4096;
/** A token id fits 32 bits in every engine. */
const largestToken = 0xffff_ffff;

/** What is asked about: token ids, or text that an engine has yet to make into some. */
export type Prompt =
  | { readonly tokens: Uint32Array; readonly body: null }
  /** The body of the question: `prompt`, or `messages` with whatever shapes the chat. */
  | { readonly tokens: null; readonly body: Readonly<Record<string, unknown>> };

/** A question as checked. */
export interface Question {
  readonly model: string;
  readonly prompt: Prompt;
  /** Empty where there is none. */
  readonly salt: string;
  /** Tokens in a block; null where the client leaves it to us. */
  readonly blockSize: number | null;
  /** Addresses or pod names; null asks about every pod. */
  readonly candidates: ReadonlySet<string> | null;
}

type Body = Readonly<Record<string, unknown>>;

/** Reads the body of `POST /match_sort`. Throws QuestionError. */
export function parseMatchSortQuestion(bytes: Buffer): Question {
  const body = parseObject(bytes);
  return { ...common(body), prompt: promptOf(body) };
}

/** Reads the body of `POST /kv-cache/hit-rate`, which asks about token ids only. Throws QuestionError. */
export function parseHitRateQuestion(bytes: Buffer): Question {
  const body = parseObject(bytes);
  const { token_ids: tokens } = body;
  if (isAbsent(tokens)) throw invalid('token_ids', 'must be there: a list of token ids');
  return { ...common(body), prompt: { tokens: tokenIds(tokens), body: null } };
}

function parseObject(bytes: Buffer): Body {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    // The parser's message quotes the body, which must not be shown or logged.
    throw new QuestionError('invalid_json', 'the body is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new QuestionError('invalid_json', 'the body must be a JSON object');
  return { ...value };
}

function common(body: Body): Omit<Question, 'prompt'> {
  return {
    model: modelOf(body.model),
    salt: isAbsent(body.cache_salt) ? '' : nameOf('cache_salt', body.cache_salt),
    blockSize: blockSizeOf(body.block_size),
    candidates: candidatesOf(body.candidates),
  };
}

function modelOf(value: unknown): string {
  if (isAbsent(value) || value === '') throw new QuestionError('missing_model', 'you must name a model', 'model');
  return nameOf('model', value);
}

function nameOf(field: string, value: unknown): string {
  if (typeof value !== 'string') throw invalid(field, 'must be a string');
  if (value.length > longestName) throw invalid(field, `must not be longer than ${longestName} characters`);
  return value;
}

function blockSizeOf(value: unknown): number | null {
  if (isAbsent(value)) return null;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw invalid('block_size', 'must be a whole number above 0: the tokens in a block');
  return value;
}

function candidatesOf(value: unknown): ReadonlySet<string> | null {
  if (isAbsent(value)) return null;
  if (!Array.isArray(value)) throw invalid('candidates', 'must be a list of addresses (ip:port) or names of pods');
  if (value.length > mostCandidates) throw invalid('candidates', `must not name more than ${mostCandidates} pods`);
  return new Set((value as readonly unknown[]).map((candidate, i) => nameOf(`candidates[${i}]`, candidate)));
}

const forms = ['prompt', 'messages', 'token_ids'] as const;

function promptOf(body: Body): Prompt {
  const given = forms.filter((form) => !isAbsent(body[form]));
  if (given.length !== 1)
    throw invalid(given[1] ?? 'prompt', 'must be the only one: give exactly one of prompt, messages and token_ids');
  if (given[0] === 'token_ids') return { tokens: tokenIds(body.token_ids), body: null };
  if (given[0] === 'prompt' && typeof body.prompt !== 'string')
    throw invalid('prompt', 'must be a string; token ids go into token_ids');
  if (given[0] === 'messages') checkMessages(body.messages);
  return { tokens: null, body };
}

function checkMessages(value: unknown): void {
  const isList = Array.isArray(value) && value.length > 0;
  const isMessage = (message: unknown): boolean =>
    typeof message === 'object' && message !== null && !Array.isArray(message);
  if (!isList || !value.every(isMessage)) throw invalid('messages', 'must be a list of chat messages, at least one');
}

/** Into flat integers and checked at once: a long prompt has a million of them. */
function tokenIds(value: unknown): Uint32Array {
  if (!Array.isArray(value)) throw invalid('token_ids', 'must be a list of token ids');
  const list: readonly unknown[] = value;
  const tokens = new Uint32Array(list.length);
  for (let i = 0; i < list.length; i++) {
    const token = list[i];
    if (typeof token !== 'number' || !Number.isInteger(token) || token < 0 || token > largestToken)
      throw invalid('token_ids', `must hold whole numbers from 0 to ${largestToken} only; item ${i} is none`);
    tokens[i] = token;
  }
  return tokens;
}

/** Clients write null for what they leave out. */
const isAbsent = (value: unknown): value is null | undefined => value === undefined || value === null;

const invalid = (field: string, what: string): QuestionError =>
  new QuestionError('invalid_value', `${field} ${what}`, field);
