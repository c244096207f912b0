/** The LoRA adapters that an engine works with, as its last scrape says. */
export interface AdapterReport {
  /** Adapters of requests in the batch. */
  readonly running: readonly string[];
  /** Adapters of requests in the queue; vLLM names in both lists all that have a request in either. */
  readonly waiting: readonly string[];
  /** Adapters in the two lists together, each counted once. */
  readonly distinct: number;
  /** Adapters that fit in one batch; 0 where the engine does not say. */
  readonly max: number;
}

/** Who knows which adapters engines work with. Synchronous and allocation-free: asked in the middle of a decision. */
export interface AdapterReports {
  /** Of the engine at the slot; null where it has said nothing. */
  lora(slot: number): AdapterReport | null;
}

/** For where nobody reads what engines say. */
export const noAdapterReports: AdapterReports = Object.freeze({ lora: () => null });
