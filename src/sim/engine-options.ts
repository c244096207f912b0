import type { Clock } from '../router/clock.ts';
import type { Fault } from './faults.ts';
import type { KvEventAddresses } from './kv-publisher.ts';
import type { ServiceModel } from './service-model.ts';
import type { StoredNames } from './shared-store.ts';

/** What a simulated engine is started with; everything but `models` has a default. */
export interface SimEngineOptions {
  /** The base model's names; the first one is the one that answers carry. */
  readonly models: readonly string[];
  /** LoRA adapters of the base model. */
  readonly adapters?: readonly string[];
  /** Default 127.0.0.1, a free port. */
  readonly host?: string;
  readonly port?: number;
  readonly service?: Partial<ServiceModel>;
  /** Tokens of prompt and output together; default 131,072 or the KV cache's size, whichever is smaller. */
  readonly maxModelLength?: number;
  readonly speedUp?: number;
  /** Of rank 0; rank r is at these ports + r. */
  readonly kvEvents?: KvEventAddresses | null;
  /** Data-parallel ranks, each with a KV cache of its own; default 1. */
  readonly ranks?: number;
  /** GPUs that the engine is spread over: `service` is that of one of them, see `serviceModelFor`. Default 1. */
  readonly tpSize?: number;
  /** How prompts are handed over between prefill and decode engines; default none. */
  readonly kvTransfer?: KvTransferOptions;
  readonly fault?: Fault;
  /** When set, /v1/… wants `Authorization: Bearer KEY`. */
  readonly apiKey?: string | null;
  readonly clock?: Clock;
  /** Told of what goes wrong inside, such as an event socket that breaks. */
  readonly onError?: (error: unknown) => void;
  /** Told when the fault `die` has struck. */
  readonly onDeath?: () => void;
}

/** vLLM's KV connectors, as far as they are simulated. */
export interface KvTransferOptions {
  /**
   * `nixl`: a prefill keeps its blocks, a decoder pulls them over a side channel, both as `kv_transfer_params` say. `shared`: as vLLM's
   * ExampleConnector, every prompt goes to shared storage, `kv_transfer_params` are ignored and null.
   */
  readonly connector: 'nixl' | 'shared';
  /** Port of the side channel, at the engine's host; default a free one. */
  readonly port?: number;
  /** What becomes of a request whose KV does not come; default fail: a 500. */
  readonly loadFailurePolicy?: 'fail' | 'recompute';
  /** Whether `aborted_request` frees blocks, as in openFuyao's engines (the default), or is passed over, as in vLLM. */
  readonly heedsAborts?: boolean;
  /** Where shared storage keeps its names: one for all engines that share it. */
  readonly names?: StoredNames;
}

/** Thrown when the options contradict each other; the message says what to change. */
export class SimEngineOptionError extends Error {
  override readonly name = 'SimEngineOptionError';
}
