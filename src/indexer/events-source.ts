import type { Candidates } from '../router/candidates.ts';
import type { PromptTokens } from '../router/foreknowledge.ts';
import type { PrefixSource } from '../router/prefix.ts';
import type { InferenceRequest } from '../router/request.ts';
import type { BlockIndex } from './blocks/block-index.ts';
import { TokenKeys } from './blocks/token-keys.ts';
import type { HolderBook } from './holder-book.ts';

export interface EventsSourceParts {
  readonly index: BlockIndex;
  /** 32 bits: those of the index. */
  readonly secret: number;
  readonly book: HolderBook;
  /** Guesses for prompts without tokens and for engines whose events do not arrive. */
  readonly fallback: PrefixSource;
  /** Key of the group, `namespace/name`. */
  readonly group: string;
}

/** Block sizes that are told apart in one decision; engines of one group have one or two. */
const mostSizes = 8;

/**
 * Which prefix each engine of a group has cached, as the engines' own events tell. What has just been routed counts at
 * once, so that a burst of equal prompts does not scatter. Blocks in CPU memory or on disk count as those on the GPU:
 * fetching one is far cheaper than computing it.
 */
export class EventsSource implements PrefixSource {
  private readonly parts: EventsSourceParts;
  private readonly keys: TokenKeys;
  private readonly scope = { blockSize: 0, lora: '', salt: '' };
  /** The prompt and block size that `keys` holds, and the number of its blocks. */
  private keyed: PromptTokens | null = null;
  private blocks = 0;
  /** Block sizes met in the decision at hand. */
  private readonly sizes = new Int32Array(mostSizes);
  /** Of the candidates of the decision at hand: tokens in a block, 0 while unknown, and whether events tell what they have. */
  private blockSizes = new Int32Array(64);
  private told = new Uint8Array(64);
  private guesses = new Float64Array(64);
  /** Of the engine that was routed to last and has told its own; 0 while none has. */
  private usualSize = 0;

  constructor(parts: EventsSourceParts) {
    this.parts = parts;
    this.keys = new TokenKeys(parts.secret);
  }

  /** Also sets the candidates' `promptTokens`, since here the tokens are known and not guessed. */
  match(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    const prompt = request.known.tokens?.get(this.parts.group);
    if (prompt === undefined) {
      this.parts.fallback.match(request, candidates, out);
      return;
    }
    candidates.promptTokens = Math.max(1, prompt.ids.length);
    out.fill(0, 0, candidates.length);
    const all = this.look(candidates);
    this.matchAll(prompt, candidates, out);
    if (!all) this.guess(request, candidates, out);
  }

  routed(request: InferenceRequest, slot: number): void {
    const { index, book, fallback, group } = this.parts;
    fallback.routed(request, slot);
    const prompt = request.known.tokens?.get(group);
    const size = this.orUsual(this.blockSizeOf(slot));
    this.usualSize = size;
    if (prompt === undefined || size === 0) return;
    const blocks = this.key(prompt, size);
    for (const holder of book.of(slot)) index.expect(holder, this.keys.keys, blocks);
  }

  /** What events tell needs no lesson; the guesses of an engine without events do. */
  answered(slot: number, predicted: number, cached: number | null): void {
    if (!this.parts.book.isLive(slot)) this.parts.fallback.answered(slot, predicted, cached);
  }

  /** The engine's own stream tells the index. */
  forget(slot: number): void {
    this.parts.fallback.forget(slot);
  }

  /** Looks up what is known of each candidate; whether events tell what all of them have. */
  private look({ slots, length }: Candidates): boolean {
    if (this.told.length < length) this.grow(length);
    let all = true;
    for (let i = 0; i < length; i++) {
      const size = this.blockSizeOf(slots[i]);
      const told = size > 0 && this.parts.book.isLive(slots[i]);
      this.blockSizes[i] = this.orUsual(size);
      this.told[i] = told ? 1 : 0;
      if (!told) all = false;
    }
    return all;
  }

  private grow(length: number): void {
    const size = 2 ** Math.ceil(Math.log2(length));
    this.blockSizes = new Int32Array(size);
    this.told = new Uint8Array(size);
    this.guesses = new Float64Array(size);
  }

  /** Matches all candidates, one block size after the other. */
  private matchAll(prompt: PromptTokens, candidates: Candidates, out: Float64Array): void {
    let known = 0;
    for (let i = 0; i < candidates.length; i++) {
      const size = this.blockSizes[i];
      if (size === 0 || known === mostSizes || this.hasMet(size, known)) continue;
      this.sizes[known] = size;
      known += 1;
      this.matchSize(prompt, size, candidates, out);
    }
  }

  private hasMet(size: number, known: number): boolean {
    for (let i = 0; i < known; i++) if (this.sizes[i] === size) return true;
    return false;
  }

  /** Writes what those candidates have whose blocks are of this size. */
  private matchSize(prompt: PromptTokens, size: number, candidates: Candidates, out: Float64Array): void {
    const { index, book } = this.parts;
    const count = this.key(prompt, size);
    const { blocks } = index.match(this.keys.keys, count);
    // An engine computes at least the last token of a prompt anew, and so the block that it is in.
    const most = Math.floor((prompt.ids.length - 1) / size);
    for (let i = 0; i < candidates.length; i++) {
      if (this.blockSizes[i] !== size) continue;
      let best = 0;
      for (const holder of book.of(candidates.slots[i])) best = Math.max(best, blocks[holder]);
      out[i] = Math.min(best, most) * size;
    }
  }

  /** Fills in, for candidates whose events do not arrive, what was sent there. */
  private guess(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    this.parts.fallback.match(request, candidates, this.guesses);
    for (let i = 0; i < candidates.length; i++) {
      if (this.told[i] === 0) out[i] = Math.max(out[i], this.guesses[i]);
    }
  }

  /** Makes the keys of a prompt's blocks of this size; returns how many there are. */
  private key(prompt: PromptTokens, size: number): number {
    const { scope } = this;
    if (this.keyed === prompt && scope.blockSize === size) return this.blocks;
    scope.blockSize = size;
    scope.lora = prompt.lora;
    scope.salt = prompt.salt;
    this.keyed = prompt;
    this.blocks = this.keys.compute(prompt.ids, prompt.ids.length, scope);
    return this.blocks;
  }

  /**
   * A block size that events have not told, 0, is taken for that of another engine of the group, so that a burst on a new
   * engine stays together. A guess that is wrong is never confirmed and ends by itself.
   */
  private orUsual(size: number): number {
    return size > 0 ? size : this.usualSize;
  }

  /** Tokens in a block of the endpoint's caches; 0 while its events have not said so. */
  private blockSizeOf(slot: number): number {
    const { index, book } = this.parts;
    for (const holder of book.of(slot)) {
      const size = index.blockSizeOf(holder);
      if (size > 0) return size;
    }
    return 0;
  }
}
