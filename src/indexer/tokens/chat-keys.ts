import { isPlainMessage, type Chat, type Message } from './asked.ts';
import { shapeOf } from './frame.ts';
import type { KeyedHash } from './keyed-hash.ts';

/** What keys belong to besides the chat itself. */
export interface KeyScope {
  readonly hash: KeyedHash;
  readonly model: string;
  /** Keys of different eras never meet. */
  readonly era: number;
}

/** Keys of a chat's beginnings, two halves each. */
export class ChatKeys {
  /** Stands for the kind of chat: model, template settings, shape. */
  readonly kind: string;
  /** Number of messages; key i stands for messages 0..i, key `count` for the whole question, its ending included. */
  readonly count: number;
  private readonly halves: Uint32Array;

  /** Throws RangeError for what is nested too deeply to be written out. */
  constructor({ hash, model, era }: KeyScope, chat: Chat) {
    const { messages, settings, tools } = chat;
    this.count = messages.length;
    this.halves = new Uint32Array(2 * (this.count + 1));
    hash.begin();
    hash.add('chat');
    hash.add(model);
    hash.add(templateSettings(settings));
    this.kind = `${hash.low}:${hash.high}:${shapeOf(chat)}`;
    hash.addWord(era);
    hash.add(tools === undefined ? '' : JSON.stringify(tools));
    for (let i = 0; i < this.count; i++) {
      addMessage(hash, messages[i]);
      this.take(hash, i);
    }
    hash.addWord(
      (settings.add_generation_prompt === false ? 1 : 0) | (settings.continue_final_message === true ? 2 : 0),
    );
    this.take(hash, this.count);
  }

  low(i: number): number {
    return this.halves[2 * i];
  }

  high(i: number): number {
    return this.halves[2 * i + 1];
  }

  private take(hash: KeyedHash, i: number): void {
    this.halves[2 * i] = hash.low;
    this.halves[2 * i + 1] = hash.high;
  }
}

/** What shapes every message, not the end alone. */
function templateSettings({ chat_template, chat_template_kwargs, add_special_tokens }: Chat['settings']): string {
  if (chat_template === undefined && chat_template_kwargs === undefined && add_special_tokens === undefined) return '';
  return JSON.stringify([chat_template, chat_template_kwargs, add_special_tokens]);
}

function addMessage(hash: KeyedHash, message: Message): void {
  // Most messages are plain: their texts need not be written out as JSON first.
  if (isPlainMessage(message)) {
    hash.add(message.role);
    hash.add(message.content);
  } else {
    hash.addWord(-1);
    hash.add(JSON.stringify(message));
  }
}
