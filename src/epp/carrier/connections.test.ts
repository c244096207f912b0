import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ClientCall, echo, framed, ManualClock, Rig } from './carrier.fixture.ts';
import type { TlsMaterial } from './carrier.ts';
import { Flag, frame, FrameReader, FrameType, hello, openCall, preface, reset } from './frames.fixture.ts';
import { selfSigned } from './self-signed.ts';
import { createCarrier } from './server.ts';

let rig: Rig;
afterEach(() => rig.close());

async function start(behaviour: ConstructorParameters<typeof Rig>[0], tls: TlsMaterial | null = null): Promise<Rig> {
  rig = new Rig(behaviour, tls);
  return rig.listen();
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function ended(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks);
}

const text = (message: Buffer): string => message.toString();

describe('drain', () => {
  it('closes connections without calls, and lets the others end', async () => {
    await start(echo);
    const idle = rig.connect();
    await once(idle, 'remoteSettings');
    const busy = rig.connect();
    const call = new ClientCall(busy).send(Buffer.from('1'));
    await call.received(1);
    const drained = rig.carrier.drain(60_000);
    await once(idle, 'close');
    call.send(Buffer.from('2'));
    await call.received(2);
    call.stream.end();
    expect(await drained).toBe(0);
    expect([call.messages.map(text), call.status]).toEqual([['1', '2'], '0']);
    expect(rig.calls.map((call) => call.closes)).toEqual([[false]]);
    expect([rig.clock.timers.size, rig.listening]).toEqual([0, 0]);
  });

  it('tells the peer which call was the last that it took', async () => {
    await start(echo);
    const socket = await rig.tcp();
    const goodbyes: number[] = [];
    const frames = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const { type, payload } of frames.read(chunk)) {
        if (type !== FrameType.goaway) continue;
        goodbyes.push(payload.readUInt32BE(0));
        socket.write(openCall(3));
        socket.write(frame(FrameType.data, Flag.endStream, 1, framed(Buffer.from('x'))));
      }
    });
    socket.write(Buffer.concat([hello, openCall(1)]));
    while (rig.calls.length === 0) await turns(1);
    const closed = once(socket, 'close');
    expect(await rig.carrier.drain(60_000)).toBe(0);
    await closed;
    expect(new Set(goodbyes)).toEqual(new Set([1]));
    expect(rig.calls.map((call) => [call.messages.map(text), call.closes])).toEqual([[['x'], [false]]]);
  });

  it('cuts what is left at its deadline, and says how many', async () => {
    await start(echo);
    const calls = [rig.connect(), rig.connect()].map((session) => new ClientCall(session).send(Buffer.from('1')));
    await Promise.all(calls.map((call) => call.received(1)));
    let done = false;
    const drained = rig.carrier.drain(5_000).finally(() => (done = true));
    rig.clock.advance(4_999);
    await turns(20);
    expect([done, rig.carrier.calls]).toEqual([false, 2]);
    rig.clock.advance(1);
    expect(await drained).toBe(2);
    await Promise.all(calls.map((call) => call.closed));
    expect(rig.calls.map((call) => call.closes)).toEqual([[true], [true]]);
    expect([rig.carrier.calls, rig.clock.timers.size]).toEqual([0, 0]);
  });

  it('takes no connections meanwhile', async () => {
    await start(echo);
    const call = new ClientCall(rig.connect()).send(Buffer.from('1'));
    await call.received(1);
    const drained = rig.carrier.drain(60_000);
    const refused = connect(`http://127.0.0.1:${rig.port}`);
    await expect(once(refused, 'connect')).rejects.toThrow('ECONNREFUSED');
    call.stream.end();
    await drained;
  });

  it('does not wait for peers that have not said a word', async () => {
    await start(echo);
    const socket = await rig.tcp();
    socket.write(preface.subarray(0, 5));
    await turns(5);
    const drained = rig.carrier.drain(1_000);
    rig.clock.advance(1_000);
    expect(await drained).toBe(0);
    await ended(socket);
  });
});

describe('peers that misbehave', () => {
  it('a connection that says nothing is closed after ten seconds, one that has spoken stays', async () => {
    await start(echo);
    const silent = await rig.tcp();
    const session = rig.connect();
    await once(session, 'remoteSettings');
    const gone = ended(silent);
    while (rig.clock.timers.size !== 1) await turns(1);
    rig.clock.advance(10_000);
    await gone;
    const call = new ClientCall(session).send(Buffer.from('1'));
    call.stream.end();
    await call.closed;
    expect([call.status, rig.clock.timers.size]).toEqual(['0', 0]);
  });

  const broken: Record<string, Buffer> = {
    'HTTP/1.1': Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'),
    zeros: Buffer.alloc(100_000),
    'a preface that goes wrong': Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'),
    'a frame longer than allowed': Buffer.concat([hello, frame(FrameType.data, 0, 1, Buffer.alloc(20_000))]),
    'data on a stream that nobody opened': Buffer.concat([hello, frame(FrameType.data, 0, 1, Buffer.alloc(10))]),
    'headers on stream 0': Buffer.concat([hello, frame(FrameType.headers, Flag.endHeaders, 0, Buffer.alloc(3))]),
    'headers that no HPACK decoder takes': Buffer.concat([
      hello,
      frame(FrameType.headers, Flag.endHeaders, 1, Buffer.alloc(9, 0xff)),
    ]),
    'headers that are never ended': Buffer.concat([
      hello,
      frame(FrameType.headers, 0, 1, Buffer.alloc(9)),
      frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
    ]),
    'a push promise': Buffer.concat([hello, frame(FrameType.pushPromise, Flag.endHeaders, 1, Buffer.alloc(8))]),
    'a window of more than 2^31': Buffer.concat([
      hello,
      ...Array<Buffer>(3).fill(frame(FrameType.windowUpdate, 0, 0, Buffer.of(0x7f, 0xff, 0xff, 0xff))),
    ]),
    'settings of a wrong length': Buffer.concat([hello, frame(FrameType.settings, 0, 0, Buffer.alloc(5))]),
    'a reset of a stream that is idle': Buffer.concat([hello, reset(7, 8)]),
  };
  it.each(Object.entries(broken))('%s costs its own connection alone', async (_name, bytes) => {
    await start(echo);
    const kept = new ClientCall(rig.connect()).send(Buffer.from('1'));
    await kept.received(1);
    const socket = await rig.tcp();
    socket.write(bytes);
    await ended(socket);
    kept.send(Buffer.from('2')).stream.end();
    await kept.closed;
    expect([kept.messages.map(text), kept.status]).toEqual([['1', '2'], '0']);
    while (rig.faults.length === 0) await turns(1);
    expect(rig.carrier.calls).toBe(0);
  });

  it('a flood of calls that are reset unanswered ends its connection, and no other', async () => {
    await start(echo);
    const kept = new ClientCall(rig.connect()).send(Buffer.from('1'));
    await kept.received(1);
    const socket = await rig.tcp();
    const closed = ended(socket);
    socket.write(hello);
    const block: Buffer[] = [];
    for (let call = 0; call < 25_000; call += 1) block.push(openCall(2 * call + 1), reset(2 * call + 1, 8));
    socket.write(Buffer.concat(block));
    await closed;
    expect(rig.faults.map((fault) => fault.message)).toEqual(['a peer resets its calls too fast']);
    kept.send(Buffer.from('2')).stream.end();
    await kept.closed;
    expect([kept.messages.map(text), kept.status]).toEqual([['1', '2'], '0']);
    await Promise.all(rig.calls.map((call) => call.closed));
    expect(rig.calls.length).toBeLessThan(22_000);
    expect(rig.calls.filter((call) => call.closes.length !== 1)).toEqual([]);
    expect(rig.carrier.calls).toBe(0);
  });

  it('so does one of calls that we are made to reset', async () => {
    await start({});
    const socket = await rig.tcp();
    const closed = ended(socket);
    socket.write(hello);
    const block: Buffer[] = [];
    // A window that grows by nothing is a fault of its stream.
    const fault = (stream: number): Buffer => frame(FrameType.windowUpdate, 0, stream, Buffer.alloc(4));
    for (let call = 0; call < 25_000; call += 1) block.push(openCall(2 * call + 1), fault(2 * call + 1));
    socket.write(Buffer.concat(block));
    await closed;
    expect(rig.faults.map((fault) => fault.message)).toEqual(['a peer resets its calls too fast']);
    expect(rig.calls.length).toBeLessThan(22_000);
    expect(rig.calls.filter((call) => call.closes.length !== 1)).toEqual([]);
  });

  it('streams of frames with bytes changed cost at most their connection; no call is left, none is closed twice', async () => {
    await start(echo);
    const kept = new ClientCall(rig.connect()).send(Buffer.from('0'));
    await kept.received(1);
    const good = Buffer.concat([
      hello,
      openCall(1),
      frame(FrameType.data, 0, 1, framed(Buffer.alloc(300, 'a'))),
      openCall(3),
      frame(FrameType.windowUpdate, 0, 3, Buffer.of(0, 0, 0, 9)),
      frame(FrameType.data, Flag.endStream, 3, framed(Buffer.from('b'))),
      frame(FrameType.ping, 0, 0, Buffer.alloc(8)),
      frame(FrameType.data, Flag.endStream, 1, framed(Buffer.alloc(10))),
    ]);
    const change = fc.tuple(
      fc.integer({ min: preface.length, max: good.length - 1 }),
      fc.integer({ min: 0, max: 255 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(good.length), async (changes, cut) => {
        const bytes = Buffer.from(good);
        for (const [at, byte] of changes) bytes[at] = byte;
        const socket = await rig.tcp();
        const closed = ended(socket);
        socket.write(bytes.subarray(0, cut));
        await turns(1);
        socket.end(bytes.subarray(cut));
        await turns(3);
        socket.destroy();
        await closed;
      }),
      { numRuns: 300 },
    );
    while (rig.carrier.calls !== 1) await turns(1);
    kept.send(Buffer.from('1')).stream.end();
    await kept.closed;
    expect([kept.messages.map(text), kept.status]).toEqual([['0', '1'], '0']);
    await Promise.all(rig.calls.map((call) => call.closed));
    expect(rig.calls.filter((call) => call.closes.length !== 1)).toEqual([]);
  });

  it('pings are answered', async () => {
    await start(echo);
    const session = rig.connect();
    await once(session, 'remoteSettings');
    const answer = await new Promise<Buffer>((resolve, reject) => {
      session.ping(Buffer.from('12345678'), (error, _duration, payload) =>
        error === null ? resolve(payload) : reject(error),
      );
    });
    expect(answer.toString()).toBe('12345678');
  });
});

describe('TLS', () => {
  const now = new Date('2026-11-21T12:00:00Z');
  const first = selfSigned(now);

  async function certificateOf(ca: string): Promise<string> {
    const socket = connectTls({ port: rig.port, host: '127.0.0.1', ca, ALPNProtocols: ['h2'] });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  }

  it('carries calls, with a certificate that its own holder trusts', async () => {
    await start(echo, first);
    const session = rig.connect();
    const call = new ClientCall(session).send(Buffer.alloc(300_000, 'x'));
    call.stream.end();
    await call.closed;
    expect([call.messages[0]?.length, call.status, session.alpnProtocol]).toEqual([300_000, '0', 'h2']);
  });

  it('a new certificate is for new connections, and the old ones stay', async () => {
    await start(echo, first);
    const call = new ClientCall(rig.connect()).send(Buffer.from('1'));
    await call.received(1);
    const before = await certificateOf(first.cert);
    const second = selfSigned(now);
    rig.carrier.renew(second);
    expect(await certificateOf(second.cert)).not.toBe(before);
    call.send(Buffer.from('2')).stream.end();
    await call.closed;
    expect([call.messages.map(text), call.status]).toEqual([['1', '2'], '0']);
  });

  it('a certificate that cannot be used is refused, and the old one stays in force', async () => {
    await start(echo, first);
    const before = await certificateOf(first.cert);
    const second = selfSigned(now);
    expect(() => rig.carrier.renew({ cert: second.cert, key: first.key })).toThrow();
    expect(() => rig.carrier.renew({ cert: 'no certificate', key: second.key })).toThrow();
    expect(await certificateOf(first.cert)).toBe(before);
  });

  it('is spoken with h2 alone', async () => {
    await start(echo, first);
    const socket = connectTls({ port: rig.port, host: '127.0.0.1', ca: first.cert, ALPNProtocols: ['http/1.1'] });
    const [error] = (await once(socket, 'error').catch((error: unknown) => [error])) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
    const silent = connectTls({ port: rig.port, host: '127.0.0.1', ca: first.cert });
    silent.on('error', () => undefined);
    await once(silent, 'close');
  });

  it('plain HTTP/2 to a TLS port is refused and told of', async () => {
    await start(echo, first);
    const socket = await rig.tcp();
    socket.write(hello);
    await ended(socket);
    while (rig.faults.length === 0) await turns(1);
    expect(rig.carrier.calls).toBe(0);
  });

  it('a carrier without TLS has no certificate to renew', async () => {
    await start(echo);
    expect(() => rig.carrier.renew(first)).toThrow('without TLS');
  });
});

describe('listen', () => {
  it('rejects when the port is in use', async () => {
    await start(echo);
    const other = createCarrier({
      accept: null,
      tls: null,
      clock: new ManualClock(),
      health: { serving: () => true, onChange: () => () => undefined },
      onFault: () => undefined,
    });
    await expect(other.listen('127.0.0.1', rig.port)).rejects.toThrow('EADDRINUSE');
  });

  it('leaves nothing behind once it is drained', async () => {
    await start(echo);
    const count = (): number => process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
    // What the tests before have closed may still be closing.
    while (count() > 1) await turns(1);
    const other = await new Rig(echo).listen();
    const session = other.connect();
    const call = new ClientCall(session).send(Buffer.from('1'));
    call.stream.end();
    await call.closed;
    new ClientCall(session).send(Buffer.from('1')).stream.close(constants.NGHTTP2_CANCEL);
    expect(count()).toBeGreaterThan(1);
    await other.close();
    while (count() > 1) await turns(1);
    expect([other.clock.timers.size, other.listening, other.carrier.calls]).toEqual([0, 0, 0]);
  });
});
