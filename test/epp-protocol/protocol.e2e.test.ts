import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatHeaders, Conversation, destination, okHeaders, pickOf, subsetHint } from './conversation.ts';
import { framed, healthPath, type Connection } from './grpc.ts';
import { bodyMessage, headersMessage, type Context, type Headers } from './messages.ts';
import { Fields, Message } from './protobuf.ts';
import { connectTo, openTarget, ours, type Target } from './target.ts';

/** Bytes of a piece that a picker sends at most. */
const pieceBytes = 62_000;
const subsetKey = 'x-gateway-destination-endpoint-subset';

let target: Target;
let connection: Connection;

beforeAll(async () => {
  target = await openTarget();
  connection = await connectTo(target);
});
afterAll(async () => {
  await connection.close();
  await target.stop();
});

function open(context: Context = {}): Conversation {
  return new Conversation(connection, context);
}

/** A chat of as many bytes, or a short one. */
function chat(bytes = 0, fields: object = {}): string {
  const body = (fill: number): string =>
    JSON.stringify({ model: target.model, messages: [{ role: 'user', content: 'x'.repeat(fill) }], ...fields });
  return body(Math.max(1, bytes - body(0).length));
}

/** A body cut into pieces of these sizes; the last size goes on to the end. */
function cut(body: string, sizes: readonly number[]): Buffer[] {
  const whole = Buffer.from(body);
  const pieces: Buffer[] = [];
  for (let from = 0; from < whole.length;) {
    const size = sizes[Math.min(pieces.length, sizes.length - 1)];
    pieces.push(whole.subarray(from, from + size));
    from += size;
  }
  return pieces;
}

describe('a request', () => {
  it('is answered by headers with the pick, then its body, then nothing until the engine answers', async () => {
    const body = chat();
    const conversation = open().headers().body(body);
    const picked = await conversation.picked();
    expect(target.endpoints).toContain(picked.endpoints[0]);
    expect(picked.body.toString()).toBe(body);
    expect(picked.headers.clearRouteCache).toBe(true);
    expect(conversation.call.messages).toHaveLength(1 + picked.pieces.length);
    expect((await conversation.finish()).code).toBe(0);
  });

  it('is picked with a list of fallbacks behind it, each another endpoint of the pool', async () => {
    const conversation = open().headers().body(chat());
    const { endpoints } = await conversation.picked();
    expect(new Set(endpoints).size).toBe(endpoints.length);
    expect(endpoints.filter((endpoint) => !target.endpoints.includes(endpoint))).toEqual([]);
    if (ours) expect(endpoints.length).toBeGreaterThan(1);
    await conversation.finish();
  });

  it('has the pick in header and metadata as bytes that replace what its client sent', async () => {
    const conversation = open()
      .headers({ ...chatHeaders, [destination]: '10.0.0.1:1' })
      .body(chat());
    const { headers, endpoints } = await conversation.picked();
    const header = headers.set.find(({ name }) => name === destination);
    expect([header?.raw, header?.appends]).toEqual([true, false]);
    expect(target.endpoints).toContain(endpoints[0]);
    await conversation.finish();
  });

  it('is not answered before its body is complete', async () => {
    const conversation = open().headers().body(chat().slice(0, 10), false);
    // Another call that is answered meanwhile shows that the picker has had time.
    for (let i = 0; i < 3; i++) {
      const other = open().headers().body(chat());
      await other.picked();
      await other.finish();
    }
    expect(conversation.call.messages).toHaveLength(0);
    conversation.body(chat().slice(10));
    expect((await conversation.picked()).body.toString()).toBe(chat());
    await conversation.finish();
  });

  it.each<[string, number, number[]]>([
    ['of a byte each', 200, [1]],
    ['of 62,000 bytes', 200_000, [pieceBytes]],
    ['of a mebibyte', 3 * 1024 * 1024, [1024 * 1024]],
    ['of uneven sizes', 300_000, [3, 1, 70_000, 16_384, 131_072]],
    ['in one of four mebibytes', 4 * 1024 * 1024, [4 * 1024 * 1024]],
  ])('comes in pieces %s and goes on whole, in pieces of at most 62,000 bytes', async (_name, bytes, sizes) => {
    const body = chat(bytes);
    const conversation = open().headers();
    const pieces = cut(body, sizes);
    for (const [i, piece] of pieces.entries()) conversation.body(piece, i === pieces.length - 1);
    const picked = await conversation.picked();
    expect(picked.body.equals(Buffer.from(body))).toBe(true);
    expect(Math.max(...picked.pieces.map(({ length }) => length))).toBeLessThanOrEqual(pieceBytes);
    await conversation.finish();
  });

  it('ends with an empty message, as Envoy sends it', async () => {
    const body = chat();
    const conversation = open().headers().body(body, false).body('', true);
    expect((await conversation.picked()).body.toString()).toBe(body);
    await conversation.finish();
  });

  it('ends with its trailers where it has some: no piece says that it is the last, and the trailers come behind', async () => {
    const body = chat(150_000);
    const conversation = open().headers();
    for (const piece of cut(body, [65_536])) conversation.body(piece, false);
    conversation.trailers();
    expect(target.endpoints).toContain(pickOf(await conversation.expect('requestHeaders')).endpoints[0]);
    const pieces: Buffer[] = [];
    for (;;) {
      const answer = await conversation.answer();
      if (answer?.kind === 'requestTrailers') break;
      expect([answer?.kind, answer?.endOfStream]).toEqual(['requestBody', false]);
      pieces.push(answer?.piece ?? Buffer.alloc(0));
    }
    expect(Buffer.concat(pieces).toString()).toBe(body);
    await conversation.finish();
  });

  it('may have its header values as text, too', async () => {
    const conversation = open({ plainValues: true }).headers().body(chat());
    expect(target.endpoints).toContain((await conversation.picked()).endpoints[0]);
    await conversation.finish();
  });

  it('may come in a frame for each byte', async () => {
    const conversation = open();
    const message = Buffer.concat([
      framed(headersMessage('requestHeaders', chatHeaders, false)),
      framed(bodyMessage('requestBody', Buffer.from(chat()), true)),
    ]);
    for (const byte of message) {
      conversation.call.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    await conversation.picked();
    await conversation.finish();
  });

  it('may come with all its messages in one frame', async () => {
    const conversation = open();
    conversation.call.write(
      Buffer.concat([
        framed(headersMessage('requestHeaders', chatHeaders, false)),
        framed(bodyMessage('requestBody', Buffer.from(chat()), false)),
        framed(bodyMessage('requestBody', Buffer.alloc(0), true)),
      ]),
    );
    await conversation.picked();
    await conversation.finish();
  });

  it('shares its connection with 300 others, which take turns', async () => {
    const all = Array.from({ length: 300 }, () => open().headers());
    for (const [i, conversation] of all.entries()) conversation.body(chat(i * 20), false);
    for (const conversation of all.toReversed()) conversation.body('', true);
    for (const [i, conversation] of all.entries())
      expect((await conversation.picked()).body.toString()).toBe(chat(i * 20));
    const ends = await Promise.all(all.map((conversation) => conversation.finish()));
    expect(ends.filter(({ code }) => code !== 0)).toEqual([]);
  });
});

describe('a subset hint', () => {
  it.each<[string, (one: string, other: string) => string | string[]]>([
    ['a list', (one) => [one]],
    ['comma text', (one) => one],
    ['a list of two', (one, other) => [one, other]],
    ['comma text of two', (one, other) => `${one},${other}`],
    ['comma text with spaces', (one, other) => ` ${one} , ${other}`],
    ['a list with strangers in it', (one) => ['192.0.2.1:80', one, 'no address', '']],
  ])('as %s restricts the pick and its fallbacks', async (_name, hint) => {
    for (const [i, one] of target.endpoints.entries()) {
      const other = target.endpoints[(i + 1) % target.endpoints.length];
      const value = hint(one, other);
      const allowed = value.includes(other) ? [one, other] : [one];
      const conversation = open(subsetHint(value)).headers().body(chat());
      const { endpoints } = await conversation.picked();
      expect(endpoints.filter((endpoint) => !allowed.includes(endpoint))).toEqual([]);
      await conversation.finish();
    }
  });

  it.each<[string, string | string[]]>([
    ['an empty list', []],
    ['empty text', ''],
    ['a list of strangers', ['192.0.2.1:80']],
    ['text of strangers', '192.0.2.1:80,192.0.2.2:80'],
  ])('that is %s allows nothing: 503', async (_name, value) => {
    expect((await open(subsetHint(value)).headers().body(chat()).refused()).status).toBe(503);
  });

  it('is no other key of that namespace, and not a header of its client', async () => {
    const metadata = { 'envoy.lb.subset_hint': { other: ['192.0.2.1:80'] }, other: { [subsetKey]: ['192.0.2.1:80'] } };
    const conversation = open({ metadata })
      .headers({ ...chatHeaders, [subsetKey]: '192.0.2.1:80' })
      .body(chat());
    expect(target.endpoints).toContain((await conversation.picked()).endpoints[0]);
    await conversation.finish();
  });
});

describe('a request without a body', () => {
  let single: Target;
  let own: Connection;
  beforeAll(async () => {
    // A request that names no model can be placed only where there is but one.
    single = await openTarget({}, 'one model');
    own = await connectTo(single);
  });
  afterAll(async () => {
    await own.close();
    await single.stop();
  });

  it('is picked an endpoint by its headers alone', async () => {
    const conversation = new Conversation(own).headers(chatHeaders, true);
    expect(single.endpoints).toContain(pickOf(await conversation.expect('requestHeaders')).endpoints[0]);
    await conversation.finish();
  });

  it('keeps to a subset hint, too; an empty one is 503', async () => {
    for (const one of single.endpoints) {
      const conversation = new Conversation(own, subsetHint([one])).headers(chatHeaders, true);
      expect(pickOf(await conversation.expect('requestHeaders')).endpoints).toEqual([one]);
      await conversation.finish();
    }
    for (const nobody of [[], '', ['192.0.2.1:80']])
      expect(await new Conversation(own, subsetHint(nobody)).headers(chatHeaders, true).refused()).toMatchObject({
        status: 503,
      });
  });

  it('may have trailers', async () => {
    const conversation = new Conversation(own).headers().trailers();
    pickOf(await conversation.expect('requestHeaders'));
    for (let answer = await conversation.answer(); answer?.kind !== 'requestTrailers';) {
      expect([answer?.kind, answer?.piece?.length, answer?.endOfStream]).toEqual(['requestBody', 0, false]);
      answer = await conversation.answer();
    }
    await conversation.finish();
  });
});

describe('what is refused', () => {
  const errors: [string, number, string, () => [Headers, string]][] = [
    ['a body that is not JSON', 400, 'invalid_json', () => [chatHeaders, 'not JSON']],
    ['a body that is no object', 400, 'invalid_json', () => [chatHeaders, '[]']],
    ['a body that ends too soon', 400, 'invalid_json', () => [chatHeaders, chat().slice(0, -2)]],
    ['a body without a model, where more than one is routable', 400, 'missing_model', () => [chatHeaders, '{}']],
    ['a model that is no text', 400, 'invalid_value', () => [chatHeaders, '{"model":7}']],
    [
      'a model that is given twice',
      400,
      'invalid_value',
      () => [chatHeaders, chat().replace('{', '{"model":"other",')],
    ],
    ['a model that nobody serves', 404, 'model_not_found', () => [chatHeaders, '{"model":"nobody"}']],
    [
      "a client's own kv_transfer_params",
      400,
      'invalid_value',
      () => [chatHeaders, chat(0, { kv_transfer_params: { do_remote_prefill: true } })],
    ],
    [
      'the same, spelt otherwise',
      400,
      'invalid_value',
      () => [chatHeaders, chat().replace('{', String.raw`{"kv\u005ftransfer_params":{},`)],
    ],
    ['a path that is not listed', 404, 'unknown_url', () => [{ ...chatHeaders, ':path': '/sleep' }, chat()]],
    [
      'a method that is not the path’s',
      405,
      'method_not_allowed',
      () => [{ ...chatHeaders, ':method': 'PUT' }, chat()],
    ],
    [
      'another content type',
      415,
      'unsupported_media_type',
      () => [{ ...chatHeaders, 'content-type': 'text/plain' }, chat()],
    ],
  ];

  it.runIf(ours).each(errors)(
    '%s: %i, an OpenAI error object, and the reason in a header',
    async (_name, status, code, make) => {
      const [headers, body] = make();
      const { headers: set, ...immediate } = await open().headers(headers).body(body).refused();
      expect(immediate.status).toBe(status);
      expect(JSON.parse(immediate.body)).toMatchObject({ error: { code, message: expect.any(String) } });
      expect(set['x-hermes-reason']).toBe(code);
      expect(set['content-type']).toMatch(/^application\/json/);
    },
  );

  it.runIf(!ours)('a body that is not JSON: 400', async () => {
    expect((await open().headers().body('not JSON').refused()).status).toBe(400);
  });

  it.runIf(ours)('where no endpoint is allowed: 503 with Retry-After', async () => {
    const { headers, body, status } = await open(subsetHint([])).headers().body(chat()).refused();
    expect([status, headers['x-hermes-reason']]).toEqual([503, 'no_ready_endpoint']);
    expect(headers['retry-after']).toMatch(/^[0-9]+$/);
    expect(JSON.parse(body)).toMatchObject({ error: { type: 'service_unavailable', code: 'no_ready_endpoint' } });
  });

  it.runIf(ours)('a body over the limit, as soon as it is over: 413', async () => {
    const conversation = open().headers();
    for (let sent = 0; sent < 17; sent++) conversation.body(Buffer.alloc(1024 * 1024, 0x20), false);
    expect(await conversation.refused()).toMatchObject({ status: 413 });
  });
});

describe('messages out of order', () => {
  const cases: [string, (conversation: Conversation) => void][] = [
    ['a body before headers', (call) => call.body(chat())],
    ['trailers before headers', (call) => call.trailers()],
    ['headers twice', (call) => call.headers().headers()],
    ['headers after a body', (call) => call.headers().body('{', false).headers()],
    ['a body after trailers', (call) => call.headers().body(chat(), false).trailers().body(chat())],
    ['a response body before response headers', (call) => call.headers().responseBody('x', false)],
    ['response trailers before response headers', (call) => call.headers().responseTrailers()],
    ['response headers twice', (call) => call.headers().responseHeaders().responseHeaders()],
  ];
  it.each(cases)('end the call with INVALID_ARGUMENT: %s', async (_name, send) => {
    const conversation = open();
    send(conversation);
    expect((await conversation.call.status).code).toBe(3);
  });

  it('end it with INVALID_ARGUMENT after the pick, too', async () => {
    for (const send of [
      (call: Conversation) => call.body('more'),
      (call: Conversation) => call.headers(),
      (call: Conversation) => call.responseBody('x', true),
    ]) {
      const conversation = open().headers().body(chat());
      await conversation.picked();
      send(conversation);
      expect((await conversation.call.status).code).toBe(3);
    }
  });

  it('are not: response headers alone, as it is where another filter has refused the request', async () => {
    const conversation = open().responseHeaders({ ':status': '401' });
    await conversation.expect('responseHeaders');
    conversation.responseBody('no', true);
    expect((await conversation.bodyTo('responseBody')).body.toString()).toBe('no');
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it('are not: response headers before the request’s end, as a gateway’s own answers have it', async () => {
    const conversation = open().headers().body('{', false).responseHeaders({ ':status': '413' });
    for (;;) {
      const answer = await conversation.answer();
      if (answer === null) throw new Error(JSON.stringify(await conversation.call.status));
      if (answer.kind === 'responseHeaders') break;
    }
    conversation.responseBody('too large', true);
    expect((await conversation.bodyTo('responseBody')).body.toString()).toBe('too large');
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });
});

describe('a message that is none', () => {
  const garbage: [string, Buffer][] = [
    ['a field that ends too soon', Buffer.from([0x12, 0x7f, 1])],
    ['a wire type that there is not', Buffer.from([0x17])],
    ['a tag that never ends', Buffer.alloc(20, 0xff)],
    ['text', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ];
  it.each(garbage)('ends its call with an error status, and no other: %s', async (_name, bytes) => {
    const other = open().headers();
    const conversation = open();
    conversation.call.send(bytes);
    expect((await conversation.call.status).code).toBeGreaterThan(0);
    other.body(chat());
    await other.picked();
    await other.finish();
  });

  it('is one where only unknown fields are added', async () => {
    const strange = new Message().bytes(200, 'x').number(201, 7).double(202, 1.5);
    const message = Buffer.concat([headersMessage('requestHeaders', chatHeaders, false), strange.finish()]);
    const conversation = open();
    conversation.call.send(message);
    conversation.body(chat());
    await conversation.picked();
    await conversation.finish();
  });

  it.each([
    ['compressed though nothing was agreed', Buffer.concat([Buffer.of(1, 0, 0, 0, 3), Buffer.from('abc')])],
    ['longer than anybody takes', Buffer.of(0, 0xff, 0xff, 0xff, 0xff)],
  ])('ends its call with an error status: %s', async (_name, bytes) => {
    const conversation = open();
    conversation.call.write(bytes);
    expect((await conversation.call.status).code).toBeGreaterThan(0);
  });
});

describe('the engine’s answer', () => {
  async function served(): Promise<Conversation> {
    const conversation = open().headers().body(chat());
    await conversation.picked();
    return conversation;
  }

  it('passes piece by piece: each is answered before the next is there', async () => {
    const conversation = await served();
    conversation.responseHeaders({ ':status': '200', 'content-type': 'text/event-stream' });
    await conversation.expect('responseHeaders');
    for (let i = 0; i < 20; i++) {
      const event = `data: {"choices":[{"delta":{"content":"${i}"}}]}\n\n`;
      conversation.responseBody(event, false);
      const { piece, endOfStream } = await conversation.expect('responseBody');
      expect([piece?.toString(), endOfStream]).toEqual([event, false]);
    }
    conversation.responseBody('data: [DONE]\n\n', false);
    expect((await conversation.expect('responseBody')).piece?.toString()).toBe('data: [DONE]\n\n');
    conversation.responseBody('', true);
    expect((await conversation.expect('responseBody')).endOfStream).toBe(true);
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it('passes as it is whatever it is: large pieces in parts of at most 62,000 bytes', async () => {
    const conversation = await served();
    conversation.responseHeaders();
    await conversation.expect('responseHeaders');
    const body = Buffer.alloc(1_000_000, '\0\xff{"usage":', 'latin1');
    conversation.responseBody(body, true);
    const back = await conversation.bodyTo('responseBody');
    expect(back.body.equals(body)).toBe(true);
    expect(Math.max(...back.pieces.map(({ length }) => length))).toBeLessThanOrEqual(pieceBytes);
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it('ends with trailers, which are answered', async () => {
    const conversation = await served();
    conversation.responseHeaders().responseBody('{}', false).responseTrailers({ 'x-sum': '1' });
    await conversation.expect('responseHeaders');
    expect((await conversation.expect('responseBody')).endOfStream).toBe(false);
    await conversation.expect('responseTrailers');
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it('may have no body', async () => {
    const conversation = await served();
    conversation.responseHeaders({ ':status': '204' }, true);
    await conversation.expect('responseHeaders');
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });

  it('comes with the pick and the endpoint that served it as metadata, which change nothing', async () => {
    const conversation = await served();
    const [one] = target.endpoints;
    const metadata = { 'envoy.lb': { [destination]: one, 'x-gateway-destination-endpoint-served': one } };
    conversation.responseHeaders(okHeaders, false, { metadata });
    expect((await conversation.expect('responseHeaders')).metadata).toBeNull();
    conversation.responseBody('{}', true);
    await conversation.bodyTo('responseBody');
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBe(0);
  });
});

describe('a call', () => {
  it('of a gateway that says no more before its request is complete ends', async () => {
    const conversation = open().headers();
    conversation.call.halfClose();
    expect((await conversation.call.status).code).toBeGreaterThanOrEqual(0);
  });

  it('of nothing at all ends', async () => {
    const { call } = open();
    call.halfClose();
    expect((await call.status).code).toBeGreaterThanOrEqual(0);
  });

  it('of another method or service is UNIMPLEMENTED', async () => {
    for (const path of ['/envoy.service.ext_proc.v3.ExternalProcessor/Other', '/other.Service/Process', '/']) {
      const call = connection.call(path);
      call.halfClose();
      expect((await call.status).code).toBe(12);
    }
  });

  it('that is reset hurts no other', async () => {
    const all = Array.from({ length: 40 }, () => open().headers().body(chat(100_000), false));
    for (const [i, conversation] of all.entries()) if (i % 2 === 0) conversation.call.reset();
    const rest = all.filter((_, i) => i % 2 === 1);
    for (const conversation of rest) conversation.body('', true);
    for (const conversation of rest) await conversation.picked();
    for (const conversation of rest) expect((await conversation.finish()).code).toBe(0);
  });
});

describe('gRPC health', () => {
  const serving = 1;
  const ask = async (service: string): Promise<number> => {
    const health = await connectTo({ ...target, address: target.health ?? '', tls: false });
    try {
      const message = service === '' ? new Message() : new Message().bytes(1, service);
      return new Fields(await health.unary(healthPath, message.finish())).number(1);
    } finally {
      await health.close();
    }
  };

  it.each(['', 'liveness', 'readiness', 'envoy.service.ext_proc.v3.ExternalProcessor', 'inference-extension'])(
    'of "%s" is SERVING',
    async (service) => {
      if (target.health !== null) expect(await ask(service)).toBe(serving);
    },
  );

  it('of a service that there is not is NOT_FOUND', async () => {
    if (target.health !== null) await expect(ask('nobody')).rejects.toMatchObject({ code: 5 });
  });
});
