import { afterEach, describe, expect, it } from 'vitest';
import { Flag, frame, FrameType, headerBlock, hello, preface, reset } from '../frames.fixture.ts';
import { Wire } from './connection.fixture.ts';
import { encodeBlock } from './hpack-encoder.ts';
import { ErrorCode } from './protocol.ts';
import { connectionWindow, maxConcurrentStreams, streamWindow } from './settings.ts';

const ok = encodeBlock([[':status', '200']]);
const trailers = encodeBlock([['grpc-status', '0']]);
const nothing = new Uint8Array(0);

let wire: Wire;
afterEach(() => wire.close());

async function open(...frames: Uint8Array[]): Promise<Wire> {
  wire = new Wire();
  return wire.open(Buffer.concat(frames));
}

const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const windowUpdate = (stream: number, more: number): Buffer => frame(FrameType.windowUpdate, 0, stream, number(more));
const setting = (id: number, value: number): Buffer => {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
};
const settings = (...entries: [number, number][]): Buffer =>
  frame(FrameType.settings, 0, 0, Buffer.concat(entries.map(([id, value]) => setting(id, value))));
const data = (stream: number, bytes: Uint8Array | string, flags = 0): Buffer =>
  frame(FrameType.data, flags, stream, Buffer.from(bytes));
const call = {
  ':method': 'POST',
  ':scheme': 'http',
  ':path': '/x',
  te: 'trailers',
};
const headers = (stream: number, fields: Record<string, string> = call, flags: number = Flag.endHeaders): Buffer =>
  frame(FrameType.headers, flags, stream, headerBlock(fields));
const ping = frame(FrameType.ping, 0, 0, Buffer.alloc(8));

describe('a connection', () => {
  it('tells its settings and its window before anything is said, and takes note of the peer’s', async () => {
    await open();
    await wire.until(() => wire.frames.length === 2);
    const [own, window] = wire.frames;
    expect(own?.payload.toString('hex')).toBe(
      Buffer.concat([setting(3, maxConcurrentStreams), setting(4, streamWindow), setting(6, 65_536)]).toString('hex'),
    );
    expect(window?.payload.readUInt32BE(0)).toBe(connectionWindow - 65_535);
    wire.peer.write(hello);
    await wire.until(() => wire.frames.length === 3);
    expect(wire.frames[2]).toMatchObject({ type: FrameType.settings, flags: Flag.ack, stream: 0 });
  });

  it('carries a request with padding and priority, in pieces of a header, with trailers', async () => {
    const block = headerBlock(call);
    await open(
      hello,
      frame(
        FrameType.headers,
        0x28,
        1,
        Buffer.concat([Buffer.of(2, 0, 0, 0, 9, 1), block.subarray(0, 5), Buffer.alloc(2)]),
      ),
      frame(FrameType.continuation, 0, 1, block.subarray(5, 9)),
      frame(FrameType.continuation, Flag.endHeaders, 1, block.subarray(9)),
      frame(FrameType.data, 8, 1, Buffer.concat([Buffer.of(4), Buffer.from('one'), Buffer.alloc(4)])),
      data(1, 'two'),
      headers(1, { 'x-t': '1' }, Flag.endHeaders | Flag.endStream),
    );
    await wire.settled();
    expect(wire.streams.map(({ path, body, ends }) => [path, body.toString(), ends])).toEqual([['/x', 'onetwo', 1]]);
  });

  it('passes over what it does not know, and priorities', async () => {
    await open(
      hello,
      headers(1),
      frame(FrameType.priority, 0, 1, Buffer.alloc(5)),
      frame(FrameType.priority, 0, 99, Buffer.alloc(5)),
      frame(0x42, 0xff, 1, Buffer.alloc(100)),
      frame(0x42, 0xff, 0, Buffer.alloc(100)),
      settings([0x4242, 1]),
      frame(FrameType.ping, Flag.ack, 0, Buffer.alloc(8)),
      data(1, 'x', Flag.endStream),
    );
    await wire.settled();
    expect([wire.streams[0]?.body.toString(), wire.streams[0]?.ends, wire.faults]).toEqual(['x', 1, []]);
  });

  it('sends an answer of one turn as one write', async () => {
    await open(hello);
    wire.onStream = ({ stream }) => {
      stream.respond(ok);
      stream.write(Buffer.from('a'), Buffer.from('bc'));
      stream.write(nothing, Buffer.from('d'));
      stream.finish(trailers);
    };
    await wire.settled();
    let chunks = 0;
    wire.peer.on('data', () => (chunks += 1));
    wire.peer.write(headers(1, call, Flag.endHeaders | Flag.endStream));
    await wire.until(() => wire.of(FrameType.headers, 1).length === 2);
    expect(wire.frames.filter(({ stream }) => stream === 1).map(({ type, flags }) => [type, flags])).toEqual([
      [FrameType.headers, Flag.endHeaders],
      [FrameType.data, 0],
      [FrameType.data, 0],
      [FrameType.headers, Flag.endHeaders | Flag.endStream],
    ]);
    expect([wire.data(1).toString(), chunks, wire.streams[0]?.closes]).toEqual(['abcd', 1, [true]]);
  });

  it('tells a peer that has not ended its side that nobody listens', async () => {
    await open(hello, headers(1));
    wire.onStream = ({ stream }) => stream.finish(trailers);
    await wire.until(() => wire.resetOf(1) >= 0);
    expect(wire.resetOf(1)).toBe(ErrorCode.noError);
    wire.peer.write(Buffer.concat([data(1, 'x'), headers(1, { x: 'y' }), windowUpdate(1, 1), reset(1, 8), headers(3)]));
    await wire.settled();
    expect([wire.streams.length, wire.streams[0]?.body.length, wire.goodbye]).toEqual([2, 0, -1]);
  });

  it('says in its first block that it uses no table, once, to peers that want a smaller one', async () => {
    await open(preface, settings([1, 0]), settings([1, 4096]), settings([1, 100]), headers(1), headers(3));
    wire.onStream = ({ stream }) => stream.respond(ok);
    await wire.until(() => wire.of(FrameType.headers).length === 2);
    expect(wire.of(FrameType.headers).map(({ payload }) => payload.toString('hex'))).toEqual(['2088', '88']);
  });

  it('cuts header blocks that are larger than a frame', async () => {
    await open(hello, headers(1));
    const block = encodeBlock([[':status', '200'], ...Array<[string, string]>(5).fill(['x', 'y'.repeat(8000)])]);
    wire.onStream = ({ stream }) => stream.finish(block);
    await wire.until(() => wire.resetOf(1) >= 0);
    const parts = wire.frames.filter(({ type }) => type === FrameType.headers || type === FrameType.continuation);
    expect(parts.map(({ type, flags }) => [type, flags])).toEqual([
      [FrameType.headers, Flag.endStream],
      [FrameType.continuation, 0],
      [FrameType.continuation, Flag.endHeaders],
    ]);
    expect(Buffer.concat(parts.map(({ payload }) => payload)).equals(block)).toBe(true);
  });
});

describe('a fault of one stream costs that stream alone', () => {
  const faults: Record<string, { frames: Buffer[]; code: number }> = {
    'headers without a path': { frames: [headers(1, { ...call, ':path': '' })], code: ErrorCode.protocolError },
    'headers of HTTP/1.1': { frames: [headers(1, { ...call, connection: 'close' })], code: ErrorCode.protocolError },
    'headers of more than 64 KiB': {
      frames: [
        frame(
          FrameType.headers,
          Flag.endHeaders,
          1,
          Buffer.concat([headerBlock(call), ...Array<Buffer>(2000).fill(headerBlock({ a: 'b' }))]),
        ),
      ],
      code: ErrorCode.enhanceYourCalm,
    },
    'data after the end': {
      frames: [headers(1), data(1, '', Flag.endStream), data(1, 'x')],
      code: ErrorCode.streamClosed,
    },
    'headers after the end': {
      frames: [headers(1, call, Flag.endHeaders | Flag.endStream), headers(1, { x: 'y' })],
      code: ErrorCode.streamClosed,
    },
    'headers in the middle': { frames: [headers(1), headers(1, { x: 'y' })], code: ErrorCode.protocolError },
    'trailers that tell a path': {
      frames: [headers(1), headers(1, { ':path': '/' }, Flag.endHeaders | Flag.endStream)],
      code: ErrorCode.protocolError,
    },
    'more data than announced': {
      frames: [headers(1, { ...call, 'content-length': '3' }), data(1, 'four')],
      code: ErrorCode.protocolError,
    },
    'less data than announced': {
      frames: [headers(1, { ...call, 'content-length': '3' }), data(1, 'xx', Flag.endStream)],
      code: ErrorCode.protocolError,
    },
    'no data though announced': {
      frames: [headers(1, { ...call, 'content-length': '3' }, Flag.endHeaders | Flag.endStream)],
      code: ErrorCode.protocolError,
    },
    'a window that grows by nothing': { frames: [headers(1), windowUpdate(1, 0)], code: ErrorCode.protocolError },
    'a window of more than 2^31': {
      frames: [headers(1), windowUpdate(1, 0x7fff_ffff)],
      code: ErrorCode.flowControlError,
    },
  };
  it.each(Object.entries(faults))('%s', async (_name, { frames, code }) => {
    await open(hello, ...frames, headers(3), data(3, 'other'));
    await wire.settled();
    expect([wire.resetOf(1), wire.resetOf(3), wire.goodbye]).toEqual([code, -1, -1]);
    expect(wire.streams.at(-1)?.body.toString()).toBe('other');
    expect(wire.streams.slice(0, -1).flatMap(({ closes }) => closes)).toEqual(
      wire.streams.slice(0, -1).map(() => false),
    );
  });

  it('more data than its window', async () => {
    await open(hello, headers(1));
    wire.onStream = ({ stream }) => stream.pause();
    for (let sent = 0; sent <= streamWindow; sent += 16_384) wire.peer.write(data(1, Buffer.alloc(16_384)));
    await wire.settled();
    expect([wire.resetOf(1), wire.goodbye, wire.streams[0]?.closes]).toEqual([ErrorCode.flowControlError, -1, [false]]);
  });

  it('more streams than are allowed', async () => {
    await open(hello);
    for (let stream = 1; stream <= 2 * maxConcurrentStreams + 1; stream += 2) wire.peer.write(headers(stream));
    await wire.settled();
    expect(wire.streams.length).toBe(maxConcurrentStreams);
    expect(wire.resetOf(2 * maxConcurrentStreams + 1)).toBe(ErrorCode.refusedStream);
    wire.peer.write(Buffer.concat([reset(1, 8), headers(2 * maxConcurrentStreams + 3)]));
    await wire.settled();
    expect(wire.streams.at(-1)?.stream.id).toBe(2 * maxConcurrentStreams + 3);
  });
});

describe('a fault of the connection ends it, and all that is on it', () => {
  const faults: Record<string, { frames: Buffer[]; code: number }> = {
    'no settings first': { frames: [preface, ping], code: ErrorCode.protocolError },
    'a stream of an even number': { frames: [hello, headers(2)], code: ErrorCode.protocolError },
    'data on an idle stream': { frames: [hello, headers(1), data(5, 'x')], code: ErrorCode.protocolError },
    'data on a stream of ours': { frames: [hello, headers(5), data(2, 'x')], code: ErrorCode.protocolError },
    'a window for an idle stream': { frames: [hello, windowUpdate(1, 1)], code: ErrorCode.protocolError },
    'a reset of an idle stream': { frames: [hello, reset(1, 1)], code: ErrorCode.protocolError },
    'data on stream 0': { frames: [hello, data(0, 'x')], code: ErrorCode.protocolError },
    'settings of a stream': {
      frames: [hello, frame(FrameType.settings, 0, 1)],
      code: ErrorCode.protocolError,
    },
    'a ping of a stream': {
      frames: [hello, frame(FrameType.ping, 0, 1, Buffer.alloc(8))],
      code: ErrorCode.protocolError,
    },
    'a goodbye of a stream': {
      frames: [hello, frame(FrameType.goaway, 0, 1, Buffer.alloc(8))],
      code: ErrorCode.protocolError,
    },
    'a reset of stream 0': { frames: [hello, reset(0, 1)], code: ErrorCode.protocolError },
    'a priority of stream 0': {
      frames: [hello, frame(FrameType.priority, 0, 0, Buffer.alloc(5))],
      code: ErrorCode.protocolError,
    },
    'a continuation of nothing': {
      frames: [hello, headers(1), frame(FrameType.continuation, 4, 1, Buffer.alloc(1))],
      code: ErrorCode.protocolError,
    },
    'data within headers': {
      frames: [hello, headers(1), headers(3, call, 0), data(1, 'x')],
      code: ErrorCode.protocolError,
    },
    'a frame that nobody knows within headers': {
      frames: [hello, headers(1, call, 0), frame(0x42, 0, 1)],
      code: ErrorCode.protocolError,
    },
    'a continuation of another stream': {
      frames: [hello, headers(1), headers(3, call, 0), frame(FrameType.continuation, 4, 1, Buffer.alloc(1))],
      code: ErrorCode.protocolError,
    },
    'a push': { frames: [hello, frame(FrameType.pushPromise, 4, 1, Buffer.alloc(8))], code: ErrorCode.protocolError },
    'a ping of seven bytes': {
      frames: [hello, frame(FrameType.ping, 0, 0, Buffer.alloc(7))],
      code: ErrorCode.frameSizeError,
    },
    'a reset of five bytes': {
      frames: [hello, headers(1), frame(FrameType.rstStream, 0, 1, Buffer.alloc(5))],
      code: ErrorCode.frameSizeError,
    },
    'a priority of four bytes': {
      frames: [hello, frame(FrameType.priority, 0, 1, Buffer.alloc(4))],
      code: ErrorCode.frameSizeError,
    },
    'a window of three bytes': {
      frames: [hello, frame(FrameType.windowUpdate, 0, 0, Buffer.alloc(3))],
      code: ErrorCode.frameSizeError,
    },
    'a goodbye of seven bytes': {
      frames: [hello, frame(FrameType.goaway, 0, 0, Buffer.alloc(7))],
      code: ErrorCode.frameSizeError,
    },
    'settings of seven bytes': {
      frames: [hello, frame(FrameType.settings, 0, 0, Buffer.alloc(7))],
      code: ErrorCode.frameSizeError,
    },
    'settings acknowledged with some': {
      frames: [hello, frame(FrameType.settings, Flag.ack, 0, setting(3, 1))],
      code: ErrorCode.frameSizeError,
    },
    'headers of more padding than payload': {
      frames: [hello, frame(FrameType.headers, 0xc, 1, Buffer.of(5, 0x82))],
      code: ErrorCode.protocolError,
    },
    'headers that no decoder takes': {
      frames: [hello, frame(FrameType.headers, 4, 1, Buffer.of(0xff, 0xff))],
      code: ErrorCode.compressionError,
    },
    'a setting of a window over 2^31': { frames: [hello, settings([4, 2 ** 31])], code: ErrorCode.flowControlError },
    'a setting of tiny frames': { frames: [hello, settings([5, 16_383])], code: ErrorCode.protocolError },
    'a setting of huge frames': { frames: [hello, settings([5, 2 ** 24])], code: ErrorCode.protocolError },
    'a setting of pushes that is no boolean': { frames: [hello, settings([2, 2])], code: ErrorCode.protocolError },
    'a setting that makes the window of a stream too large': {
      frames: [hello, headers(1), windowUpdate(1, 0x7fff_0000), settings([4, 0x7fff_ffff])],
      code: ErrorCode.flowControlError,
    },
    'a window of the connection that grows by nothing': {
      frames: [hello, windowUpdate(0, 0)],
      code: ErrorCode.protocolError,
    },
    'a window of the connection over 2^31': {
      frames: [hello, windowUpdate(0, 0x7fff_ffff)],
      code: ErrorCode.flowControlError,
    },
  };
  it.each(Object.entries(faults))('%s', async (_name, { frames, code }) => {
    await open(...frames);
    await wire.until(() => wire.peer.destroyed);
    expect([wire.goodbye, wire.faults.length, wire.connection.destroyed]).toEqual([code, 1, true]);
    await wire.until(() => wire.clock.timers.size === 0);
    expect(wire.streams.map(({ closes }) => closes)).toEqual(wire.streams.map(() => [false]));
  });

  it('more data than its window, on streams that are read by nobody', async () => {
    await open(hello);
    wire.onStream = ({ stream }) => stream.pause();
    const chunk = Buffer.concat(Array<Buffer>(64).fill(Buffer.alloc(16_384)));
    for (let sent = 0, stream = 1; sent <= connectionWindow; sent += chunk.length, stream += 2) {
      wire.peer.write(headers(stream));
      for (let at = 0; at < chunk.length; at += 16_384) wire.peer.write(data(stream, chunk.subarray(at, at + 16_384)));
    }
    await wire.until(() => wire.goodbye >= 0);
    expect(wire.goodbye).toBe(ErrorCode.flowControlError);
    expect(new Set(wire.streams.map(({ closes }) => closes.length))).toEqual(new Set([1]));
  });

  it('a peer that goes away for an error', async () => {
    await open(hello, headers(1), frame(FrameType.goaway, 0, 0, Buffer.of(0, 0, 0, 0, 0, 0, 0, 1)));
    await wire.until(() => wire.peer.destroyed);
    expect([wire.faults.map(({ message }) => message), wire.streams[0]?.closes]).toEqual([
      ['the peer goes away for error 1'],
      [false],
    ]);
  });
});

describe('floods end the connection', () => {
  const floods: Record<string, { each: Buffer; before?: Buffer }> = {
    pings: { each: ping },
    settings: { each: settings() },
    priorities: { each: frame(FrameType.priority, 0, 1, Buffer.alloc(5)) },
    'empty data': { before: headers(1), each: data(1, '') },
    'frames that nobody knows': { each: frame(0x42, 0, 0) },
    'resets of streams that are closed': { before: Buffer.concat([headers(1), reset(1, 8)]), each: reset(1, 8) },
    'headers of streams that are closed': {
      before: Buffer.concat([headers(1), reset(1, 8)]),
      each: headers(1, { x: 'y' }),
    },
  };
  it.each(Object.entries(floods))('of %s', async (_name, { each, before = Buffer.alloc(0) }) => {
    await open(hello, before);
    await wire.settled();
    wire.peer.write(Buffer.concat(Array<Buffer>(20_100).fill(each)));
    await wire.until(() => wire.peer.destroyed);
    expect([wire.goodbye, wire.faults.map(({ message }) => message)]).toEqual([
      ErrorCode.enhanceYourCalm,
      ['a peer sends frames to no purpose'],
    ]);
  });

  it('but not of as many as a peer may send in the long run', async () => {
    await open(hello);
    for (let second = 0; second < 5; second += 1) {
      wire.peer.write(Buffer.concat(Array<Buffer>(9_000).fill(ping)));
      await wire.settled();
      wire.clock.advance(1000);
    }
    expect(wire.faults).toEqual([]);
  });

  it('of continuations, empty or not', async () => {
    for (const size of [0, 16_384]) {
      await open(hello, frame(FrameType.headers, 0, 1, headerBlock(call)));
      wire.peer.write(Buffer.concat(Array<Buffer>(65).fill(frame(FrameType.continuation, 0, 1, Buffer.alloc(size)))));
      await wire.until(() => wire.peer.destroyed);
      expect(wire.goodbye).toBe(ErrorCode.enhanceYourCalm);
      wire.close();
    }
  });
});

describe('time', () => {
  it('a peer that takes no note of our settings is told goodbye', async () => {
    await open(hello, headers(1));
    await wire.settled();
    wire.clock.advance(10_000);
    await wire.until(() => wire.peer.destroyed);
    expect([wire.goodbye, wire.streams[0]?.closes]).toEqual([ErrorCode.settingsTimeout, [false]]);
  });

  it('one that has may stay as long as it likes', async () => {
    await open(hello, frame(FrameType.settings, Flag.ack, 0));
    await wire.settled();
    expect(wire.clock.timers.size).toBe(0);
  });

  it('one that does not close its side after a goodbye is cut off', async () => {
    await open(hello, headers(1));
    await wire.settled();
    wire.peer.pause();
    const ended = new Promise((resolve) => wire.peer.on('close', resolve));
    wire.connection.destroy(new Error('oh'), ErrorCode.internalError);
    expect(wire.clock.timers.size).toBe(1);
    wire.clock.advance(1000);
    wire.peer.resume();
    await ended;
    expect(wire.clock.timers.size).toBe(0);
  });
});

describe('goodbyes', () => {
  it('no streams are taken behind ours, those under way end, and then the connection does', async () => {
    await open(hello, headers(1));
    await wire.settled();
    wire.connection.close();
    await wire.until(() => wire.goodbye >= 0);
    wire.peer.write(Buffer.concat([headers(3), data(3, 'x'), reset(3, 8), data(1, 'y', Flag.endStream)]));
    await wire.settled();
    expect([wire.streams.length, wire.streams[0]?.body.toString(), wire.peer.destroyed]).toEqual([1, 'y', false]);
    wire.streams[0]?.stream.finish(trailers);
    await wire.until(() => wire.peer.destroyed);
    expect(wire.of(FrameType.goaway).map(({ payload }) => payload.toString('hex'))).toEqual(['0000000100000000']);
    expect([wire.streams[0]?.closes, wire.faults]).toEqual([[true], []]);
  });

  it('a peer that says it may end what it has', async () => {
    await open(hello, headers(1), frame(FrameType.goaway, 0, 0, Buffer.alloc(8)), data(1, 'y', Flag.endStream));
    await wire.settled();
    expect(wire.streams[0]?.body.toString()).toBe('y');
    wire.streams[0]?.stream.finish(trailers);
    await wire.until(() => wire.peer.destroyed);
    expect([wire.streams[0]?.closes, wire.faults]).toEqual([[true], []]);
  });
});
