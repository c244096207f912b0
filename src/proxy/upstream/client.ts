/** Where an engine listens and how to talk to it; frozen, one object an endpoint, used as the key of its pool. */
export interface UpstreamTarget {
  readonly host: string;
  readonly port: number;
  /** Absent: plain HTTP. */
  readonly tls?: { readonly ca?: string; readonly serverName?: string };
}

/** A request as it goes over the wire. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query; checked by the caller: visible ASCII without spaces. */
  readonly path: string;
  /** Header lines, each ended by CRLF, without host, content-length and connection headers; checked by the caller. */
  readonly headers: string;
  /** Unchanged until the answer's head has come: it may be sent twice, see `reused`. */
  readonly body: Uint8Array | null;
  /** Milliseconds to a ready connection; 0 is no limit. */
  readonly connectTimeout: number;
}

/** How far an exchange had come when it broke; decides whether it may be tried again. */
export type UpstreamFailure =
  /** No connection: nothing was accepted. */
  | 'connect'
  | 'connect_timeout'
  /** The connection broke before the head of an answer. */
  | 'reset'
  /** The connection broke inside the answer. */
  | 'cut'
  /** The answer was no valid HTTP; its head may already have been handed on. */
  | 'invalid';

/** Why there is no (whole) answer. The message names the engine and what broke. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;
  /** Whether the connection had carried exchanges before this one. */
  readonly reused: boolean;

  constructor(failure: UpstreamFailure, message: string, cause?: unknown, reused = false) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = failure;
    this.reused = reused;
  }

  /** Whether there was no connection: the engine knows nothing of the request. */
  get isUnreached(): boolean {
    return this.failure === 'connect' || this.failure === 'connect_timeout';
  }
}

/**
 * Called in this order: head, data any number of times, then end or error, never before `dispatch` has returned.
 * Nothing is called after end, error or abort. What a handler throws in head or data ends the exchange as `cut`.
 */
export interface UpstreamHandler {
  /** `headers` are raw name, value, name, value …; hop-by-hop headers are already removed. */
  onHead(status: number, headers: readonly string[]): void;
  /** De-chunked bytes of the body, valid after the call too. Returns false to pause until `resume`; the end or an error may follow all the same. */
  onData(chunk: Buffer): boolean;
  onEnd(): void;
  onError(error: UpstreamError): void;
}

/** An exchange under way. */
export interface UpstreamExchange {
  /** Closes the connection, so that the engine stops working on the request. No call follows. */
  abort(): void;
  resume(): void;
}

/**
 * Sends requests to engines over kept-alive connections, one exchange at a time on each.
 *
 * An engine may close an idle connection just as a request is sent on it. Such a request is sent once more on a fresh
 * connection: only if the connection was reused and closed without a byte of an answer, soon after the request
 * (`staleWindow`). Where that second try finds no engine the failure is `reset`, not `connect`: the engine may have
 * died of the first.
 */
export interface UpstreamClient {
  dispatch(target: UpstreamTarget, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange;
  /** Closes idle connections to targets that are not in the set (endpoints that are gone). */
  retain(targets: ReadonlySet<UpstreamTarget>): void;
  /** Closes all; exchanges under way end with an error. */
  close(): void;
}
