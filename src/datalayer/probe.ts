import type { TlsSettings } from './targets.ts';

/** How an endpoint's probes reach it. */
export interface ProbeAccess {
  /** `http://host:port` or `https://host:port`. */
  readonly origin: string;
  /** Null for plain HTTP. */
  readonly tls: TlsSettings | null;
  /** Value of the Authorization header, or null. */
  readonly authorization: string | null;
}

/** One GET. */
export interface ProbeRequest {
  readonly access: ProbeAccess;
  /** Path and query. */
  readonly path: string;
  /** Milliseconds for the whole exchange, connecting included. */
  readonly timeout: number;
  /** Longest answer that is read. */
  readonly maxBytes: number;
}

/** Why a probe has no answer. */
export type ProbeFault =
  /** Nobody listens there. */
  | 'refused'
  /** The connection broke. */
  | 'reset'
  | 'timeout'
  /** An answer other than 2xx; redirects are not followed. */
  | 'status'
  | 'too_large'
  /** TLS, no valid HTTP, and what else may be. */
  | 'failed';

/** The body is valid until `done` returns. */
export type ProbeResult =
  | { readonly ok: true; readonly body: Buffer }
  | { readonly ok: false; readonly fault: ProbeFault; readonly message: string };

/** Sends probes; an interface so that the state machines are tested without a network. */
export interface HttpProbe {
  /** Calls `done` exactly once, never before it returns. */
  get(request: ProbeRequest, done: (result: ProbeResult) => void): void;
  /** Ends what is under way (with `failed`) and closes every connection. */
  close(): void;
}
