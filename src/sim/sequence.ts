import { hashText, mix } from './mix.ts';
import { outputText, outputToken } from './words.ts';

/** Told how a request goes on; called inside the engine's step, so it only takes notes. */
export interface SequenceListener {
  /** One more output token exists, or the request has ended. */
  progressed(sequence: Sequence): void;
}

/** A LoRA adapter: its requests share no KV block with the base model's. */
export interface Adapter {
  readonly name: string;
  /** From 1, as vLLM numbers them. */
  readonly id: number;
}

/**
 * KV of a prompt that another engine has computed. The request gets its blocks, waits for the transfer of what is not in its own
 * cache, computes the prompt's last token and decodes.
 */
export interface RemotePrompt {
  /** Engine time before which the transfer cannot begin, such as the prefill's end; at once when left out. */
  readonly readyAt?: number;
  /** How long the transfer takes; the service model's time for the missing tokens when left out. */
  readonly seconds?: number;
  /** Prompt tokens that the prefiller found in its cache: what `usage` says. The engine's own where nobody says. */
  readonly cachedTokens?: number;
  /**
   * Told when the blocks are there, with the seconds that the transfer should take. Then the transfer ends by `Engine.received` or
   * `Engine.transferFailed` alone; without it, it ends by time.
   */
  readonly begin?: (sequence: Sequence, seconds: number) => void;
  /** Told when the transfer has ended by time: the prefiller's blocks have been read. */
  readonly done?: (sequence: Sequence, now: number) => void;
}

/** What a request is made of. */
export interface SequenceSpec {
  readonly prompt: Uint32Array;
  /** Output tokens; 0 for an embedding, which ends when its prompt is computed. */
  readonly maxOutput: number;
  readonly adapter?: Adapter | null;
  /** `cache_salt`: requests with different salts share no KV block. */
  readonly salt?: string;
  /** Its blocks stay, for another engine to read, when it has finished: until released, or to the end of the lease. */
  readonly holdAfter?: boolean;
  readonly remote?: RemotePrompt | null;
  readonly listener: SequenceListener;
}

/** A `receiving` sequence has its blocks and waits for their content; a `failed` one will never get it. */
export type SequenceState = 'new' | 'waiting' | 'receiving' | 'running' | 'finished' | 'aborted' | 'failed';

/** Of a prompt computed elsewhere: still to be fetched, fetched or given up. `none`: computed here. */
export type TransferState = 'none' | 'wanted' | 'done' | 'failed';

/** One request inside the engine: its tokens so far, the chained hashes of its full blocks, and the blocks it holds. */
export class Sequence {
  /** Prompt and, behind it, room for the output. */
  readonly tokens: Uint32Array;
  readonly promptLength: number;
  readonly maxOutput: number;
  readonly adapter: Adapter | null;
  readonly salt: string;
  readonly holdAfter: boolean;
  readonly remote: RemotePrompt | null;
  readonly listener: SequenceListener;
  /** Decides the words of the answer: equal prompts get equal answers. */
  seed: number;
  readonly blockSize: number;

  state: SequenceState = 'new';
  transfer: TransferState;
  /** Tokens that exist: prompt and output so far. */
  length: number;
  /** Tokens whose KV is in blocks of this request. */
  computed = 0;
  /** Prompt tokens found in the cache when it was first admitted; -1 before. */
  cachedTokens = -1;
  /** Prompt tokens loaded from shared storage when it was last admitted. */
  loadedTokens = 0;
  /** Blocks held, in order. */
  blocks: number[] = [];
  /** Of those: how many of the leading ones have been offered to the cache. */
  registered = 0;
  /** Engine seconds. */
  arrivedAt = 0;
  firstTokenAt = -1;
  endedAt = -1;

  private readonly hashes: Uint32Array;
  private hashedBlocks = 0;

  constructor(spec: SequenceSpec, blockSize: number) {
    const { prompt, maxOutput } = spec;
    this.promptLength = prompt.length;
    this.length = prompt.length;
    this.maxOutput = maxOutput;
    this.adapter = spec.adapter ?? null;
    this.salt = spec.salt ?? '';
    this.holdAfter = spec.holdAfter ?? false;
    this.remote = spec.remote ?? null;
    this.transfer = this.remote === null ? 'none' : 'wanted';
    this.listener = spec.listener;
    this.blockSize = blockSize;
    this.tokens = new Uint32Array(prompt.length + maxOutput);
    this.tokens.set(prompt);
    this.hashes = new Uint32Array(2 * Math.ceil(this.tokens.length / blockSize));
    this.seed = seedOf(prompt);
  }

  get outputLength(): number {
    return this.length - this.promptLength;
  }

  get ended(): boolean {
    return this.state === 'finished' || this.state === 'aborted' || this.state === 'failed';
  }

  /** Cached prompt tokens as `usage` tells them: of the engine that computed the prompt, as vLLM's decoders do. */
  get usageCachedTokens(): number {
    return this.remote?.cachedTokens ?? Math.max(0, this.cachedTokens) + this.loadedTokens;
  }

  /** Text of the output token at `place`, which must be below `outputLength`. */
  textAt(place: number): string {
    return outputText(this.seed, place);
  }

  /** Text of all output tokens so far. */
  text(): string {
    let text = '';
    for (let place = 0; place < this.outputLength; place++) text += this.textAt(place);
    return text;
  }

  /** The KV of its prompt is some other prompt's: its answer will be wrong, and nobody notices. */
  garble(): void {
    this.seed = mix(this.seed ^ 0x9e3779b9);
  }

  /** Writes the next output token. */
  generate(): void {
    this.tokens[this.length] = outputToken(this.seed, this.outputLength);
    this.length += 1;
  }

  /** The two halves of a full block's chained hash: equal only where all tokens up to the block's end are equal. */
  hashHigh(block: number): number {
    this.hashUpTo(block);
    return this.hashes[2 * block];
  }

  hashLow(block: number): number {
    this.hashUpTo(block);
    return this.hashes[2 * block + 1];
  }

  private hashUpTo(block: number): void {
    for (; this.hashedBlocks <= block; this.hashedBlocks++) this.hashBlock(this.hashedBlocks);
  }

  private hashBlock(block: number): void {
    const { hashes, tokens, blockSize } = this;
    let a = block > 0 ? hashes[2 * block - 2] : hashText(0x4e1195df, this.adapter?.name ?? '');
    let b = block > 0 ? hashes[2 * block - 1] : hashText(0x020de59e, this.salt);
    const stop = (block + 1) * blockSize;
    for (let at = block * blockSize; at < stop; at++) {
      const token = tokens[at];
      a = Math.imul((a << 13) | (a >>> 19), 0x85ebca6b) ^ Math.imul(token, 0xcc9e2d51);
      b = Math.imul(((b << 7) | (b >>> 25)) ^ token, 0xc2b2ae35);
    }
    hashes[2 * block] = mix(a ^ b);
    hashes[2 * block + 1] = mix((b + 0x27d4eb2f) | 0) ^ a;
  }
}

function seedOf(prompt: Uint32Array): number {
  let h = prompt.length;
  for (let i = 0; i < prompt.length; i++) h = Math.imul(h ^ prompt[i], 0x01000193) ^ (h >>> 15);
  return mix(h);
}
