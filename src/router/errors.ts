/** Who is at fault: the client's request, the engine behind us, or this router's own state. */
export type ErrorSource = 'client' | 'backend' | 'router';

/** Every way a request can end without an engine's own answer; the front doors map them to HTTP and ext_proc. */
export type RoutingErrorCode =
  | 'invalid_json'
  | 'invalid_value'
  | 'missing_model'
  | 'unknown_url'
  | 'method_not_allowed'
  | 'unsupported_media_type'
  | 'model_not_found'
  | 'request_too_large'
  | 'no_ready_endpoint'
  | 'overloaded'
  | 'saturated'
  | 'policy_invalid'
  | 'upstream_unreachable'
  | 'upstream_timeout'
  | 'upstream_reset'
  | 'client_closed'
  | 'internal_error';

/** What a RoutingError says besides its code and message. */
export interface RoutingErrorDetail {
  /** Who is at fault. */
  readonly source: ErrorSource;
  /** Whether sending the same request again may help. */
  readonly retryable?: boolean;
  /** The field of the request body at fault, as OpenAI's error objects name it. */
  readonly param?: string;
  /** The method that the path takes, where another was used. */
  readonly allow?: string;
  readonly cause?: unknown;
}

/** A request that could not be routed; its message says what the reader can do. */
export class RoutingError extends Error {
  override readonly name = 'RoutingError';
  readonly code: RoutingErrorCode;
  readonly source: ErrorSource;
  readonly retryable: boolean;
  readonly param: string | null;
  readonly allow: string | null;

  constructor(code: RoutingErrorCode, message: string, detail: RoutingErrorDetail) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.code = code;
    this.source = detail.source;
    this.retryable = detail.retryable ?? false;
    this.param = detail.param ?? null;
    this.allow = detail.allow ?? null;
  }
}
