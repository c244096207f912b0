import { errorBody, retryAfterOf, statusOf } from '../openai/answers.ts';
import type { RoutingError } from '../router/errors.ts';
import type { Immediate } from './wire/response.ts';

const contentType = { name: 'content-type', value: 'application/json' };

/** An error as the whole answer; the reason stands in a header, too, since gateways log those. */
export function immediateError(error: RoutingError, requestId: string): Immediate {
  const { code } = error;
  const headers = [contentType, { name: 'x-hermes-reason', value: code }];
  if (requestId !== '') headers.push({ name: 'x-request-id', value: requestId });
  const retryAfter = retryAfterOf(code);
  if (retryAfter !== null) headers.push({ name: 'retry-after', value: retryAfter });
  if (error.allow !== null) headers.push({ name: 'allow', value: error.allow });
  return { status: statusOf(code), headers, body: errorBody(error), details: code };
}

/** A JSON text as the whole answer. */
export function immediateJson(body: string, requestId: string): Immediate {
  return { status: 200, headers: [contentType, { name: 'x-request-id', value: requestId }], body, details: 'answered' };
}
