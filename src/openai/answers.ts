import type { RoutingError, RoutingErrorCode } from '../router/errors.ts';

interface Answer {
  readonly status: number;
  readonly type: string;
}

const badRequest: Answer = { status: 400, type: 'invalid_request_error' };
const unavailable: Answer = { status: 503, type: 'service_unavailable' };

/** The one place where a RoutingError becomes an answer. */
const answers: Readonly<Record<RoutingErrorCode, Answer>> = {
  invalid_json: badRequest,
  invalid_value: badRequest,
  missing_model: badRequest,
  unknown_url: { status: 404, type: 'invalid_request_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  model_not_found: { status: 404, type: 'invalid_request_error' },
  request_too_large: { status: 413, type: 'invalid_request_error' },
  no_ready_endpoint: unavailable,
  overloaded: unavailable,
  saturated: { status: 429, type: 'rate_limit_error' },
  policy_invalid: unavailable,
  upstream_unreachable: { status: 502, type: 'upstream_error' },
  upstream_timeout: { status: 504, type: 'upstream_error' },
  upstream_reset: { status: 502, type: 'upstream_error' },
  client_closed: { status: 499, type: 'invalid_request_error' },
  internal_error: { status: 500, type: 'internal_error' },
};

/** Seconds a client should wait before it asks again; null where that would not help. */
export function retryAfterOf(code: RoutingErrorCode): string | null {
  const { status } = answers[code];
  return status === 503 || status === 429 ? '1' : null;
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

export function statusOf(code: RoutingErrorCode): number {
  return answers[code].status;
}

/** OpenAI's error object as JSON. */
export function errorBody(error: RoutingError): string {
  const { type } = answers[error.code];
  return JSON.stringify({ error: { message: error.message, type, code: error.code, param: error.param } });
}

/** The event that ends a stream whose engine failed; `/v1/responses` streams name their events. */
export function errorEvent(error: RoutingError, path: string): string {
  const name = path === '/v1/responses' ? 'event: error\n' : '';
  return `${name}data: ${errorBody(error)}\n\n`;
}
