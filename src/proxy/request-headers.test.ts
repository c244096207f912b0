import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestHeaders } from './request-headers.ts';

/** Header lines as an engine gets them, without the request's id and content type. */
function forwarded(...raw: string[]): string[] {
  const lines = new RequestHeaders(raw).linesFor(undefined, false).split('\r\n');
  return lines.filter((line) => line !== '' && !/^(x-request-id|content-type):/.test(line));
}

describe('RequestHeaders', () => {
  it('passes on what it does not know, as it was written', () => {
    expect(forwarded('X-Trace', 'a', 'traceparent', '00-1', 'X-Trace', 'b', 'Accept', '*/*')).toEqual([
      'X-Trace: a',
      'traceparent: 00-1',
      'X-Trace: b',
      'Accept: */*',
    ]);
  });

  it.each([
    'Accept-Encoding', 'Connection', 'Content-Length', 'Expect', 'Host', 'Keep-Alive', 'Proxy-Authorization',
    'Proxy-Authenticate', 'Proxy-Connection', 'TE', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'Authorization',
    'x-openfuyao-prefill-pod-address-port', 'X-OpenFuyao-Decode-Pod-Address-Port', 'x-prefiller-host-port',
    'x-gateway-destination-endpoint', 'X-Gateway-Destination-Endpoint-Subset', 'x-llm-d-inference-objective',
    'x-hermes-debug', 'x-hermes-anything',
  ])('keeps %s from the engines', (name) => {
    expect(forwarded(name, 'value')).toEqual([]);
    expect(forwarded(name.toLowerCase(), 'value')).toEqual([]);
    expect(forwarded(name.toUpperCase(), 'value')).toEqual([]);
  }); // prettier-ignore

  const hopByHop: [string, string[], string[]][] = [
    ['a name in Connection', ['Connection', 'X-Hop', 'x-hop', '1', 'x-end', '2'], ['x-end: 2']],
    ['several names', ['Connection', 'close, X-A ,x-b', 'X-a', '1', 'x-B', '2', 'x-c', '3'], ['x-c: 3']],
    ['names in several Connection headers', ['Connection', 'x-a', 'connection', 'x-b', 'x-a', '1', 'x-b', '2'], []],
    ['names after an ordinary Connection', ['Connection', 'keep-alive', 'Connection', 'x-a', 'x-a', '1'], []],
    ['names before the Connection header', ['x-a', '1', 'Connection', 'x-a'], []],
    ['no name in an ordinary Connection', ['Connection', 'keep-alive', 'x-a', '1'], ['x-a: 1']],
  ];
  it.each(hopByHop)('takes %s for this hop only', (_name, raw, wanted) => {
    expect(forwarded(...raw)).toEqual(wanted);
  });

  const authorization: [string, string | undefined, boolean, string[]][] = [
    ['nowhere by default', undefined, false, []],
    ['to engines where that is asked for', undefined, true, ['authorization: Bearer client']],
    ["behind the engine's own key", 'key', false, ['authorization: Bearer key']],
    ["behind the engine's own key, whatever is asked for", 'key', true, ['authorization: Bearer key']],
  ];
  it.each(authorization)('sends the Authorization of a client %s', (_name, key, forward, wanted) => {
    const lines = new RequestHeaders(['Authorization', 'Bearer client']).linesFor(key, forward).split('\r\n');
    expect(lines.filter((line) => line.startsWith('authorization'))).toEqual(wanted);
  });

  it('sends no empty Authorization', () => {
    expect(new RequestHeaders([]).linesFor(undefined, true)).not.toContain('authorization');
  });

  const ids: [string, string, boolean][] = [
    ['a short id', 'a', true],
    ['every character that is allowed', 'AZaz09._:-', true],
    ['128 characters', 'x'.repeat(128), true],
    ['129 characters', 'x'.repeat(129), false],
    ['an empty id', '', false],
    ['a space', 'a b', false],
    ['a character outside ASCII', 'é', false],
    ['a slash', 'a/b', false],
  ];
  it.each(ids)('judges %s', (_name, id, kept) => {
    const { requestId } = new RequestHeaders(['X-Request-Id', id]);
    expect(requestId === id).toBe(kept);
    expect(requestId).toMatch(/^[A-Za-z0-9._:-]{1,128}$/);
  });

  it('makes an id where there is none, another one each time', () => {
    expect(new RequestHeaders([]).requestId).not.toBe(new RequestHeaders([]).requestId);
  });

  it('sends one request id and one content type, whatever came', () => {
    const headers = new RequestHeaders([
      'X-Request-ID',
      'a b',
      'content-type',
      'text/x',
      'Content-Type',
      'application/json',
    ]);
    const lines = headers.linesFor(undefined, false).split('\r\n');
    expect(lines).toEqual([`x-request-id: ${headers.requestId}`, 'content-type: application/json', '']);
    expect(headers.contentType).toBe('application/json');
  });

  it('says that the body is JSON where the client does not', () => {
    expect(new RequestHeaders([]).linesFor(undefined, false)).toContain('content-type: application/json\r\n');
    expect(new RequestHeaders([]).contentType).toBe('');
  });

  const debug: [string, boolean][] = [['1', true], ['0', false], ['true', false], ['', false]]; // prettier-ignore
  it.each(debug)('reads x-hermes-debug: %s as %s', (value, wanted) => {
    expect(new RequestHeaders(['X-Hermes-Debug', value]).debug).toBe(wanted);
  });

  it('finds the first header of a name, in whatever case', () => {
    const headers = new RequestHeaders(['X-Tenant', 'a', 'x-tenant', 'b']);
    expect(headers.get('x-tenant')).toBe('a');
    expect(headers.get('x-tenants')).toBeUndefined();
  });

  it('judges a name the same after thousands of others', () => {
    for (let i = 0; i < 3000; i++) new RequestHeaders([`x-n${i}`, '1']);
    expect(forwarded('Host', 'h', 'x-n1', '1')).toEqual(['x-n1: 1']);
  });

  it('never lets a steering or hop-by-hop header through, in whatever case and company', () => {
    const name = fc
      .constantFrom('host', 'te', 'x-openfuyao-a', 'x-llm-d-b', 'x-gateway-c', 'x-prefiller-d', 'authorization', 'x-ok')
      .chain((text) => fc.mixedCase(fc.constant(text)));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.constant('v'))), (pairs) => {
        const wanted = pairs.filter(([text]) => text.toLowerCase() === 'x-ok');
        expect(forwarded(...pairs.flat())).toEqual(wanted.map(([text]) => `${text}: v`));
      }),
    );
  });

  describe('where requests are traced', () => {
    const lines = (...raw: string[]): string => new RequestHeaders(raw, true).linesFor(undefined, false);

    it('keeps the trace headers for itself, and baggage goes on', () => {
      const raw = ['Traceparent', 'p', 'tracestate', 'a=1', 'TraceState', 'b=2', 'baggage', 'c=d'];
      const headers = new RequestHeaders(raw, true);
      expect([headers.traceparent, headers.tracestate]).toEqual(['p', 'a=1,b=2']);
      expect(lines(...raw)).toContain('baggage: c=d\r\n');
      expect(lines(...raw)).not.toMatch(/^trace/im);
    });

    it('two parents are none', () => {
      expect(new RequestHeaders(['traceparent', 'p', 'traceparent', 'q'], true).traceparent).toBe('p,q');
    });
  });

  it('reads no trace header where nothing is traced', () => {
    const { traceparent, tracestate } = new RequestHeaders(['traceparent', 'p', 'tracestate', 'a=1']);
    expect([traceparent, tracestate]).toEqual(['', '']);
  });
});
