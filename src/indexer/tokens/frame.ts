import { isPlainMessage, type Chat, type Message } from './asked.ts';
import type { TokenIds } from './contract.ts';

/** Compositions that must equal whole renderings before one is believed. */
const proof = 3;
/** Failed checks of proven compositions after which a kind of chat is composed no more. */
const mostRelapses = 8;

/** What stands before new messages in a question about them alone, by who speaks first in them. */
const anchorMessages = {
  assistant: { role: 'user', content: 'x' },
  other: { role: 'system', content: 'x' },
} as const;
export type AnchorName = keyof typeof anchorMessages;

/** A message whose rendering is known, so that it can be cut off what follows it. */
export interface Anchor {
  readonly message: Message;
  /** Its rendering alone; null where the template refuses it, or where what follows changes it. */
  ids: TokenIds | null;
  /**
   * Compositions with it that equalled a whole rendering: behind chats without an answer, and behind chats with one.
   * Templates that shorten what is past do so to answers.
   */
  readonly agreed: [number, number];
}

/**
 * What is known of how a template renders chats of one kind (model, template settings, whether tools, thinking or
 * other than plain messages take part): most templates write one message after the other, so that the tokens of a
 * grown chat are those of the chat before it and those of the new messages. Believed only while it holds.
 */
export class Frame {
  /** `new`: the anchors are to be asked for. `whole`: renderings of this kind must never be composed. */
  state: 'new' | 'ready' | 'whole' = 'new';
  /** The opening of the model's own message, which ends every rendering. */
  opening: TokenIds = new Uint32Array(0);
  readonly anchors: Readonly<Record<AnchorName, Anchor>> = {
    assistant: { message: anchorMessages.assistant, ids: null, agreed: [0, 0] },
    other: { message: anchorMessages.other, ids: null, agreed: [0, 0] },
  };
  /** Attempts to learn the anchors that the engine refused. */
  refusals = 0;
  /** Compositions that a later check has proved wrong, though they had been proven before. */
  private relapses = 0;

  /** The anchor for messages that begin with this one; null where there is none to be had. */
  anchorFor(message: Message): Anchor | null {
    const anchor = this.anchors[message.role === 'assistant' ? 'assistant' : 'other'];
    return this.state === 'ready' && anchor.ids !== null ? anchor : null;
  }

  /**
   * A check of what was proven has failed: a template that writes the date does so once a day, and a new version of the
   * engine may. Everything is to be proven anew; too often, and chats of the kind are asked for whole for ever.
   */
  relapse(): void {
    this.relapses += 1;
    this.state = this.relapses > mostRelapses ? 'whole' : 'new';
    for (const anchor of [this.anchors.assistant, this.anchors.other]) {
      anchor.ids = null;
      anchor.agreed.fill(0);
    }
  }
}

export function isProven(anchor: Anchor, behindAnswer: 0 | 1): boolean {
  return anchor.agreed[behindAnswer] >= proof;
}

/** Bits of what templates treat in a way of its own: tools, other than plain messages, thinking in an answer's text. */
export function shapeOf({ messages, tools }: Chat): number {
  let shape = tools === undefined ? 0 : 1;
  for (const message of messages) {
    if (!isPlainMessage(message)) shape |= 2;
    else if (message.role === 'assistant' && message.content.includes('</think>')) shape |= 4;
  }
  return shape;
}

/** Whether a rendering of it may be put together: a template of the client's own, or an open end, is asked for whole. */
export function isComposable({ settings, opens }: Chat): boolean {
  return opens && settings.chat_template === undefined && settings.add_special_tokens !== true;
}

/** How many messages at the beginning are instructions, which chats often have in common. */
export function leadingInstructions(messages: readonly Message[]): number {
  let count = 0;
  while (count < messages.length && messages[count].role === 'system') count += 1;
  return count;
}

export function startsWith(ids: TokenIds, beginning: TokenIds): boolean {
  return ids.length >= beginning.length && equal(ids.subarray(0, beginning.length), beginning);
}

export function endsWith(ids: TokenIds, end: TokenIds): boolean {
  return ids.length >= end.length && equal(ids.subarray(ids.length - end.length), end);
}

export function equal(a: TokenIds, b: TokenIds): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
