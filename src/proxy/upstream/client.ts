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
  /** Path and query. */
  readonly path: string;
  /** Header lines, each ended by CRLF, without host, content-length and connection headers; checked by the caller. */
  readonly headers: string;
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
  /** The connection broke inside the answer, or the answer was no valid HTTP. */
  | 'cut'
  | 'invalid';

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;

  constructor(failure: UpstreamFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = failure;
  }
}

/** Called in this order: head, data any number of times, then end or error. Nothing is called after end, error or abort. */
export interface UpstreamHandler {
  /** `headers` are raw name, value, name, value …; hop-by-hop headers are already removed. */
  onHead(status: number, headers: readonly string[]): void;
  /** De-chunked bytes of the body, valid after the call too. Returns false to pause until `resume`. */
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

/** Sends requests to engines over kept-alive connections. */
export interface UpstreamClient {
  dispatch(target: UpstreamTarget, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange;
  /** Closes idle connections to targets that are not in the set (endpoints that are gone). */
  retain(targets: ReadonlySet<UpstreamTarget>): void;
  /** Closes all; exchanges under way end with an error. */
  close(): void;
}
