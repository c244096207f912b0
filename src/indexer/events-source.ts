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
    if (!this.matchAll(prompt, candidates, out)) this.guess(request, candidates, out);
  }

  routed(request: InferenceRequest, slot: number): void {
    const { index, book, fallback, group } = this.parts;
    fallback.routed(request, slot);
    const prompt = request.known.tokens?.get(group);
    this.usualSize = this.likelySizeOf(slot);
    const size = this.usualSize;
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

  /** Matches all candidates, one block size after the other; whether events tell of every candidate. */
  private matchAll(prompt: PromptTokens, candidates: Candidates, out: Float64Array): boolean {
    const { slots } = candidates;
    let known = 0;
    let all = true;
    for (let i = 0; i < candidates.length; i++) {
      if (!this.isTold(slots[i])) all = false;
      const size = this.likelySizeOf(slots[i]);
      if (size === 0 || known === mostSizes || this.hasMet(size, known)) continue;
      this.sizes[known] = size;
      known += 1;
      this.matchSize(prompt, size, candidates, out);
    }
    return all;
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
      const slot = candidates.slots[i];
      if (this.likelySizeOf(slot) !== size) continue;
      let best = 0;
      for (const holder of book.of(slot)) best = Math.max(best, blocks[holder]);
      out[i] = Math.min(best, most) * size;
    }
  }

  /** Fills in, for candidates whose events do not arrive, what was sent there. */
  private guess(request: InferenceRequest, candidates: Candidates, out: Float64Array): void {
    const { fallback } = this.parts;
    const { length, slots } = candidates;
    if (this.guesses.length < length) this.guesses = new Float64Array(out.length);
    fallback.match(request, candidates, this.guesses);
    for (let i = 0; i < length; i++) {
      if (!this.isTold(slots[i])) out[i] = Math.max(out[i], this.guesses[i]);
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

  /** Whether events tell what the endpoint has. */
  private isTold(slot: number): boolean {
    return this.blockSizeOf(slot) > 0 && this.parts.book.isLive(slot);
  }

  /**
   * Tokens in a block of the endpoint's caches: as its events say, else as those of another engine of the group did, so
   * that a burst on a new engine stays together. A guess that is wrong is never confirmed and ends by itself.
   */
  private likelySizeOf(slot: number): number {
    const told = this.blockSizeOf(slot);
    return told > 0 ? told : this.usualSize;
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
