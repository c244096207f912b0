import { errorBody, retryAfterOf, statusOf } from '../openai/answers.ts';
import type { RoutingError } from '../router/errors.ts';
import type { Response } from './http/response.ts';

/** Sends an error as the whole answer; nothing may have been sent before. */
export function sendError(response: Response, error: RoutingError, headers: readonly string[] = []): void {
  const body = Buffer.from(errorBody(error));
  const head = [...headers, 'content-type', 'application/json', 'content-length', String(body.length)];
  const retryAfter = retryAfterOf(error.code);
  if (retryAfter !== null) head.push('retry-after', retryAfter);
  response.writeHead(statusOf(error.code), head);
  response.end(body);
}

/** Sends a JSON text as the whole answer. */
export function sendJson(response: Response, body: string, requestId: string): void {
  const bytes = Buffer.from(body);
  response.writeHead(200, [
    'content-type',
    'application/json',
    'content-length',
    String(bytes.length),
    'x-request-id',
    requestId,
  ]);
  response.end(bytes);
}
