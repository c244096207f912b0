import type { Clock } from '../../router/clock.ts';
import type { LookupQuery } from '../../router/foreknowledge.ts';
import { askedOf, type Asked, type Chat } from './asked.ts';
import { ChatKeys } from './chat-keys.ts';
import { ChatTokens, type ChatQuery } from './chat-tokens.ts';
import type { Outcome, Renderer, TokenIds, Tokenizer, TokenMiss } from './contract.ts';
import { KeyedHash } from './keyed-hash.ts';
import { idsOf, type TokenMemory } from './memory.ts';

export interface PromptTokenizerOptions {
  readonly renderer: Renderer;
  /** May be shared with others; its bound holds for all of them together. */
  readonly memory: TokenMemory;
  /** Milliseconds that a request may wait. */
  readonly timeout: number;
  readonly clock: Clock;
  /** Told of every prompt without ids; a place for a counter. */
  readonly onMiss: (reason: TokenMiss) => void;
}

const noIds: TokenIds = new Uint32Array(0);

/**
 * Token ids by a renderer that is asked only for what is not remembered: a prompt that has been seen costs nothing, a
 * chat that has grown its new messages. An answer that comes too late for its own request serves the next one. No text
 * is kept beyond the answer to its question: only keyed hashes and token ids.
 */
export class PromptTokenizer implements Tokenizer {
  private readonly options: PromptTokenizerOptions;
  private readonly hash = new KeyedHash();
  private readonly chats: ChatTokens;
  /** Questions under way, by their keys: equal prompts ask once. */
  private readonly pending = new Map<string, Promise<Outcome>>();

  constructor(options: PromptTokenizerOptions) {
    this.options = options;
    this.chats = new ChatTokens(options.renderer, options.memory);
  }

  /** How chats were answered since the start. */
  get counts(): ChatTokens['counts'] {
    return this.chats.counts;
  }

  tokens(query: LookupQuery): TokenIds | null | Promise<TokenIds | null> {
    const asked = askedOf(query);
    let found: Outcome | Promise<Outcome>;
    try {
      found = this.find(query, asked);
    } catch (error) {
      // The parser takes any depth, the writer does not; the front door refuses such a body.
      if (!(error instanceof RangeError)) throw error;
      found = 'unsupported';
    }
    if (found instanceof Promise) return this.inTime(found);
    return this.settle(found);
  }

  async close(): Promise<void> {
    await this.options.renderer.close();
  }

  private find(query: LookupQuery, asked: Asked): Outcome | Promise<Outcome> {
    switch (asked.kind) {
      case 'ids':
        return asked.ids;
      case 'none':
        return asked.reason;
      case 'text':
        return this.text(query, asked.text, asked.settings);
      case 'chat':
        return this.chat(query, asked.chat);
    }
  }

  private text(query: LookupQuery, text: string, settings: LookupQuery['body']): Outcome | Promise<Outcome> {
    const { hash } = this;
    const { memory, renderer } = this.options;
    hash.begin();
    hash.add('text');
    hash.addWord(this.chats.era);
    hash.add(query.model);
    hash.addWord(settings.add_special_tokens === false ? 1 : 0);
    hash.add(text);
    const { low, high } = hash;
    const known = memory.find(low, high);
    if (known !== null) {
      memory.use(known);
      return idsOf(known, noIds);
    }
    return this.once(low, high, async () => {
      const body = { model: query.model, prompt: text, ...settings };
      const ids = await renderer.ask({ body, candidates: query.candidates, background: false });
      if (typeof ids !== 'string') memory.put(low, high, { parent: null, ids });
      return ids;
    });
  }

  private chat(query: LookupQuery, chat: Chat): Outcome | Promise<Outcome> {
    const keys = new ChatKeys({ hash: this.hash, model: query.model, era: this.chats.era }, chat);
    const about: ChatQuery = { model: query.model, candidates: query.candidates, chat, keys };
    const known = this.chats.recall(about);
    if (known !== null) return known;
    return this.once(keys.low(keys.count), keys.high(keys.count), () => this.chats.ask(about));
  }

  private once(low: number, high: number, ask: () => Promise<Outcome>): Promise<Outcome> {
    const key = `${low}:${high}`;
    const underWay = this.pending.get(key);
    if (underWay !== undefined) return underWay;
    const answer = ask().finally(() => this.pending.delete(key));
    this.pending.set(key, answer);
    return answer;
  }

  /** The answer, if it comes in time. */
  private inTime(answer: Promise<Outcome>): Promise<TokenIds | null> {
    const { clock, timeout } = this.options;
    return new Promise((resolve, reject) => {
      let late = false;
      const cancel = clock.after(timeout, () => {
        late = true;
        resolve(this.settle('timeout'));
      });
      answer.then((outcome) => {
        cancel();
        if (!late) resolve(this.settle(outcome));
      }, reject);
    });
  }

  private settle(outcome: Outcome): TokenIds | null {
    if (typeof outcome !== 'string') return outcome;
    this.options.onMiss(outcome);
    return null;
  }
}
