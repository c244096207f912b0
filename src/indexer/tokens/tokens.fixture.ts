import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { ManualClock } from '../../../test/fixtures/manual-clock.ts';
import type { LookupQuery } from '../../router/foreknowledge.ts';
import { isRecord, type Message } from './asked.ts';
import type { Outcome, Question, Renderer, TokenMiss } from './contract.ts';
import { TokenMemory } from './memory.ts';
import { PromptTokenizer } from './prompt-tokenizer.ts';
import { TokenizerFiles } from './tokenizer-files.ts';

/** A byte-level BPE of 2,048 tokens with a ChatML template; `golden.json` is what a real engine made with it. */
export const tinyModel = fileURLToPath(new URL('./testdata/tiny', import.meta.url));

/** ChatML as most models have it. */
export const chatML =
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

export function afterTest(close: () => unknown): void {
  closing.push(close);
}

/** The tiny model's tokenizer with another template. */
export function filesWith(template: string): TokenizerFiles {
  return new TokenizerFiles(folderWith(template));
}

export function folderWith(template: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tokens-'));
  afterTest(() => rmSync(folder, { recursive: true }));
  cpSync(tinyModel, folder, { recursive: true });
  writeFileSync(join(folder, 'chat_template.jinja'), template);
  return folder;
}

/** Renders at once in this thread and keeps what it was asked. */
export class InlineRenderer implements Renderer {
  readonly asked: Question[] = [];
  /** Bytes of the questions. */
  bytes = 0;
  files: TokenizerFiles;
  /** Answers this instead while set. */
  miss: TokenMiss | null = null;

  constructor(files: TokenizerFiles) {
    this.files = files;
  }

  ask(question: Question): Promise<Outcome> {
    this.asked.push(question);
    this.bytes += JSON.stringify(question.body).length;
    return Promise.resolve(this.miss ?? this.answer(question.body));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private answer(body: Message): Outcome {
    try {
      return this.files.tokens(body);
    } catch {
      // The template refuses it, as an engine would by its status.
      return 'status';
    }
  }
}

export function tokenizerWith(renderer: Renderer, memory = new TokenMemory()) {
  const clock = new ManualClock();
  const misses: TokenMiss[] = [];
  const onMiss = (reason: TokenMiss): number => misses.push(reason);
  const tokenizer = new PromptTokenizer({ renderer, memory, timeout: 20, clock, onMiss });
  return { tokenizer, clock, misses, memory };
}

export function chatQuery(messages: readonly Message[], settings: Message = {}): LookupQuery {
  return { model: 'tiny', path: '/v1/chat/completions', body: { messages, ...settings }, candidates: ['e:1'] };
}

export function textQuery(prompt: unknown): LookupQuery {
  return { model: 'tiny', path: '/v1/completions', body: { prompt }, candidates: ['e:1'] };
}

export const user = (content: string): Message => ({ role: 'user', content });
export const assistant = (content: string): Message => ({ role: 'assistant', content });
export const system = (content: string): Message => ({ role: 'system', content });

/** Lets everything happen that waits for nothing but promises. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** An engine on loopback that answers `/tokenize` as told, and what it has seen. */
export async function engine(listener: (body: Message, response: ServerResponse, request: IncomingMessage) => void) {
  const seen: { url: string; body: Message; bytes: number; authorization: string | undefined }[] = [];
  const waiters: { times: number; resolve: () => void }[] = [];
  const answer: RequestListener = (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const bytes = Buffer.concat(parts);
      const body: unknown = JSON.parse(bytes.toString('utf8'));
      const { authorization } = request.headers;
      seen.push({ url: request.url ?? '', body: isRecord(body) ? body : {}, bytes: bytes.length, authorization });
      listener(isRecord(body) ? body : {}, response, request);
      for (const { times, resolve } of waiters) if (seen.length >= times) resolve();
    });
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const asked = (times: number): Promise<void> =>
    seen.length >= times ? Promise.resolve() : new Promise((resolve) => waiters.push({ times, resolve }));
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen, asked, server };
}
