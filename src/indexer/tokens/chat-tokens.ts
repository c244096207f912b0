import type { Chat, Message } from './asked.ts';
import type { ChatKeys } from './chat-keys.ts';
import type { Outcome, Renderer, TokenIds } from './contract.ts';
import {
  endsWith,
  equal,
  Frame,
  isComposable,
  isProven,
  leadingInstructions,
  startsWith,
  type Anchor,
} from './frame.ts';
import { idsOf, type Stretch, type TokenMemory } from './memory.ts';

/** Kinds of chats that are known; clients can make many by settings of their own. */
const mostFrames = 256;
/** One in so many answers that were remembered or composed is checked against a whole rendering. */
const checkEvery = 50;
/** Refused attempts to learn a template's anchors after which chats of the kind are asked for whole. */
const mostRefusals = 3;

export interface ChatQuery {
  readonly model: string;
  readonly candidates: readonly string[];
  readonly chat: Chat;
  readonly keys: ChatKeys;
}

const noIds: TokenIds = new Uint32Array(0);

/**
 * Token ids of chats. What a chat has grown by is asked for alone, behind a short message whose rendering is known and
 * cut off, once such compositions have been seen to equal whole renderings. One that differs ends that for chats of its
 * kind. A sample of all answers is checked for ever; one that differs empties the memory.
 */
export class ChatTokens {
  /** Chats remembered whole, composed, asked for whole; compositions that a whole rendering has proved wrong. */
  readonly counts = { remembered: 0, composed: 0, whole: 0, disagreed: 0 };
  private readonly renderer: Renderer;
  private readonly memory: TokenMemory;
  /** By kind of chat, in the order of use. */
  private readonly frames = new Map<string, Frame>();
  private disagreements = 0;
  private unchecked = 0;

  constructor(renderer: Renderer, memory: TokenMemory) {
    this.renderer = renderer;
    this.memory = memory;
  }

  /** Part of every key: what was remembered in an earlier one is found no more. */
  get era(): number {
    return this.disagreements;
  }

  /** Ids that are at hand; null where there are none. */
  recall(query: ChatQuery): TokenIds | null {
    const { keys, chat } = query;
    const frame = isComposable(chat) ? this.frameOf(query) : null;
    const ended = frame?.state === 'ready' ? this.at(keys, keys.count - 1) : null;
    const known = ended ?? this.at(keys, keys.count);
    if (known === null) return null;
    this.memory.use(known);
    this.counts.remembered += 1;
    const ids = idsOf(known, ended === null || frame === null ? noIds : frame.opening);
    this.checkOne(frame, query, ids);
    return ids;
  }

  /** Ids that are not at hand. */
  async ask(query: ChatQuery): Promise<Outcome> {
    const frame = isComposable(query.chat) ? this.frameOf(query) : null;
    const composed = frame === null ? null : await this.compose(frame, query);
    return composed ?? this.askWhole(frame, query);
  }

  /** What was known and what is new; null where the whole has to be asked for. */
  private async compose(frame: Frame, query: ChatQuery): Promise<Outcome | null> {
    const cut = this.longestKnown(query.keys, query.keys.count - 1);
    if (cut === null) return null;
    const anchor = frame.anchorFor(query.chat.messages[cut.messages]);
    if (anchor === null || !isProven(anchor, behindAnswer(query, cut))) return null;
    const tail = await this.askTail(anchor, query, { from: cut.messages, background: false });
    if (tail === null) {
      // The anchor is not rendered as it was: a new day or a new template.
      this.disagree();
      frame.relapse();
      return null;
    }
    // Refused: the whole tells whether that is the request's fault.
    if (tail === 'status') return null;
    if (typeof tail === 'string') return tail;
    const ids = idsOf(cut.stretch, tail);
    this.keepEnd(frame, query, { parent: cut.stretch, ids: tail });
    this.counts.composed += 1;
    this.checkOne(frame, query, ids);
    return ids;
  }

  private async askWhole(frame: Frame | null, query: ChatQuery): Promise<Outcome> {
    const ids = await this.render(query, query.chat.messages, { tools: true, background: false });
    if (typeof ids === 'string') return ids;
    this.counts.whole += 1;
    if (frame !== null && frame.state !== 'whole') void this.study(frame, query, ids);
    if (frame?.state !== 'ready') this.keepWhole(query, ids);
    return ids;
  }

  /** Learns from a whole rendering, while nobody waits. */
  private async study(frame: Frame, query: ChatQuery, ids: TokenIds): Promise<void> {
    const { keys, chat } = query;
    if (frame.state === 'new') await this.learnAnchors(frame, query);
    if (frame.state !== 'ready') return;
    const cut = this.longestKnown(keys, keys.count - 1);
    this.keepEnd(frame, query, { parent: null, ids });
    if (cut !== null) await this.compare(frame, query, { cut, ids });
    const lead = leadingInstructions(chat.messages);
    if (lead > 0 && lead < keys.count && this.at(keys, lead - 1) === null)
      await this.findCut(frame, query, { lead, ids });
  }

  /** Puts a rendering together that is known whole: the proof of composing, or its end. */
  private async compare(frame: Frame, query: ChatQuery, known: { cut: Cut; ids: TokenIds }): Promise<void> {
    const { cut, ids } = known;
    const anchor = frame.anchorFor(query.chat.messages[cut.messages]);
    const behind = behindAnswer(query, cut);
    if (anchor === null || isProven(anchor, behind)) return;
    const tail = await this.askTail(anchor, query, { from: cut.messages, background: true });
    if (tail === null) anchor.ids = null;
    if (tail === null || typeof tail === 'string') return;
    if (equal(idsOf(cut.stretch, tail), ids)) anchor.agreed[behind] += 1;
    else {
      frame.state = 'whole';
      this.disagree();
    }
  }

  /** Where the instructions end that other chats may have too. */
  private async findCut(frame: Frame, query: ChatQuery, known: { lead: number; ids: TokenIds }): Promise<void> {
    const { lead, ids } = known;
    const anchor = frame.anchorFor(query.chat.messages[lead]);
    if (anchor === null) return;
    const tail = await this.askTail(anchor, query, { from: lead, background: true });
    if (tail === null || typeof tail === 'string' || !endsWith(ids, tail)) return;
    this.keep(query.keys, lead - 1, { parent: null, ids: ids.slice(0, ids.length - tail.length) });
  }

  private checkOne(frame: Frame | null, query: ChatQuery, ids: TokenIds): void {
    this.unchecked += 1;
    if (this.unchecked < checkEvery) return;
    this.unchecked = 0;
    void this.check(frame, query, ids);
  }

  private async check(frame: Frame | null, query: ChatQuery, told: TokenIds): Promise<void> {
    const ids = await this.render(query, query.chat.messages, { tools: true, background: true });
    if (typeof ids === 'string' || equal(ids, told)) return;
    this.disagree();
    frame?.relapse();
  }

  /** Nothing that is remembered can be believed any more. */
  private disagree(): void {
    this.counts.disagreed += 1;
    this.disagreements += 1;
  }

  private async learnAnchors(frame: Frame, query: ChatQuery): Promise<void> {
    const { assistant, other } = frame.anchors;
    const alone = { tools: false, background: true, open: false };
    const [opened, closed, system] = await Promise.all([
      this.render(query, [assistant.message], { tools: false, background: true }),
      this.render(query, [assistant.message], alone),
      this.render(query, [other.message], alone),
    ]);
    // Another request may have learnt them meanwhile.
    if (frame.state !== 'new') return;
    if (typeof opened === 'string' || typeof closed === 'string') {
      if (opened === 'status' || closed === 'status') frame.refusals += 1;
      if (frame.refusals >= mostRefusals) frame.state = 'whole';
      return;
    }
    frame.state = startsWith(opened, closed) ? 'ready' : 'whole';
    frame.opening = opened.slice(closed.length);
    assistant.ids = closed;
    other.ids = typeof system === 'string' ? null : system;
  }

  /** The ids of the messages from `from` on; null where they cannot be told from what stands before them. */
  private async askTail(
    anchor: Anchor,
    query: ChatQuery,
    how: { from: number; background: boolean },
  ): Promise<Outcome | null> {
    const { from, background } = how;
    const messages = [anchor.message, ...query.chat.messages.slice(from)];
    const ids = await this.render(query, messages, { tools: false, background });
    if (typeof ids === 'string') return ids;
    return anchor.ids !== null && startsWith(ids, anchor.ids) ? ids.subarray(anchor.ids.length) : null;
  }

  private render(query: ChatQuery, messages: readonly Message[], how: Rendering): Promise<Outcome> {
    const { model, candidates, chat } = query;
    const tools = how.tools && chat.tools !== undefined ? { tools: chat.tools } : {};
    const end = how.open === false ? { add_generation_prompt: false } : {};
    const body = { model, messages, ...chat.settings, ...tools, ...end };
    return this.renderer.ask({ body, candidates, background: how.background });
  }

  /** Remembers a chat without the opening of the answer, so that what comes next can follow it. */
  private keepEnd(frame: Frame, { keys }: ChatQuery, content: { parent: Stretch | null; ids: TokenIds }): void {
    const { parent, ids } = content;
    const { opening } = frame;
    if (endsWith(ids, opening)) {
      this.keep(keys, keys.count - 1, { parent, ids: ids.slice(0, ids.length - opening.length) });
    }
  }

  private keepWhole({ keys }: ChatQuery, ids: TokenIds): void {
    this.keep(keys, keys.count, { parent: null, ids });
  }

  private keep(keys: ChatKeys, i: number, content: { parent: Stretch | null; ids: TokenIds }): void {
    this.memory.put(keys.low(i), keys.high(i), content);
  }

  private at(keys: ChatKeys, i: number): Stretch | null {
    return this.memory.find(keys.low(i), keys.high(i));
  }

  /** The longest known beginning of fewer than `below + 1` messages. */
  private longestKnown(keys: ChatKeys, below: number): Cut | null {
    for (let i = below - 1; i >= 0; i--) {
      const stretch = this.at(keys, i);
      if (stretch !== null) return { stretch, messages: i + 1 };
    }
    return null;
  }

  private frameOf({ keys }: ChatQuery): Frame {
    const { frames } = this;
    const frame = frames.get(keys.kind) ?? new Frame();
    frames.delete(keys.kind);
    frames.set(keys.kind, frame);
    const [oldest] = frames.keys();
    if (frames.size > mostFrames) frames.delete(oldest);
    return frame;
  }
}

/** A known beginning of a chat. */
interface Cut {
  readonly stretch: Stretch;
  readonly messages: number;
}

function behindAnswer({ chat }: ChatQuery, { messages }: Cut): 0 | 1 {
  for (let i = 0; i < messages; i++) if (chat.messages[i].role === 'assistant') return 1;
  return 0;
}

interface Rendering {
  readonly tools: boolean;
  readonly background: boolean;
  /** Whether the opening of the answer is asked for; the request's own way where absent. */
  readonly open?: boolean;
}
