import { once } from 'node:events';
import { constants } from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import { ClientCall, echo, framed, Rig, type Behaviour, type RecordedCall } from './carrier.fixture.ts';
import { GrpcStatus, type AcceptCall } from './carrier.ts';
import { maxMessageBytes } from './message-reader.ts';

let rig: Rig;
afterEach(() => rig.close());

async function start(behaviour: Behaviour | AcceptCall): Promise<Rig> {
  rig = new Rig(behaviour);
  return rig.listen();
}

async function firstCall(): Promise<RecordedCall> {
  while (rig.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  return rig.calls[0] ?? expect.fail('no call came');
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const text = (message: Buffer): string => message.toString();

describe('a call', () => {
  it('carries messages both ways and ends with OK', async () => {
    await start(echo);
    const call = new ClientCall(rig.connect()).send(Buffer.from('one'), Buffer.alloc(0), Buffer.from('three'));
    expect((await call.received(3)).map(text)).toEqual(['one', '', 'three']);
    call.send(Buffer.from('four')).stream.end();
    await call.closed;
    expect(call.messages.map(text)).toEqual(['one', '', 'three', 'four']);
    expect([call.headers[':status'], call.headers['content-type'], call.status]).toEqual([
      200,
      'application/grpc',
      '0',
    ]);
    const served = await firstCall();
    await served.closed;
    expect([served.halfCloses, served.closes]).toEqual([1, [false]]);
    expect(rig.carrier.calls).toBe(0);
  });

  it.each([
    ['of 1 MiB', 1024 * 1024],
    ['just not copied', 16 * 1024 + 1],
    ['as large as is taken', maxMessageBytes],
  ])('carries a message %s', async (_name, size) => {
    await start(echo);
    const call = new ClientCall(rig.connect());
    const message = Buffer.alloc(size, 'abc');
    call.send(message).stream.end();
    await call.closed;
    expect(call.messages[0]?.equals(message)).toBe(true);
    expect(call.status).toBe('0');
  });

  it('that says nothing before its end is answered by trailers alone', async () => {
    await start({
      onMessage: (call) => call.stream.end(GrpcStatus.invalidArgument, 'schlecht: 100 % daneben, nämlich "x"\n'),
    });
    const call = new ClientCall(rig.connect()).send(Buffer.from('x'));
    await call.closed;
    expect([call.headers[':status'], call.status]).toEqual([200, '3']);
    expect(call.statusText).toBe('schlecht: 100 %25 daneben, n%C3%A4mlich "x"%0A');
    expect(decodeURIComponent(call.statusText)).toBe('schlecht: 100 % daneben, nämlich "x"\n');
    expect((await firstCall()).closes).toEqual([false]);
  });

  it('that is ended while the peer still speaks is over for both', async () => {
    await start({
      onMessage: (call, message) => {
        call.stream.send(Buffer.from(message));
        call.stream.end(GrpcStatus.unavailable, 'enough');
      },
    });
    const call = new ClientCall(rig.connect()).send(Buffer.from('one'), Buffer.from('two'));
    await call.closed;
    expect([call.messages.map(text), call.status, call.statusText]).toEqual([['one'], '14', 'enough']);
    const served = await firstCall();
    await served.closed;
    expect([served.messages.map(text), served.halfCloses, served.closes]).toEqual([['one'], 0, [false]]);
  });

  it('may be ended by whoever makes its handler', async () => {
    await start({ onAccept: (call) => call.stream.end(GrpcStatus.resourceExhausted) });
    const call = new ClientCall(rig.connect()).send(Buffer.from('one'));
    await call.closed;
    expect(call.status).toBe('8');
    await (
      await firstCall()
    ).closed;
    expect(rig.calls[0]?.messages).toEqual([]);
  });

  it('takes nothing after its end', async () => {
    await start({
      onMessage: (call) => {
        call.stream.send(Buffer.from('first'));
        call.stream.end(GrpcStatus.ok);
        expect(call.stream.send(Buffer.from('second'))).toBe(true);
        call.stream.end(GrpcStatus.internal);
      },
    });
    const call = new ClientCall(rig.connect()).send(Buffer.from('x'));
    await call.closed;
    expect([call.messages.map(text), call.status]).toEqual([['first'], '0']);
    const served = await firstCall();
    await served.closed;
    expect(served.stream.send(Buffer.from('third'))).toBe(true);
    served.stream.end(GrpcStatus.internal);
    served.stream.pause();
    served.stream.resume();
    await turns(3);
    expect([served.closes, rig.faults]).toEqual([[false], []]);
  });

  it('may be answered later, after the peer has said all', async () => {
    await start({});
    const call = new ClientCall(rig.connect()).send(Buffer.from('x'));
    call.stream.end();
    const served = await firstCall();
    while (served.halfCloses === 0) await turns(1);
    served.stream.send(Buffer.from('late'));
    served.stream.end(GrpcStatus.ok);
    await call.closed;
    expect([call.messages.map(text), call.status]).toEqual([['late'], '0']);
  });
});

describe('what is no call of ours is refused', () => {
  const cases: Record<string, { headers: Record<string, string>; http: number; grpc: string }> = {
    'another method of the service': {
      headers: { ':path': '/envoy.service.ext_proc.v3.ExternalProcessor/Other' },
      http: 200,
      grpc: '12',
    },
    'another service': {
      headers: { ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo' },
      http: 200,
      grpc: '12',
    },
    'a path with more behind it': {
      headers: { ':path': '/envoy.service.ext_proc.v3.ExternalProcessor/Process?x' },
      http: 200,
      grpc: '12',
    },
    'another HTTP method': { headers: { ':method': 'PUT' }, http: 405, grpc: '' },
    JSON: { headers: { 'content-type': 'application/json' }, http: 415, grpc: '' },
    'grpc-web': { headers: { 'content-type': 'application/grpc-web+proto' }, http: 415, grpc: '' },
    'grpc of the codec proto is taken': { headers: { 'content-type': 'application/grpc+proto' }, http: 200, grpc: '0' },
  };
  it.each(Object.entries(cases))('%s', async (_name, { headers, http, grpc }) => {
    await start(echo);
    const call = new ClientCall(rig.connect(), headers).send(Buffer.from('x'));
    call.stream.end();
    await call.closed;
    expect([call.headers[':status'], call.status]).toEqual([http, grpc]);
    expect(rig.carrier.calls).toBe(0);
  });

  it('also when it goes on speaking', async () => {
    await start(echo);
    const call = new ClientCall(rig.connect(), { ':path': '/other' }).send(Buffer.alloc(200_000));
    await call.closed;
    expect(call.status).toBe('12');
  });
});

describe('frames that end a call', () => {
  const tooLarge = Buffer.concat([Buffer.of(0), Buffer.alloc(4, 0xff)]);
  const cases: Record<string, { bytes: Buffer; status: string }> = {
    'a compressed message': { bytes: framed(Buffer.from('x'), 1), status: '12' },
    'a message that is too large': { bytes: tooLarge, status: '8' },
    'the end within a message': { bytes: framed(Buffer.from('abc')).subarray(0, 6), status: '13' },
    'the end within a prefix': { bytes: Buffer.of(0, 0), status: '13' },
  };
  it.each(Object.entries(cases))('%s', async (_name, { bytes, status }) => {
    await start(echo);
    const call = new ClientCall(rig.connect()).send(Buffer.from('before'));
    await call.received(1);
    call.stream.end(bytes);
    await call.closed;
    expect([call.messages.map(text), call.status]).toEqual([['before'], status]);
    const served = await firstCall();
    await served.closed;
    expect([served.messages.length, served.halfCloses, served.closes]).toEqual([1, 0, [true]]);
  });
});

describe('a handler that throws', () => {
  const places: Record<string, Behaviour | AcceptCall> = {
    'when it is made': () => {
      throw new Error('oh');
    },
    'on a message': {
      onMessage: () => {
        throw new Error('oh');
      },
    },
    'on the half-close': {
      onHalfClose: () => {
        throw new Error('oh');
      },
    },
  };
  it.each(Object.entries(places))('%s ends its own call, is told of, and harms no other', async (_name, behaviour) => {
    await start(behaviour);
    const call = new ClientCall(rig.connect()).send(Buffer.from('x'));
    call.stream.end();
    await call.closed;
    expect([call.status, call.statusText]).toEqual(['13', 'internal error']);
    expect(rig.faults.map((fault) => fault.message)).toEqual(['oh']);
    for (const served of rig.calls) await served.closed;
    expect(rig.calls.flatMap((served) => served.closes)).toEqual(rig.calls.map(() => true));
    expect(rig.carrier.calls).toBe(0);
  });
});

describe('backpressure', () => {
  it('a paused call gets no message, not even of the chunk that it is in, and all of them in order later', async () => {
    await start({
      onMessage: (call, message) => {
        if (message.toString() === '2') call.stream.pause();
      },
    });
    const call = new ClientCall(rig.connect());
    for (const message of ['1', '2', '3', '4']) call.send(Buffer.from(message));
    call.send(Buffer.from('5'), Buffer.from('6')).stream.end();
    const served = await firstCall();
    while (served.messages.length < 2) await turns(1);
    await turns(20);
    expect([served.messages.map(text), served.halfCloses]).toEqual([['1', '2'], 0]);
    served.stream.resume();
    while (served.halfCloses === 0) await turns(1);
    expect(served.messages.map(text)).toEqual(['1', '2', '3', '4', '5', '6']);
    served.stream.end(GrpcStatus.ok);
    await call.closed;
    expect(call.status).toBe('0');
  });

  it('pausing and resuming within a message loses nothing', async () => {
    await start({
      onMessage: (call) => {
        call.stream.pause();
        call.stream.resume();
      },
      onHalfClose: (call) => call.stream.end(GrpcStatus.ok),
    });
    const call = new ClientCall(rig.connect());
    const messages = Array.from({ length: 500 }, (_, index) => Buffer.alloc(index * 7, index));
    call.send(...messages).stream.end();
    await call.closed;
    expect(rig.calls[0]?.messages.every((message, index) => message.equals(messages[index] ?? Buffer.of(1)))).toBe(
      true,
    );
    expect([rig.calls[0]?.messages.length, call.status]).toEqual([500, '0']);
  });

  it('a call that is paused before its first message waits', async () => {
    await start({ onAccept: (call) => call.stream.pause(), onHalfClose: (call) => call.stream.end(GrpcStatus.ok) });
    const call = new ClientCall(rig.connect()).send(Buffer.from('1'));
    call.stream.end();
    const served = await firstCall();
    await turns(20);
    expect(served.messages).toEqual([]);
    served.stream.resume();
    await call.closed;
    expect(served.messages.map(text)).toEqual(['1']);
  });

  it('a paused call that is ended is over, whatever it has not read', async () => {
    await start({ onMessage: (call) => call.stream.pause() });
    const call = new ClientCall(rig.connect()).send(Buffer.from('1'));
    const served = await firstCall();
    while (served.messages.length === 0) await turns(1);
    call.send(Buffer.from('2')).stream.end();
    await turns(20);
    served.stream.end(GrpcStatus.ok);
    await Promise.all([call.closed, served.closed]);
    expect([call.status, served.messages.map(text), served.halfCloses, served.closes]).toEqual([
      '0',
      ['1'],
      0,
      [false],
    ]);
  });

  it('a call that is ended and then paused is over too', async () => {
    await start({
      onMessage: (call) => {
        call.stream.end(GrpcStatus.ok);
        call.stream.pause();
      },
    });
    const call = new ClientCall(rig.connect()).send(Buffer.from('1'));
    call.stream.end(Buffer.alloc(300_000));
    const served = await firstCall();
    await Promise.all([call.closed, served.closed]);
    expect([call.status, served.closes]).toEqual(['0', [false]]);
  });

  it('a paused call takes no more than a window from its peer', async () => {
    await start({ onMessage: (call) => call.stream.pause() });
    const session = rig.connect();
    const call = new ClientCall(session);
    const message = Buffer.alloc(256 * 1024);
    for (let sent = 0; sent < 64; sent += 1) call.send(message);
    const served = await firstCall();
    await turns(100);
    expect(call.stream.writableLength).toBeGreaterThan(12 * 1024 * 1024);
    expect(served.messages.length).toBe(1);
    // Another call on the same connection is not held up.
    const other = new ClientCall(session).send(Buffer.from('other'));
    while (rig.calls[1]?.messages.length !== 1) await turns(1);
    other.stream.close();
  });

  it('a peer that does not read makes send say so, and onDrain comes when it reads again', async () => {
    const answers: boolean[] = [];
    await start({
      onMessage: (call) => {
        for (let sent = 0; sent < 10; sent += 1) answers.push(call.stream.send(Buffer.alloc(100_000)));
      },
      onDrain: (call) => call.stream.end(GrpcStatus.ok),
    });
    const call = new ClientCall(rig.connect());
    call.stream.pause();
    call.send(Buffer.from('x'));
    const served = await firstCall();
    while (served.messages.length === 0) await turns(1);
    await turns(30);
    expect([answers.at(-1), served.drains]).toEqual([false, 0]);
    call.stream.resume();
    await call.closed;
    expect([call.messages.length, call.status, served.drains]).toEqual([10, '0', 1]);
  });
});

describe('a call that is broken off', () => {
  const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR } = constants;
  const codes: [string, number][] = [
    ['as clients do', NGHTTP2_CANCEL],
    ['without an error, as Envoy does', NGHTTP2_NO_ERROR],
    ['for an error', NGHTTP2_INTERNAL_ERROR],
  ];
  for (const paused of [false, true]) {
    it.each(codes)(`by a reset %s is over once${paused ? ', paused or not' : ''}`, async (_name, code) => {
      await start({
        onMessage: (call) => {
          if (paused) call.stream.pause();
        },
      });
      const session = rig.connect();
      const call = new ClientCall(session).send(Buffer.from('1'), Buffer.from('2'));
      const served = await firstCall();
      while (served.messages.length === 0) await turns(1);
      // What a paused call has not read yet must not keep it open.
      call.send(Buffer.from('3'));
      await turns(20);
      call.stream.close(code);
      await served.closed;
      await turns(5);
      expect([served.closes, rig.faults, rig.carrier.calls]).toEqual([[true], [], 0]);
      const next = new ClientCall(session).send(Buffer.from('next'));
      while (rig.calls[1]?.messages.length !== 1) await turns(1);
      next.stream.close();
    });
  }

  it('by the end of its connection is over once', async () => {
    await start(echo);
    const session = rig.connect();
    const calls = [1, 2, 3].map((index) => new ClientCall(session).send(Buffer.from(String(index))));
    await Promise.all(calls.map((call) => call.received(1)));
    session.destroy();
    await Promise.all(rig.calls.map((call) => call.closed));
    await turns(5);
    expect(rig.calls.map((call) => call.closes)).toEqual([[true], [true], [true]]);
    expect(rig.carrier.calls).toBe(0);
  });

  it('by its peer after the answer was given is not broken, or is, but over once', async () => {
    await start(echo);
    const session = rig.connect();
    for (let round = 0; round < 50; round += 1) {
      const call = new ClientCall(session).send(Buffer.from('x'));
      call.stream.end();
      await call.received(1);
      call.stream.close(NGHTTP2_NO_ERROR);
      await call.closed;
    }
    await Promise.all(rig.calls.map((call) => call.closed));
    expect(rig.calls.map((call) => call.closes.length)).toEqual(rig.calls.map(() => 1));
  });

  it('a peer that says goodbye may end the calls that it has', async () => {
    await start(echo);
    const session = rig.connect();
    const call = new ClientCall(session).send(Buffer.from('1'));
    await call.received(1);
    session.goaway(NGHTTP2_NO_ERROR);
    await turns(10);
    call.send(Buffer.from('2')).stream.end();
    await call.closed;
    expect([call.messages.map(text), call.status]).toEqual([['1', '2'], '0']);
  });
});

describe('many calls', () => {
  it('3,500 at the same time over one connection, none refused', async () => {
    await start(echo);
    const session = rig.connect();
    await once(session, 'remoteSettings');
    const calls = Array.from({ length: 3500 }, () => new ClientCall(session).send(Buffer.alloc(4096)));
    await Promise.all(calls.map((call) => call.received(1)));
    expect(rig.carrier.calls).toBe(3500);
    for (const call of calls) call.stream.end();
    await Promise.all(calls.map((call) => call.closed));
    expect(new Set(calls.map((call) => call.status))).toEqual(new Set(['0']));
    await Promise.all(rig.calls.map((call) => call.closed));
    expect([rig.carrier.calls, rig.faults]).toEqual([0, []]);
  });

  it('three thousand resets in a row do not cost the connection', async () => {
    await start(echo);
    const session = rig.connect();
    const kept = new ClientCall(session).send(Buffer.from('1'));
    await kept.received(1);
    for (let round = 0; round < 30; round += 1) {
      const calls = Array.from({ length: 100 }, () => new ClientCall(session).send(Buffer.from('x')));
      await Promise.all(calls.map((call) => call.received(1)));
      for (const call of calls) call.stream.close(constants.NGHTTP2_CANCEL);
      await Promise.all(calls.map((call) => call.closed));
    }
    kept.send(Buffer.from('2')).stream.end();
    await kept.closed;
    expect([kept.messages.map(text), kept.status]).toEqual([['1', '2'], '0']);
    await Promise.all(rig.calls.map((call) => call.closed));
    expect(rig.calls.filter((call) => call.closes.length !== 1)).toEqual([]);
  });
});
