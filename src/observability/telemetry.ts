/** What the front doors tell of requests, per policy; implemented by observability, handed over by main. */
export interface Telemetry {
  /** The recorder of a policy; kept by the caller, so that counting a request needs no look-up by label. */
  policy(key: string): PolicyTelemetry;
  /** Requests that no policy took, by HTTP status. */
  refused(status: number): void;
}

/** The same of a front door that hands requests over from prefillers to decoders itself. */
export interface HandoverTelemetry extends Telemetry {
  policy(key: string): PolicyHandoverTelemetry;
}

export interface PolicyTelemetry {
  started(): void;
  finished(result: RequestResult): void;
  retried(): void;
}

export interface PolicyHandoverTelemetry extends PolicyTelemetry {
  /** One of the two calls of a hand-over has ended. */
  stageEnded(stage: HandoverStage, outcome: StageOutcome): void;
  /** KV blocks that nobody will read are left with a prefiller, which is now owed a notice. */
  abandoned(): void;
  /** A prefiller has got so many of these notices. */
  noticed(notices: number): void;
}

export type HandoverStage = 'prefill' | 'decode';

/** `refused`: an answer other than 2xx. `unusable`: no decoder could do anything with the prefiller's. */
export type StageOutcome =
  'ok' | 'connect_failure' | 'reset' | 'timeout' | 'refused' | 'unusable' | 'client_left' | 'stopped';

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
