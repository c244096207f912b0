import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { RequestDecoder } from './decode.ts';
import { encodeRequest, field, numberField, varint, type MetadataFields, type PeerRequest } from './peer.fixture.ts';
import { ProcessingRequestType } from './proto.fixture.ts';
import { Phase, type HeaderLines, type ProcessingRequest } from './request.ts';
import { WireError } from './wire-error.ts';

const decoder = new RequestDecoder();
const subsetKey = 'x-gateway-destination-endpoint-subset';

function lines(headers: HeaderLines): [string, string][] {
  return Array.from({ length: headers.length }, (_, index) => [headers.name(index), headers.value(index)]);
}

function headersOf(...headers: [string, string][]): PeerRequest {
  return { phase: Phase.requestHeaders, headers };
}

function withMetadata(metadata: Readonly<Record<string, MetadataFields>>): ProcessingRequest {
  return decoder.decode(encodeRequest({ ...headersOf([':path', '/']), metadata }));
}

describe('messages', () => {
  it('request headers: names, values, end of stream', () => {
    const read = decoder.decode(
      encodeRequest({ ...headersOf([':method', 'POST'], ['x-a', '1'], ['x-a', '2']), endOfStream: true }),
    );
    expect(read.phase).toBe(Phase.requestHeaders);
    expect(read.endOfStream).toBe(true);
    expect(lines(read.headers)).toEqual([
      [':method', 'POST'],
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
    expect(read.body.length).toBe(0);
  });

  it('of a name that comes twice the last value is got', () => {
    const { headers } = decoder.decode(encodeRequest(headersOf(['x-a', '1'], ['x-b', '2'], ['x-a', '3'])));
    expect([headers.get('x-a'), headers.get('x-b'), headers.get('x-c'), headers.get('x-')]).toEqual([
      '3',
      '2',
      undefined,
      undefined,
    ]);
  });

  it('a name with capitals is found and given in lower case', () => {
    const { headers } = decoder.decode(encodeRequest(headersOf(['X-Gateway-Destination-Endpoint', '10.0.0.1:1'])));
    expect(headers.get('x-gateway-destination-endpoint')).toBe('10.0.0.1:1');
    expect(headers.name(0)).toBe('x-gateway-destination-endpoint');
  });

  it('values as text count where there are no bytes, and bytes win in either order', () => {
    const line = (...parts: Buffer[]): Buffer => field(2, field(1, field(1, field(1, 'x-a'), ...parts)));
    const got = (message: Buffer): string | undefined => decoder.decode(message).headers.get('x-a');
    expect(got(line(field(2, 'text')))).toBe('text');
    expect(got(line(field(2, 'text'), field(3, 'bytes')))).toBe('bytes');
    expect(got(line(field(3, 'bytes'), field(2, 'text')))).toBe('bytes');
    expect(got(line(field(3, ''), field(2, 'text')))).toBe('text');
    expect(got(line())).toBe('');
  });

  it('bytes of a value that are no UTF-8 are read one by one', () => {
    const { headers } = decoder.decode(encodeRequest(headersOf(['x-a', 'caf\xe9'])));
    expect(headers.get('x-a')).toBe('caf\xe9');
  });

  it.each([
    ['request body', Phase.requestBody],
    ['response body', Phase.responseBody],
  ])('a %s is a view of the message', (_name, phase) => {
    const message = encodeRequest({ phase, body: Buffer.from('hello'), endOfStream: true });
    const read = decoder.decode(message);
    expect([read.phase, read.body.toString(), read.endOfStream]).toEqual([phase, 'hello', true]);
    expect(read.body.buffer).toBe(message.buffer);
  });

  it.each([
    ['request', Phase.requestTrailers],
    ['response', Phase.responseTrailers],
  ])('%s trailers', (_name, phase) => {
    const read = decoder.decode(encodeRequest({ phase, headers: [['x-sum', '1']], endOfStream: true }));
    expect([read.phase, read.headers.get('x-sum'), read.endOfStream]).toEqual([phase, '1', false]);
  });

  it('nothing of one message is left in the next', () => {
    const metadata = {
      'envoy.lb.subset_hint': { [subsetKey]: 'a:1' },
      'envoy.lb': { 'x-gateway-destination-endpoint-served': 'b:1', 'x-gateway-destination-endpoint': 'c:1' },
    };
    decoder.decode(encodeRequest({ ...headersOf(['x-a', '1']), endOfStream: true, metadata }));
    const read = decoder.decode(Buffer.alloc(0));
    expect([read.phase, read.endOfStream, read.headers.length, read.body.length]).toEqual([0, false, 0, 0]);
    expect([read.subset, read.served, read.destination]).toEqual([null, '', '']);
    expect(read.headers.get('x-a')).toBeUndefined();
  });

  it('fields that nobody asked for are passed over, groups too', () => {
    const group = Buffer.concat([varint(50 * 8 + 3), numberField(1, 300), field(2, 'x'), varint(50 * 8 + 4)]);
    const fixed = Buffer.concat([varint(51 * 8 + 1), Buffer.alloc(8), varint(52 * 8 + 5), Buffer.alloc(4)]);
    const message = encodeRequest(headersOf(['x-a', '1']));
    const read = decoder.decode(Buffer.concat([group, field(9, 'attributes'), fixed, message, numberField(10, 1)]));
    expect(lines(read.headers)).toEqual([['x-a', '1']]);
  });

  it('a field of another type than ours is unknown, as protobuf has it', () => {
    const read = decoder.decode(Buffer.concat([numberField(2, 7), field(4, numberField(1, 9), field(2, 'true'))]));
    expect([read.phase, read.body.length, read.endOfStream]).toEqual([Phase.requestBody, 0, false]);
  });

  it('of two members of the oneof the last counts; one that comes twice is merged', () => {
    const two = Buffer.concat([
      encodeRequest(headersOf(['x-a', '1'])),
      encodeRequest({ phase: Phase.requestBody, body: Buffer.from('b') }),
    ]);
    const read = decoder.decode(two);
    expect([read.phase, read.headers.length, read.body.toString()]).toEqual([Phase.requestBody, 0, 'b']);
    const twice = Buffer.concat([encodeRequest(headersOf(['x-a', '1'])), encodeRequest(headersOf(['x-b', '2']))]);
    expect(decoder.decode(twice).headers.length).toBe(2);
  });

  it('asking for a line that is not there is an error of the caller', () => {
    expect(() => decoder.decode(encodeRequest(headersOf(['x-a', '1']))).headers.value(1)).toThrow(RangeError);
  });
});

describe('metadata', () => {
  const hints: Record<string, { value: MetadataFields[string]; subset: readonly string[] | null }> = {
    'a list': { value: ['10.0.0.1:8000', '10.0.0.2:8000'], subset: ['10.0.0.1:8000', '10.0.0.2:8000'] },
    'text with commas': { value: '10.0.0.1:8000, [::1]:8000 ,', subset: ['10.0.0.1:8000', '[::1]:8000'] },
    'one address': { value: '10.0.0.1:8000', subset: ['10.0.0.1:8000'] },
    'an empty list allows nothing': { value: [], subset: [] },
    'an empty text allows nothing': { value: '', subset: [] },
    'null is no hint': { value: null, subset: null },
    'a number allows nothing': { value: 1.5, subset: [] },
    'a truth allows nothing': { value: true, subset: [] },
    'an object allows nothing': { value: { a: '10.0.0.1:8000' }, subset: [] },
    'what is no text in a list is left out': { value: [1, '10.0.0.1:8000', null, ['x']], subset: ['10.0.0.1:8000'] },
  };
  it.each(Object.entries(hints))('subset: %s', (_name, { value, subset }) => {
    const metadata = { 'envoy.lb.subset_hint': { other: ['x'], [subsetKey]: value, more: null } };
    expect(withMetadata(metadata).subset).toEqual(subset);
  });

  it('the subset of another namespace or under another key is none', () => {
    expect(withMetadata({ 'envoy.lb': { [subsetKey]: 'a:1' } }).subset).toBeNull();
    expect(withMetadata({ 'envoy.lb.subset_hint': { 'x-gateway-destination-endpoint': 'a:1' } }).subset).toBeNull();
  });

  it('the pick that Envoy gives back, and the endpoint that served', () => {
    const read = withMetadata({
      'envoy.filters.http.other': { deep: { deeper: [{ deepest: 'x' }] } },
      'envoy.lb': { 'x-gateway-destination-endpoint': 'a:1,b:1', 'x-gateway-destination-endpoint-served': 'b:1', n: 1 },
    });
    expect([read.destination, read.served, read.subset]).toEqual(['a:1,b:1', 'b:1', null]);
  });

  it('is read before the message and with value before key as well', () => {
    const text = field(3, 'a:1');
    const entry = field(1, field(2, text), field(1, 'x-gateway-destination-endpoint-served'));
    const space = field(1, field(2, entry), field(1, 'envoy.lb'));
    const read = decoder.decode(Buffer.concat([field(8, space), encodeRequest(headersOf(['x-a', '1']))]));
    expect([read.served, read.headers.get('x-a')]).toEqual(['a:1', '1']);
  });

  it('an entry without a key or a value is passed over', () => {
    const space = field(1, field(1, 'envoy.lb'));
    const keyless = field(1, field(2, field(1, field(2, field(3, 'a:1')))));
    const read = decoder.decode(field(8, space, keyless, field(2, 'typed')));
    expect([read.served, read.destination]).toEqual(['', '']);
  });
});

describe('malformed messages', () => {
  const groups = (depth: number): Buffer =>
    Buffer.concat([...Array<Buffer>(depth).fill(varint(50 * 8 + 3)), ...Array<Buffer>(depth).fill(varint(50 * 8 + 4))]);
  const cases: Record<string, Buffer> = {
    'a field longer than the message': Buffer.of(0x12, 5, 1),
    'a length that would wrap around': Buffer.concat([Buffer.of(0x12), varint(2 ** 32), Buffer.of(0)]),
    'a length of nearly 2^64': Buffer.concat([Buffer.of(0x12), Buffer.alloc(9, 0xff), Buffer.of(1)]),
    'a field longer than the message that it is in': Buffer.concat([
      field(2, field(1, field(1, Buffer.of(0x0a, 2)))),
      field(9, 'abcdefgh'),
    ]),
    'a number without an end': Buffer.alloc(5, 0xff),
    'a number of eleven bytes': Buffer.concat([Buffer.of(0x50), Buffer.alloc(10, 0xff), Buffer.of(1)]),
    'the field number 0': Buffer.of(0x02, 0),
    'a tag of more than 32 bits': Buffer.concat([varint(2 ** 32 + 18), Buffer.of(0)]),
    'the wire type 6': Buffer.of(0x16),
    'the wire type 7': Buffer.of(0x17),
    'the end of a group that has not begun': varint(50 * 8 + 4),
    'the end of another group': Buffer.concat([varint(50 * 8 + 3), varint(51 * 8 + 4)]),
    'a group without an end': varint(50 * 8 + 3),
    'groups a thousand deep': groups(1000),
    'a cut off fixed64': Buffer.concat([varint(50 * 8 + 1), Buffer.alloc(7)]),
    'a cut off fixed32': Buffer.concat([varint(50 * 8 + 5), Buffer.alloc(3)]),
    'more header lines than anybody sends': field(2, field(1, ...Array<Buffer>(5000).fill(field(1, field(1, 'x'))))),
  };
  it.each(Object.entries(cases))('%s', (_name, message) => {
    expect(() => decoder.decode(message)).toThrow(WireError);
  });

  it('groups thirty deep and four thousand lines are still read', () => {
    expect(decoder.decode(groups(30)).phase).toBe(0);
    const many = field(2, field(1, ...Array<Buffer>(4000).fill(field(1, field(1, 'x')))));
    expect(decoder.decode(many).headers.length).toBe(4000);
  });
});

describe('properties', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
  const name = fc.string({ unit: fc.constantFrom(...':abcdefghijklmnopqrstuvwxyz-'), minLength: 1 });
  const metadataValue: fc.Arbitrary<MetadataFields[string]> = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.double({ noNaN: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 3 }),
    ),
  })).value as fc.Arbitrary<MetadataFields[string]>;
  const request = fc.record({
    phase: fc.constantFrom(...Object.values(Phase)),
    headers: fc.array(fc.tuple(name, latin1), { maxLength: 100 }),
    body: fc.uint8Array({ maxLength: 500 }),
    endOfStream: fc.boolean(),
    metadata: fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('envoy.lb', 'envoy.lb.subset_hint')),
      fc.dictionary(
        fc.oneof(fc.string(), fc.constantFrom(subsetKey, 'x-gateway-destination-endpoint')),
        metadataValue,
        { maxKeys: 3 },
      ),
      { maxKeys: 3 },
    ),
  });

  it('whatever a peer sends is read back, as protobufjs reads it', () => {
    fc.assert(
      fc.property(request, (request) => {
        const message = encodeRequest(request);
        const read = decoder.decode(message);
        const isBody = request.phase === Phase.requestBody || request.phase === Phase.responseBody;
        expect(read.phase).toBe(request.phase);
        expect(lines(read.headers)).toEqual(isBody ? [] : request.headers);
        expect(read.body.equals(isBody ? request.body : Buffer.alloc(0))).toBe(true);
        const trailers = request.phase === Phase.requestTrailers || request.phase === Phase.responseTrailers;
        expect(read.endOfStream).toBe(request.endOfStream && !trailers);
        const destination = request.metadata['envoy.lb']?.['x-gateway-destination-endpoint'];
        expect(read.destination).toBe(typeof destination === 'string' ? destination : '');
        const theirs = ProcessingRequestType.toObject(ProcessingRequestType.decode(message), { oneofs: true });
        expect(theirs['request']).toBe(
          Object.keys(Phase)[read.phase - 2]?.replace(/[A-Z]/, (c) => `_${c.toLowerCase()}`),
        );
      }),
    );
  });

  it('what protobufjs writes is read, whatever is around it', () => {
    const message = ProcessingRequestType.encode(
      ProcessingRequestType.fromObject({
        response_headers: {
          headers: { headers: [{ key: ':status', raw_value: Buffer.from('200') }] },
          attributes: { x: { fields: { y: { number_value: 1 } } } },
          end_of_stream: true,
        },
        metadata_context: {
          filter_metadata: {
            'envoy.lb.subset_hint': {
              fields: { [subsetKey]: { list_value: { values: [{ string_value: 'a:1' }, { string_value: 'b:1' }] } } },
            },
            'envoy.lb': { fields: { 'x-gateway-destination-endpoint-served': { string_value: 'c:1' } } },
          },
          typed_filter_metadata: { x: { type_url: 'y', value: Buffer.from('z') } },
        },
        attributes: { a: { fields: {} } },
        observability_mode: true,
        protocol_config: { request_body_mode: 4 },
        unknown_to_us: 1,
        unknown_too: 2,
      }),
    ).finish();
    const read = decoder.decode(Buffer.from(message));
    expect([read.phase, read.endOfStream, read.headers.get(':status')]).toEqual([Phase.responseHeaders, true, '200']);
    expect([read.subset, read.served]).toEqual([['a:1', 'b:1'], 'c:1']);
  });

  const readOrRefuse = (message: Buffer): void => {
    try {
      const read = decoder.decode(message);
      lines(read.headers);
      read.headers.get('x-request-id');
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  };

  it('every truncation is read or refused, never anything else', () => {
    fc.assert(
      fc.property(request, (request) => {
        const message = encodeRequest(request);
        for (let length = 0; length < message.length; length += 1) readOrRefuse(message.subarray(0, length));
      }),
      { numRuns: 50 },
    );
  });

  it('random bytes and messages with bytes changed are read or refused, never anything else', () => {
    const changes = fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), request, changes, (random, request, changes) => {
        readOrRefuse(Buffer.from(random));
        const message = encodeRequest(request);
        for (const [at, byte] of changes) message[at % message.length] = byte;
        readOrRefuse(message);
      }),
      { numRuns: 2000 },
    );
  });
});
