/** A prompt as its engines see it. */
export interface PromptTokens {
  readonly ids: Uint32Array;
  /** The LoRA adapter that the request names, or empty: what it caches serves nobody else. */
  readonly lora: string;
  /** The request's `cache_salt`, or empty: likewise. */
  readonly salt: string;
}

/** What is found out about a request before its decision, since a decision never awaits. */
export interface Foreknowledge {
  /** Cached share of the prompt, 0..1, by endpoint address, as external KV managers told; null where none was asked. */
  readonly managerHits: ReadonlyMap<string, number> | null;
  /** The prompt's tokens by key of the group whose engines they are for; null where none were made. */
  readonly tokens: ReadonlyMap<string, PromptTokens> | null;
}

export const nothingForeknown: Foreknowledge = Object.freeze({ managerHits: null, tokens: null });

/** What those who look something up for a decision are told of a request. */
export interface LookupQuery {
  /** The model by the name that the group's engines know. */
  readonly model: string;
  /** Path of the request as engines know it. */
  readonly path: string;
  /** The request's body as parsed; only prompt-like fields are read. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Addresses of the group's endpoints. */
  readonly candidates: readonly string[];
}

/**
 * The share of a prompt that is cached, 0..1, by endpoint address (a share, because the manager counts in its
 * tokenizer's tokens and the router by bytes). Never rejects and never takes longer than its own time-out:
 * a failure is an empty map and a counter. `null` when it does not ask at all (breaker open, too many in flight).
 */
export type ManagerLookup = (query: LookupQuery) => Promise<ReadonlyMap<string, number> | null>;

/**
 * The tokens that a group's engines make of a prompt; at once where they are at hand. Never rejects and never takes
 * longer than its own time-out; `null` where they cannot be had, which is counted there.
 */
export type TokenLookup = (query: LookupQuery) => PromptTokens | null | Promise<PromptTokens | null>;
