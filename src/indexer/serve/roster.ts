import type { Holder } from '../kv-events.ts';

/** An engine whose KV caches are known. */
export interface ServingPod {
  /** As discovery calls it. */
  readonly name: string;
  /** `host:port` that it serves requests at. */
  readonly address: string;
  /** Its KV caches, one a data-parallel rank; empty while none has told of itself. */
  readonly holders: readonly Holder[];
}

/** Who serves a model. */
export interface Served {
  /** Each address once. */
  readonly pods: readonly ServingPod[];
  /** Where the name is a LoRA adapter's, that name; else empty. */
  readonly lora: string;
}

/** Which engine serves what, now. */
export interface Roster {
  /** Null where no pod serves a model of that name. */
  serving(model: string): Served | null;
  /** Some of the names that are served, for people. */
  readonly models: readonly string[];
}

/** The prompt whose prefix is looked for. */
export interface WantedPrefix {
  readonly tokens: Uint32Array;
  /** Empty for the base model. */
  readonly lora: string;
  /** Empty where there is none. */
  readonly salt: string;
}

/**
 * What one KV cache holds of a prompt, in tokens. The prefix is what lies in a row from the prompt's first block on,
 * whatever the tier; each of its blocks counts for the nearest tier that has it.
 */
export interface PrefixMatch {
  readonly gpu: number;
  readonly cpu: number;
  readonly disk: number;
}

/** What KV caches hold. */
export interface BlockLookup {
  /** Tokens in a block of that cache; 0 while it has told of none. */
  blockSizeOf(holder: Holder): number;
  /** What each of these caches has of a prompt, in their order. */
  match(prefix: WantedPrefix, holders: readonly Holder[]): readonly PrefixMatch[];
  /** Tokens that each of these caches has in a row from the prompt's first on in GPU memory, in their order. */
  gpuRuns(prefix: WantedPrefix, holders: readonly Holder[]): readonly number[];
}

/** Makes token ids of text as the engines of a model do. */
export interface PromptTokenizer {
  /** `body` holds `prompt`, or `messages` and what shapes a chat. `null` where no token ids can be had, counted there. */
  tokenize(
    model: string,
    body: Readonly<Record<string, unknown>>,
    pods: readonly ServingPod[],
  ): Promise<Uint32Array | null>;
}
