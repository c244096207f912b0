import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { isRecord, type Message } from './asked.ts';
import { ChatTemplate, RenderError } from './chat-template.ts';

/** A folder without a usable tokenizer; the message names the file and says what to do. */
export class TokenizerFilesError extends Error {
  override readonly name = 'TokenizerFilesError';
}

/** A model's tokenizer and chat template as its folder holds them. */
export class TokenizerFiles {
  private readonly tokenizer: Tokenizer;
  /** Null for a model without one: chats are refused. */
  private readonly template: ChatTemplate | null;

  /** Reads `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`. Throws TokenizerFilesError. */
  constructor(folder: string) {
    const vocabulary = readJson(folder, 'tokenizer.json');
    if (vocabulary === null) throw new TokenizerFilesError('there is no tokenizer.json: mount the folder of the model');
    const config = readJson(folder, 'tokenizer_config.json') ?? {};
    this.tokenizer = attempt('tokenizer.json', () => new Tokenizer(vocabulary, config));
    const source = readText(folder, 'chat_template.jinja') ?? templateIn(config);
    this.template =
      source === null ? null : attempt('the chat template', () => new ChatTemplate(source, specialsOf(config)));
  }

  /** Answers the body of a `/tokenize`. Throws RenderError, or what the template raises. */
  tokens(body: Message): Uint32Array {
    const { prompt } = body;
    if (typeof prompt === 'string') return this.encode(prompt, body.add_special_tokens !== false);
    if (this.template === null) throw new RenderError('the model has no chat template');
    return this.encode(this.template.render(body), body.add_special_tokens === true);
  }

  private encode(text: string, add_special_tokens: boolean): Uint32Array {
    return Uint32Array.from(this.tokenizer.encode(text, { add_special_tokens }).ids);
  }
}

function attempt<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new TokenizerFilesError(`${what} cannot be used: it must be as the model's publisher wrote it`, { cause });
  }
}

function readText(folder: string, name: string): string | null {
  try {
    return readFileSync(join(folder, name), 'utf8');
  } catch (cause) {
    if (isRecord(cause) && cause.code === 'ENOENT') return null;
    throw new TokenizerFilesError(`${name} cannot be read: check its permissions`, { cause });
  }
}

function readJson(folder: string, name: string): Message | null {
  const text = readText(folder, name);
  if (text === null) return null;
  const value = attempt(name, (): unknown => JSON.parse(text));
  if (isRecord(value)) return value;
  throw new TokenizerFilesError(`${name} must hold a JSON object`);
}

/** One template, or several of which `default` serves chats. */
function templateIn({ chat_template: given }: Message): string | null {
  if (typeof given === 'string') return given;
  const named: readonly unknown[] = Array.isArray(given) ? given : [];
  const usual = named.find((entry) => isRecord(entry) && entry.name === 'default');
  return isRecord(usual) && typeof usual.template === 'string' ? usual.template : null;
}

/** Texts of special tokens; each is a string, or an object that tells how it is matched. */
function specialsOf(config: Message): Record<string, string> {
  const specials: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith('_token')) continue;
    if (typeof value === 'string') specials[name] = value;
    else if (isRecord(value) && typeof value.content === 'string') specials[name] = value.content;
  }
  return specials;
}
