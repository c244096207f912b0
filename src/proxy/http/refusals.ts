import { statusLine } from './answer-head.ts';
import type { Refusal } from './request-parser.ts';

const answers: Readonly<Record<Refusal | 'request_timeout', { readonly status: number; readonly code: string }>> = {
  malformed: { status: 400, code: 'invalid_request' },
  headers_too_large: { status: 431, code: 'headers_too_large' },
  expectation_failed: { status: 417, code: 'expectation_failed' },
  request_timeout: { status: 408, code: 'request_timeout' },
};

/** The whole answer to bytes that are no request: OpenAI's error object, and the end of the connection. */
export function refusal(kind: Refusal | 'request_timeout', message: string): string {
  const { status, code } = answers[kind];
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', code, param: null } });
  return `${statusLine(status)}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}
