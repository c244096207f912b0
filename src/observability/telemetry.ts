/** What the front doors tell of requests, per policy; implemented by observability, handed over by main. */
export interface Telemetry {
  /** The recorder of a policy; kept by the caller, so that counting a request needs no look-up by label. */
  policy(key: string): PolicyTelemetry;
  /** Requests that no policy took, by HTTP status. */
  refused(status: number): void;
}

export interface PolicyTelemetry {
  started(): void;
  finished(result: RequestResult): void;
  retried(): void;
}

/** One finished request; times in milliseconds, -1 where there is none. */
export interface RequestResult {
  /** Name of the group that answered, or empty. */
  readonly group: string;
  /** Status sent to the client; 499 where it had left. */
  readonly status: number;
  /** Whether it ended without a whole answer: an engine broke off after its first byte, or the client left. */
  readonly broken: boolean;
  readonly duration: number;
  readonly timeToFirstToken: number;
  readonly decisionMicroseconds: number;
  /** Prompt tokens as estimated at the decision, and how many of them were thought to be cached. */
  readonly estimatedTokens: number;
  readonly estimatedCached: number;
  /** As the engine told, -1 where it did not. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}
