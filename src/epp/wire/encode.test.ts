import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Body, encodePiece, pieceBytes, sendBody } from './body.ts';
import {
  encodeImmediate,
  encodeRequestHeaders,
  encodeResponseHeaders,
  requestTrailersUnchanged,
  responseHeadersUnchanged,
  responseTrailersUnchanged,
} from './encode.ts';
import { decodeResponse } from './peer.fixture.ts';
import { readResponse } from './proto.fixture.ts';
import type { HeaderChange } from './response.ts';

const nothing: HeaderChange = { set: [], remove: [], clearRouteCache: false, destination: null };
const overwrite = 2;

function option(key: string, raw_value: string): object {
  return { header: { key, raw_value }, append_action: overwrite };
}

describe('what protobufjs reads in our responses', () => {
  const cases: Record<string, { message: Uint8Array; means: object }> = {
    'a pick: headers set and removed, routes matched anew, the metadata of the balancer': {
      message: encodeRequestHeaders({
        set: [
          { name: 'x-gateway-destination-endpoint', value: '10.0.0.1:8000,10.0.0.2:8000' },
          { name: 'content-length', value: '4096' },
        ],
        remove: ['x-openfuyao-prefill-pod-address-port', 'x-llm-d-inference-objective'],
        clearRouteCache: true,
        destination: '10.0.0.1:8000,10.0.0.2:8000',
      }),
      means: {
        request_headers: {
          response: {
            header_mutation: {
              set_headers: [
                option('x-gateway-destination-endpoint', '10.0.0.1:8000,10.0.0.2:8000'),
                option('content-length', '4096'),
              ],
              remove_headers: ['x-openfuyao-prefill-pod-address-port', 'x-llm-d-inference-objective'],
            },
            clear_route_cache: true,
          },
        },
        dynamic_metadata: {
          fields: {
            'envoy.lb': {
              struct_value: {
                fields: { 'x-gateway-destination-endpoint': { string_value: '10.0.0.1:8000,10.0.0.2:8000' } },
              },
            },
          },
        },
      },
    },
    'request headers that stay as they are': {
      message: encodeRequestHeaders(nothing),
      means: { request_headers: { response: {} } },
    },
    'response headers with one that is added': {
      message: encodeResponseHeaders({ ...nothing, set: [{ name: 'x-request-id', value: 'abc' }] }),
      means: { response_headers: { response: { header_mutation: { set_headers: [option('x-request-id', 'abc')] } } } },
    },
    'response headers with one that is taken away': {
      message: encodeResponseHeaders({ ...nothing, remove: ['x-secret'] }),
      means: { response_headers: { response: { header_mutation: { remove_headers: ['x-secret'] } } } },
    },
    'a header value of bytes that are no UTF-8': {
      message: encodeResponseHeaders({ ...nothing, set: [{ name: 'x-name', value: 'caf\xe9' }] }),
      means: { response_headers: { response: { header_mutation: { set_headers: [option('x-name', 'caf\xe9')] } } } },
    },
    'an empty header value': {
      message: encodeResponseHeaders({ ...nothing, set: [{ name: 'x-name', value: '' }] }),
      means: {
        response_headers: {
          response: { header_mutation: { set_headers: [{ header: { key: 'x-name' }, append_action: overwrite }] } },
        },
      },
    },
    'response headers unchanged': { message: responseHeadersUnchanged, means: { response_headers: {} } },
    'request trailers unchanged': { message: requestTrailersUnchanged, means: { request_trailers: {} } },
    'response trailers unchanged': { message: responseTrailersUnchanged, means: { response_trailers: {} } },
    'an immediate response': {
      message: encodeImmediate({
        status: 503,
        headers: [{ name: 'content-type', value: 'application/json' }],
        body: '{"error":{"message":"kein Endpunkt für dich"}}',
        details: 'no_ready_endpoint',
      }),
      means: {
        immediate_response: {
          status: { code: 503 },
          headers: { set_headers: [option('content-type', 'application/json')] },
          body: Buffer.from('{"error":{"message":"kein Endpunkt für dich"}}').toString('latin1'),
          details: 'no_ready_endpoint',
        },
      },
    },
    'a bare immediate response': {
      message: encodeImmediate({ status: 429, headers: [], body: '', details: '' }),
      means: { immediate_response: { status: { code: 429 } } },
    },
    'a piece of a request body': {
      message: encodePiece(Body.request, Buffer.from('abc'), false),
      means: { request_body: { response: { body_mutation: { streamed_response: { body: 'abc' } } } } },
    },
    'the last piece of a response body': {
      message: encodePiece(Body.response, Buffer.from('abc'), true),
      means: {
        response_body: { response: { body_mutation: { streamed_response: { body: 'abc', end_of_stream: true } } } },
      },
    },
    'an empty last piece': {
      message: encodePiece(Body.response, Buffer.alloc(0), true),
      means: { response_body: { response: { body_mutation: { streamed_response: { end_of_stream: true } } } } },
    },
    'an empty piece': {
      message: encodePiece(Body.response, Buffer.alloc(0), false),
      means: { response_body: { response: { body_mutation: { streamed_response: {} } } } },
    },
  };
  it.each(Object.entries(cases))('%s', (_name, { message, means }) => {
    expect(readResponse(message)).toEqual(means);
  });
});

describe('properties', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
  const ascii = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-'), minLength: 1, maxLength: 300 });
  const header = fc.record({ name: ascii, value: latin1 });

  it('any change of headers is read back as it was, also by protobufjs', () => {
    const change = fc.record({
      set: fc.array(header, { maxLength: 20 }),
      remove: fc.array(ascii, { maxLength: 20 }),
      clearRouteCache: fc.boolean(),
      destination: fc.option(fc.string({ unit: 'grapheme' })),
    });
    fc.assert(
      fc.property(change, (change) => {
        const message = encodeRequestHeaders(change);
        const read = decodeResponse(Buffer.from(message));
        expect(read.set).toEqual(change.set.map((header) => ({ ...header, action: overwrite })));
        expect(read.remove).toEqual(change.remove);
        expect(read.clearRouteCache).toBe(change.clearRouteCache);
        const destination = { 'envoy.lb': { 'x-gateway-destination-endpoint': change.destination } };
        expect(read.dynamicMetadata).toEqual(change.destination === null ? null : destination);
        expect(readResponse(message)).toHaveProperty('request_headers.response');
      }),
    );
  });

  it('a message larger than the writer grows it, and the next one is untouched by that', () => {
    const value = 'x'.repeat(100_000);
    const large = encodeResponseHeaders({ ...nothing, set: [{ name: 'x-large', value }] });
    expect(decodeResponse(Buffer.from(large)).set[0]?.value).toBe(value);
    const small = encodeResponseHeaders({ ...nothing, set: [{ name: 'x-small', value: '1' }] });
    expect(decodeResponse(Buffer.from(small)).set).toEqual([{ name: 'x-small', value: '1', action: overwrite }]);
  });

  it('a body of any size goes in pieces that are not too large, together it, only the last of which may end the stream', () => {
    const sizes = [0, 1, 127, 128, 16_383, 16_384, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes, 200_001];
    fc.assert(
      fc.property(fc.constantFrom(...sizes), fc.boolean(), (size, endOfStream) => {
        const body = Buffer.from(Array.from({ length: size }, (_, index) => index % 251));
        const sent: Buffer[] = [];
        const sink = { send: (message: Uint8Array) => sent.push(Buffer.from(message)) > 0 };
        expect(sendBody(sink, Body.request, body, endOfStream)).toBe(true);
        const pieces = sent.map(decodeResponse);
        expect(Buffer.concat(pieces.map((piece) => piece.body)).equals(body)).toBe(true);
        expect(pieces.length).toBe(Math.max(1, Math.ceil(size / pieceBytes)));
        expect(pieces.every((piece) => piece.body.length <= pieceBytes && piece.kind === 'requestBody')).toBe(true);
        expect(pieces.map((piece) => piece.endOfStream)).toEqual(
          pieces.map((_, index) => endOfStream && index === pieces.length - 1),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('what the sink says of the last piece is passed on', () => {
    expect(sendBody({ send: () => false }, Body.response, Buffer.from('x'), false)).toBe(false);
  });
});
