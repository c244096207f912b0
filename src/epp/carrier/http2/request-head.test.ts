import { describe, expect, it } from 'vitest';
import { HeaderField } from './header-field.ts';
import { maxHeaderListBytes, RequestHead } from './request-head.ts';

const usual = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/x'],
  [':authority', 'a:1'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
] as const;

function headOf(fields: readonly (readonly [string, string])[], areTrailers = false): RequestHead {
  const head = new RequestHead();
  head.begin(areTrailers);
  for (const [name, value] of fields) head.onField(new HeaderField(name, value));
  return head;
}

describe('RequestHead', () => {
  it('reads what a call needs, and forgets it for the next', () => {
    const head = headOf([...usual, ['content-length', '12']]);
    const { method, scheme, path, authority, contentType, contentLength } = head;
    expect({ method, scheme, path, authority, contentType, contentLength }).toEqual({
      method: 'POST',
      scheme: 'http',
      path: '/x',
      authority: 'a:1',
      contentType: 'application/grpc',
      contentLength: 12,
    });
    expect(head.isRequest).toBe(true);
    head.begin(false);
    expect([head.method, head.contentLength, head.isRequest]).toEqual(['', -1, false]);
  });

  it('reads the trace that a call belongs to, several headers as a list', () => {
    const head = headOf([...usual, ['traceparent', 'p'], ['tracestate', 'a=1'], ['tracestate', 'b=2']]);
    expect([head.isRequest, head.traceparent, head.tracestate]).toEqual([true, 'p', 'a=1,b=2']);
    head.begin(false);
    expect([head.traceparent, head.tracestate]).toEqual(['', '']);
    expect(headOf([['traceparent', 'p'], ...usual]).isRequest).toBe(false);
  });

  const malformed: Record<string, readonly (readonly [string, string])[]> = {
    'no method': usual.slice(1),
    'no scheme': usual.filter(([name]) => name !== ':scheme'),
    'no path': usual.filter(([name]) => name !== ':path'),
    'an empty path': [...usual.filter(([name]) => name !== ':path'), [':path', '']],
    'a method twice': [usual[0], ...usual],
    'another pseudo-field': [[':status', '200'], ...usual],
    'a pseudo-field that nobody knows': [[':protocol', 'x'], ...usual],
    'a pseudo-field behind another': [['x', 'y'], ...usual],
    'a name with capitals': [...usual, ['Via', 'x']],
    'a name with a space': [...usual, ['a b', 'x']],
    'a name with a colon': [...usual, ['a:b', 'x']],
    'no name': [...usual, ['', 'x']],
    'a value with a line end': [...usual, ['a', 'b\nc']],
    'a value with a NUL': [...usual, ['a', 'b\0']],
    'a value that begins with a space': [...usual, ['a', ' b']],
    'a value that ends with a tab': [...usual, ['a', 'b\t']],
    'a path with a line end': [...usual.filter(([name]) => name !== ':path'), [':path', '/\r\nx']],
    'fields of HTTP/1.1': [...usual, ['connection', 'close']],
    'a transfer coding': [...usual, ['transfer-encoding', 'chunked']],
    'te other than trailers': [...usual, ['te', 'gzip']],
    'a length that is no number': [...usual, ['content-length', '+1']],
    'two lengths': [...usual, ['content-length', '1'], ['content-length', '2']],
  };
  it.each(Object.entries(malformed))('is no request with %s', (_name, fields) => {
    expect(headOf(fields).isRequest).toBe(false);
  });

  it('takes what is unusual and allowed', () => {
    const fields = [...usual, ['x', ''], ['y', 'é\t ü'], ['content-length', '1'], ['content-length', '1']] as const;
    expect(headOf(fields).isRequest).toBe(true);
  });

  it('counts names, values and 32 bytes for each field', () => {
    const rest = 'v'.repeat(maxHeaderListBytes - 1 - 32);
    expect(headOf([['x', rest]]).isTooLarge).toBe(false);
    expect(headOf([['x', `${rest}v`]]).isTooLarge).toBe(true);
    expect(headOf(Array.from({ length: 2000 }, () => ['', ''] as const)).isTooLarge).toBe(false);
    expect(headOf(Array.from({ length: 2049 }, () => ['', ''] as const)).isTooLarge).toBe(true);
  });

  it('takes trailers without pseudo-fields', () => {
    expect(headOf([['grpc-x', 'y']], true).areTrailers).toBe(true);
    expect(headOf([[':path', '/']], true).areTrailers).toBe(false);
    expect(headOf([['X', 'y']], true).areTrailers).toBe(false);
  });
});
