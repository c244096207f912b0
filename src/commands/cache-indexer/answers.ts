import { QuestionError, type QuestionErrorCode } from '../../indexer/serve/errors.ts';
import type { Response } from '../../proxy/http/response.ts';
import { RoutingError } from '../../router/errors.ts';

/** Every way to refuse a request. */
export type RefusalCode =
  | QuestionErrorCode
  | 'unknown_url'
  | 'method_not_allowed'
  | 'unsupported_media_type'
  | 'invalid_api_key'
  | 'request_too_large'
  | 'overloaded'
  | 'internal_error';

/** A request that is refused before it is a question. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  /** The method that the path takes, where another was used. */
  readonly allow: string | null;

  constructor(code: RefusalCode, message: string, allow: string | null = null) {
    super(message);
    this.code = code;
    this.allow = allow;
  }
}

const invalid = 'invalid_request_error';
const unavailable = 'service_unavailable';

/** The one place where a refusal becomes HTTP. */
const answers: Readonly<Record<RefusalCode, readonly [status: number, type: string]>> = {
  invalid_json: [400, invalid],
  invalid_value: [400, invalid],
  missing_model: [400, invalid],
  invalid_api_key: [401, invalid],
  model_not_found: [404, invalid],
  unknown_url: [404, invalid],
  method_not_allowed: [405, invalid],
  request_too_large: [413, invalid],
  unsupported_media_type: [415, invalid],
  internal_error: [500, 'internal_error'],
  tokenizer_unavailable: [503, unavailable],
  overloaded: [503, unavailable],
};

/** Seconds a client should wait before it asks again. */
const retryAfter = '1';

/** Sends OpenAI's error object and returns the status; `error` may be anything that was thrown. */
export function sendRefusal(response: Response, error: unknown): number {
  const { code, message, param, allow } = refusalOf(error);
  const [status, type] = answers[code];
  const body = Buffer.from(JSON.stringify({ error: { message, type, code, param } }));
  const head = ['content-type', 'application/json', 'content-length', String(body.length)];
  if (status === 503) head.push('retry-after', retryAfter);
  if (status === 401) head.push('www-authenticate', 'Bearer');
  if (allow !== null) head.push('allow', allow);
  // Nobody wants to read on to the end of a body that is too large.
  if (status === 413) response.close = true;
  response.writeHead(status, head);
  response.end(body);
  return status;
}

interface Told {
  readonly code: RefusalCode;
  readonly message: string;
  readonly param: string | null;
  readonly allow: string | null;
}

function refusalOf(error: unknown): Told {
  if (error instanceof QuestionError)
    return { code: error.code, message: error.message, param: error.param, allow: null };
  if (error instanceof Refusal) return { code: error.code, message: error.message, param: null, allow: error.allow };
  // What reads bodies speaks of routers.
  if (error instanceof RoutingError && (error.code === 'request_too_large' || error.code === 'overloaded'))
    return { code: error.code, message: error.message, param: null, allow: null };
  return { code: 'internal_error', message: 'cache-indexer has failed on this request', param: null, allow: null };
}

/** Whether the fault is our own. */
export const isOurs = (error: unknown): boolean => refusalOf(error).code === 'internal_error';

export function sendText(response: Response, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, ['content-type', type, 'content-length', String(body.length)]);
  response.end(body);
}
