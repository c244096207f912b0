import { describe, expect, it } from 'vitest';
import { RoutingError, type RoutingErrorCode } from '../router/errors.ts';
import { errorBody, errorEvent, retryAfterOf, statusOf } from './answers.ts';

/** The table of design/api.md, `Answers to clients`, and the two answers that no client should see. */
const rows: Record<RoutingErrorCode, [number, string]> = {
  invalid_json: [400, 'invalid_request_error'],
  invalid_value: [400, 'invalid_request_error'],
  missing_model: [400, 'invalid_request_error'],
  unknown_url: [404, 'invalid_request_error'],
  method_not_allowed: [405, 'invalid_request_error'],
  unsupported_media_type: [415, 'invalid_request_error'],
  model_not_found: [404, 'invalid_request_error'],
  request_too_large: [413, 'invalid_request_error'],
  no_ready_endpoint: [503, 'service_unavailable'],
  overloaded: [503, 'service_unavailable'],
  policy_invalid: [503, 'service_unavailable'],
  saturated: [429, 'rate_limit_error'],
  upstream_unreachable: [502, 'upstream_error'],
  upstream_timeout: [504, 'upstream_error'],
  upstream_reset: [502, 'upstream_error'],
  client_closed: [499, 'invalid_request_error'],
  internal_error: [500, 'internal_error'],
};

const codes = Object.keys(rows) as RoutingErrorCode[];

describe('answers', () => {
  it.each(codes)('answer %s as the table says', (code) => {
    const [status, type] = rows[code];
    expect(statusOf(code)).toBe(status);
    expect(JSON.parse(errorBody(new RoutingError(code, 'words', { source: 'client' })))).toEqual({
      error: { message: 'words', type, code, param: null },
    });
  });

  it.each(codes)('%s: a client is told to come back where that may help', (code) => {
    expect(retryAfterOf(code)).toBe([429, 503].includes(rows[code][0]) ? '1' : null);
  });

  it('name the field at fault', () => {
    const error = new RoutingError('invalid_value', 'words', { source: 'client', param: 'model' });
    expect(JSON.parse(errorBody(error))).toMatchObject({ error: { param: 'model' } });
  });

  it('stand in a stream as one event, which /v1/responses names', () => {
    const error = new RoutingError('upstream_reset', 'a\n\nb', { source: 'backend' });
    const body = errorBody(error);
    expect(body).not.toContain('\n');
    expect(errorEvent(error, '/v1/chat/completions')).toBe(`data: ${body}\n\n`);
    expect(errorEvent(error, '/v1/responses')).toBe(`event: error\ndata: ${body}\n\n`);
  });
});
