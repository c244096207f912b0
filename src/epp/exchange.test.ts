import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeTracer } from '../observability/tracing/tracer.fixture.ts';
import { Trails } from '../observability/tracing/trail.ts';
import { GrpcStatus } from './carrier/carrier.ts';
import { books, Call, chat, deadline, emptyBooks, openRoom, placed, type Room } from './picker.fixture.ts';
import { Phase } from './wire/request.ts';

let room: Room;

beforeEach(() => {
  room = openRoom();
});

afterEach(() => {
  expect(books(room)).toEqual(emptyBooks);
});

const answered = ['requestHeaders', 'requestBody'];

describe('Exchange: the request', () => {
  it.each<[string, (call: Call) => Call, string[]]>([
    ['one piece that ends the stream', (call) => call.head().body(chat(), true), answered],
    [
      'pieces and an empty end',
      (call) => call.head().body(chat().slice(0, 9)).body(chat().slice(9)).body('', true),
      answered,
    ],
    ['trailers instead of an end', (call) => call.head().body(chat()).trailers(), [...answered, 'requestTrailers']],
    ['nothing after the headers', (call) => call.head({ endOfStream: true }), ['requestHeaders']],
    ['an empty body', (call) => call.head().body('', true), answered],
  ])('is answered in the order headers, body, trailers: %s', (_name, say, kinds) => {
    const call = say(new Call(room));
    expect(call.kinds()).toEqual(kinds);
    expect(call.ended).toBeNull();
    const last = call.answers.findLast(({ kind }) => kind === 'requestBody');
    if (last !== undefined) expect(last.endOfStream).toBe(!kinds.includes('requestTrailers'));
    call.close();
  });

  it('is not answered before it is whole', () => {
    const call = new Call(room).head().body(chat());
    expect(call.answers).toEqual([]);
    call.close();
  });

  it('goes to the pick, with fallbacks in order, by header and by metadata', () => {
    const call = placed(room);
    const wanted = '10.0.0.0:8000,10.0.0.1:8000,10.0.0.2:8000';
    expect(call.sets('requestHeaders', 'x-gateway-destination-endpoint')).toBe(wanted);
    expect(call.answers[0]).toMatchObject({
      clearRouteCache: true,
      dynamicMetadata: { 'envoy.lb': { 'x-gateway-destination-endpoint': wanted } },
    });
    expect(room.states.inFlight[0]).toBe(1);
    call.close();
  });

  it('names the pick alone where fallbacks are off', () => {
    room = openRoom({ settings: { fallbacks: 0 } });
    const call = placed(room);
    expect(call.sets('requestHeaders', 'x-gateway-destination-endpoint')).toBe('10.0.0.0:8000');
    call.close();
  });

  it('keeps its bytes, in pieces of at most 62,000', () => {
    const text = chat('m', { filler: 'x'.repeat(3 * 1024 * 1024), number: 1 });
    const bytes = Buffer.from(text.replace('"number":1', '"number":9223372036854775807'));
    const call = new Call(room).head();
    const sizes = [1, 1024 * 1024, 3, 7, 700_001];
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = sizes[i % sizes.length];
      call.body(bytes.subarray(at, at + size));
      at += size;
    }
    call.body('', true);
    const pieces = call.answers.filter(({ kind }) => kind === 'requestBody');
    expect(call.bytes('requestBody').equals(bytes)).toBe(true);
    expect(Math.max(...pieces.map(({ body }) => body.length))).toBe(62_000);
    expect(pieces.map(({ endOfStream }) => endOfStream)).toEqual([...pieces.slice(1).map(() => false), true]);
    expect(call.sets('requestHeaders', 'content-length')).toBe(String(bytes.length));
    expect(room.picker.bodies.held).toBe(0);
    call.close();
  });

  it('waits where the gateway takes no more, and holds the body until it is gone', () => {
    const bytes = chat('m', { filler: 'x'.repeat(200_000) });
    const call = new Call(room).head().body(bytes);
    call.flowing = false;
    call.body('', true);
    expect(call.kinds()).toEqual(answered);
    expect(room.picker.bodies.held).toBe(bytes.length);
    call.drain();
    expect(call.bytes('requestBody').toString()).toBe(bytes);
    expect(room.picker.bodies.held).toBe(0);
    call.close();
  });

  it('goes on with the model name that the backend knows, and the length of what goes', () => {
    room = openRoom({ backend: { rewriteModel: 'm-fp8' }, group: { models: ['m-fp8'] } });
    const call = placed(room, '{"n":1.0,"model" : "m","big":9223372036854775807}');
    const sent = call.bytes('requestBody').toString();
    expect(sent).toBe('{"n":1.0,"model" : "m-fp8","big":9223372036854775807}');
    expect(call.sets('requestHeaders', 'content-length')).toBe(String(sent.length));
    call.close();
  });

  it('is counted with its policy', () => {
    const call = placed(room).replyHead().replyBody('{}', true).halfClose();
    expect(call.ended?.status).toBe(GrpcStatus.ok);
    expect(room.finished).toMatchObject([{ group: 'group', status: 200, broken: false }]);
    expect(room.outcomes).toEqual(['0 ok']);
  });
});

describe('Exchange: messages out of order', () => {
  const say = (phase: (typeof Phase)[keyof typeof Phase]) => (call: Call) => call.say({ phase });
  it.each<[string, ((call: Call) => Call)[]]>([
    ['a body before the headers', [(call) => call.body('x')]],
    ['trailers before the headers', [(call) => call.trailers()]],
    ['headers twice', [(call) => call.head(), (call) => call.head()]],
    ['a body after the end in the headers', [(call) => call.head({ endOfStream: true }), (call) => call.body('x')]],
    ['a body after its end', [(call) => call.head().body(chat(), true), (call) => call.body('x')]],
    ['trailers after the end', [(call) => call.head().body(chat(), true), (call) => call.trailers()]],
    ['trailers twice', [(call) => call.head().body(chat()).trailers(), (call) => call.trailers()]],
    ['a response body without its headers', [(call) => placed0(call), say(Phase.responseBody)]],
    ['response trailers without headers', [(call) => placed0(call), say(Phase.responseTrailers)]],
    ['response headers twice', [(call) => placed0(call).replyHead(), (call) => call.replyHead()]],
    [
      'a response body after its end',
      [(call) => placed0(call).replyHead().replyBody('', true), (call) => call.replyBody('x')],
    ],
    [
      'response trailers after the end',
      [(call) => placed0(call).replyHead().replyBody('', true), (call) => call.replyTrailers()],
    ],
    [
      'a response body after an end in the headers',
      [(call) => placed0(call).replyHead(204, { endOfStream: true }), (call) => call.replyBody('x')],
    ],
    ['nothing that is known', [(call) => call.raw(Buffer.from([0x52, 0]))]],
    ['no message at all', [(call) => call.raw(Buffer.from([0x12, 5, 1]))]],
  ])('end the call with INVALID_ARGUMENT: %s', (_name, steps) => {
    const call = new Call(room);
    for (const step of steps) {
      expect(call.ended).toBeNull();
      step(call);
    }
    expect(call.ended?.status).toBe(GrpcStatus.invalidArgument);
    expect(call.ended?.message).not.toBe('');
  });

  const placed0 = (call: Call): Call => call.head().body(chat()).body('', true);
});

describe("Exchange: the gateway's own replies", () => {
  it.each<[string, (call: Call) => Call]>([
    ['before anything', (call) => call],
    ['before the body', (call) => call.head()],
    ['in the middle of the body', (call) => call.head().body('{"mod')],
  ])('are in order before the request is whole: %s', (_name, before) => {
    const call = before(new Call(room)).replyHead(413, { headers: [] });
    expect(room.picker.bodies.held).toBe(0);
    call.body('late').trailers().replyBody('too large', true).halfClose();
    expect(call.kinds()).toEqual(['responseHeaders', 'responseBody']);
    expect(call.ended?.status).toBe(GrpcStatus.ok);
    expect(room.refused).toEqual([413]);
    expect(room.outcomes).toEqual([]);
  });

  it.each<[string, number, [string, string][], string]>([
    ['no upstream', 503, [['content-type', 'text/plain']], '0 connect_failure'],
    ['no upstream, without a body', 503, [], '0 connect_failure'],
    ['a time-out', 504, [['content-type', 'text/plain']], '0 timeout'],
    ["an engine's 503", 503, [['content-type', 'application/json']], '0 server_error'],
    [
      "an engine's plain 500",
      500,
      [
        ['content-type', 'text/plain'],
        ['x-envoy-upstream-service-time', '3'],
      ],
      '0 server_error',
    ],
    ["an engine's 500 without that header", 500, [['content-type', 'text/plain']], '0 server_error'],
    ["an engine's 400", 400, [['content-type', 'application/json']], '0 ok'],
  ])('are told from engines: %s', (_name, status, headers, outcome) => {
    placed(room).replyHead(status, { headers }).replyBody('x', true).halfClose();
    expect(room.outcomes).toEqual([outcome]);
    expect(room.finished).toMatchObject([{ status, broken: outcome !== '0 ok' && outcome !== '0 server_error' }]);
  });
});

describe('Exchange: who has served', () => {
  it('leaves all as it is where it was the pick', () => {
    const call = placed(room).replyHead(200, { served: '10.0.0.0:8000' });
    expect(room.states.inFlight[0]).toBe(1);
    call.replyBody('{}', true).halfClose();
    expect(room.outcomes).toEqual(['0 ok']);
  });

  it('moves the books to the fallback that has served, and reports the pick', () => {
    const call = placed(room).replyHead(200, { served: '10.0.0.1:8000' });
    expect([room.states.inFlight[0], room.states.inFlight[1]]).toEqual([0, 1]);
    expect(room.outcomes).toEqual(['0 connect_failure']);
    call.replyBody('{}', true).halfClose();
    expect(room.outcomes).toEqual(['0 connect_failure', '1 ok']);
    expect(room.retried).toBe(1);
  });

  it('reports the pick and the last that was tried where the gateway has reached none', () => {
    const headers: [string, string][] = [['content-type', 'text/plain']];
    placed(room).replyHead(503, { served: '10.0.0.2:8000', headers }).replyBody('x', true).halfClose();
    expect(room.outcomes).toEqual(['0 connect_failure', '2 connect_failure']);
  });

  it('stays with the pick where nobody knows who has served', () => {
    placed(room).replyHead(200, { served: '10.9.9.9:1' }).replyBody('{}', true).halfClose();
    expect(room.outcomes).toEqual(['0 ok']);
  });
});

describe('Exchange: every ending leaves the books at zero', () => {
  const steps: [string, (call: Call) => Call][] = [
    ['request headers', (call) => call.head()],
    ['a piece of the body', (call) => call.body(chat())],
    ['the end of the body', (call) => call.body('', true)],
    ['response headers', (call) => call.replyHead(200, { headers: [['content-type', 'text/event-stream']] })],
    ['a piece of the response', (call) => call.replyBody('data: {}\n\n')],
    ['the end of the response', (call) => call.replyTrailers()],
  ];
  const endings: [string, (call: Call) => void][] = [
    ['a reset', (call) => void call.close()],
    ['a half-close', (call) => void call.halfClose()],
    ['a malformed message', (call) => void call.raw(Buffer.from([0xff]))],
    [
      'a message out of order',
      (call) => void call.say({ phase: Phase.requestHeaders }).say({ phase: Phase.requestHeaders }),
    ],
    ['the end of the router', () => void room.picker.cutAll()],
    ['the deadline', (call) => (room.clock.advance(deadline + 100), void call.close())],
  ];
  const cases = endings.flatMap(([ending, end]) =>
    [...steps.keys(), steps.length].map((count): [string, string, number, (call: Call) => void] => [
      ending,
      count === 0 ? 'nothing' : steps[count - 1][0],
      count,
      end,
    ]),
  );
  it.each(cases)('%s after %s', (_ending, _step, count, end) => {
    const call = new Call(room);
    for (const [, step] of steps.slice(0, count)) step(call);
    end(call);
    if (call.ended === null) call.close();
    expect(room.picker.inFlight).toBe(0);
  });

  it('counts a client that leaves as 499, and blames no engine', () => {
    placed(room).replyHead().close();
    expect(room.finished).toMatchObject([{ status: 499, broken: true }]);
    expect(room.outcomes).toEqual([]);
  });

  it('frees the prompt with the first byte of the answer, and not with its headers', () => {
    const call = placed(room).replyHead();
    expect(room.states.ownWaiting[0]).toBe(1);
    call.replyBody('');
    expect(room.states.ownWaiting[0]).toBe(1);
    call.replyBody('{');
    expect([room.states.ownWaiting[0], room.states.inFlight[0]]).toEqual([0, 1]);
    call.close();
  });

  it('any order of any messages', () => {
    const tracer = new FakeTracer();
    room = openRoom({ trails: new Trails({ tracer, accessLog: null, now: () => 0 }) });
    const messages: ((call: Call) => unknown)[] = [
      (call) => call.head(),
      (call) => call.head({ endOfStream: true }),
      (call) => call.body(chat()),
      (call) => call.body(chat(), true),
      (call) => call.trailers(),
      (call) => call.replyHead(),
      (call) => call.replyHead(503, { endOfStream: true }),
      (call) => call.replyBody('x'),
      (call) => call.replyBody('x', true),
      (call) => call.replyTrailers(),
      (call) => call.halfClose(),
      (call) => call.drain(),
      (call) => call.raw(Buffer.from([0x12, 9])),
      () => room.clock.advance(deadline / 2),
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...messages), { maxLength: 12 }), (order) => {
        const call = new Call(room);
        for (const say of order) say(call);
        call.close();
        expect(books(room)).toEqual(emptyBooks);
        expect(tracer.spans.filter(({ ends }) => ends !== 1)).toEqual([]);
        tracer.spans.length = 0;
      }),
      { numRuns: 300 },
    );
  });
});

describe('Exchange: the deadline', () => {
  it.each<[string, (call: Call) => Call]>([
    ['silent', (call) => call],
    ['has sent headers', (call) => call.head()],
    ['has sent half a body', (call) => call.head().body('{')],
  ])('ends a call with an error that %s', (_name, say) => {
    const call = say(new Call(room));
    room.clock.advance(deadline - 100);
    expect(call.ended).toBeNull();
    room.clock.advance(200);
    expect(call.ended?.status).toBe(GrpcStatus.deadlineExceeded);
  });

  it('is no limit for engines', () => {
    const call = placed(room);
    room.clock.advance(100 * deadline);
    expect(call.ended).toBeNull();
    call.replyHead();
    room.clock.advance(100 * deadline);
    expect(call.ended).toBeNull();
    call.close();
  });

  it('ends a call whose answer is whole and whose peer forgets it', () => {
    const call = placed(room).replyHead(200, { endOfStream: true });
    expect(room.picker.inFlight).toBe(0);
    expect(call.ended).toBeNull();
    room.clock.advance(deadline + 100);
    expect(call.ended?.status).toBe(GrpcStatus.ok);
  });
});

describe('Exchange: the router stops', () => {
  it('gives an unanswered request a last word', () => {
    const call = new Call(room).head();
    room.picker.cutAll();
    expect(call.error()).toBe('503 overloaded');
    expect(call.ended?.status).toBe(GrpcStatus.ok);
  });

  it('breaks an answer off with an error', () => {
    const call = placed(room).replyHead();
    room.picker.cutAll();
    expect(call.ended?.status).toBe(GrpcStatus.unavailable);
    expect(room.finished).toMatchObject([{ status: 503, broken: true }]);
  });
});

describe('Exchange: a slow gateway', () => {
  it('is not sent more of an answer than it takes', () => {
    const call = placed(room).replyHead();
    call.flowing = false;
    call.replyBody('a');
    expect(call.paused).toBe(true);
    call.drain();
    expect(call.paused).toBe(false);
    call.replyBody('b', true).halfClose();
    expect(call.bytes('responseBody').toString()).toBe('ab');
  });
});
