// Flow control, both ways.
import { afterEach, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Flag, frame, FrameType, headerBlock, hello, preface, reset } from '../frames.fixture.ts';
import { RecordedStream, Wire } from './connection.fixture.ts';
import { encodeBlock } from './hpack-encoder.ts';
import { connectionWindow, streamWindow } from './settings.ts';

const ok = encodeBlock([[':status', '200']]);
const trailers = encodeBlock([['grpc-status', '0']]);
const call = headerBlock({ ':method': 'POST', ':scheme': 'http', ':path': '/x' });

let wire: Wire;
afterEach(() => wire.close());

const opened = (stream: number): Buffer => frame(FrameType.headers, Flag.endHeaders, stream, call);
const data = (stream: number, bytes: Uint8Array): Buffer => frame(FrameType.data, 0, stream, bytes);

function windowUpdate(stream: number, more: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(more);
  return frame(FrameType.windowUpdate, 0, stream, bytes);
}

function initialWindow(size: number): Buffer {
  const bytes = Buffer.of(0, 4, 0, 0, 0, 0);
  bytes.writeUInt32BE(size, 2);
  return frame(FrameType.settings, 0, 0, bytes);
}

/** Bytes that tell where they stand. */
function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (at * 31 + seed + (at >> 8)) & 0xff;
  return bytes;
}

describe('what we send', () => {
  it('is all that was written and keeps to the windows, whatever these are', { timeout: 120_000 }, async () => {
    const messages = fc.array(fc.oneof(fc.nat(50), fc.nat(70_000)), { minLength: 1, maxLength: 5 });
    const grant = fc.record({ stream: fc.nat(3), more: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.nat(100_000)) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(messages, { minLength: 1, maxLength: 3 }),
        fc.oneof(fc.nat(20), fc.nat(70_000)),
        fc.array(grant, { maxLength: 12 }),
        async (bodies, window, grants) => {
          wire = new Wire();
          const expected = bodies.map((sizes, index) => sizes.map((size) => pattern(size, index)));
          wire.onStream = ({ stream }) => {
            stream.respond(ok);
            for (const message of expected[(stream.id - 1) / 2] ?? []) stream.write(Buffer.from([7]), message);
            stream.finish(trailers);
          };
          await wire.open(Buffer.concat([preface, initialWindow(window)]));
          const ids = bodies.map((_, index) => 2 * index + 1);
          const allowed = new Map([[0, 65_535], ...ids.map((id) => [id, window] as const)]);
          wire.peer.write(Buffer.concat(ids.map(opened)));
          await wire.settled();
          const check = (): void => {
            expect(wire.of(FrameType.data).every(({ payload }) => payload.length <= 16_384)).toBe(true);
            let all = 0;
            for (const id of ids) {
              all += wire.data(id).length;
              expect(wire.data(id).length).toBeLessThanOrEqual(allowed.get(id) ?? 0);
            }
            expect(all).toBeLessThanOrEqual(allowed.get(0) ?? 0);
          };
          check();
          for (const { stream, more } of grants) {
            const id = stream === 0 ? 0 : (ids[stream % ids.length] ?? 1);
            if (more === 0 || wire.streams.some(({ stream, closes }) => stream.id === id && closes.length > 0))
              continue;
            allowed.set(id, (allowed.get(id) ?? 0) + more);
            wire.peer.write(windowUpdate(id, more));
            await wire.settled();
            check();
          }
          // Room for all that is left.
          wire.peer.write(Buffer.concat([0, ...ids].map((id) => windowUpdate(id, 2 ** 30))));
          await wire.until(() => wire.streams.every(({ closes }) => closes.length === 1));
          await wire.settled();
          for (const [index, id] of ids.entries()) {
            const whole = Buffer.concat((expected[index] ?? []).flatMap((message) => [Buffer.from([7]), message]));
            expect(wire.data(id).equals(whole)).toBe(true);
            expect(wire.of(FrameType.headers, id).at(-1)?.flags).toBe(Flag.endHeaders | Flag.endStream);
          }
          expect([wire.faults, wire.streams.map(({ closes }) => closes)]).toEqual([[], ids.map(() => [true])]);
          wire.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('says when it waits and when it goes on, once', async () => {
    wire = await new Wire().open(Buffer.concat([preface, initialWindow(10), opened(1)]));
    const told: boolean[] = [];
    wire.onStream = ({ stream }) => {
      stream.respond(ok);
      for (const size of [4, 4, 4]) told.push(stream.write(Buffer.of(1), Buffer.alloc(size)));
    };
    await wire.settled();
    const [first] = wire.streams;
    expect([told, first?.drains, wire.data(1).length]).toEqual([[true, true, false], 0, 10]);
    wire.peer.write(windowUpdate(1, 4));
    await wire.settled();
    expect([first?.drains, wire.data(1).length]).toEqual([0, 14]);
    wire.peer.write(windowUpdate(1, 1));
    await wire.settled();
    expect([first?.drains, wire.data(1).length]).toEqual([1, 15]);
    wire.peer.write(windowUpdate(1, 100));
    await wire.settled();
    expect(first?.drains).toBe(1);
  });

  it('waits after a window was made smaller, for as much as that was', async () => {
    wire = await new Wire().open(Buffer.concat([preface, initialWindow(10), opened(1)]));
    wire.onStream = ({ stream }) => {
      stream.respond(ok);
      stream.write(Buffer.of(1), Buffer.alloc(99));
    };
    await wire.settled();
    wire.peer.write(Buffer.concat([initialWindow(4), windowUpdate(1, 6)]));
    await wire.settled();
    expect(wire.data(1).length).toBe(10);
    wire.peer.write(initialWindow(5));
    await wire.settled();
    expect(wire.data(1).length).toBe(11);
    wire.peer.write(initialWindow(200));
    await wire.settled();
    expect(wire.data(1).length).toBe(100);
  });

  it('gives each stream its turn when the window of the connection is scarce', async () => {
    wire = await new Wire().open(Buffer.concat([preface, initialWindow(2 ** 24), opened(1), opened(3), opened(5)]));
    wire.onStream = ({ stream }) => {
      stream.respond(ok);
      stream.write(new Uint8Array(0), Buffer.alloc(200_000));
    };
    await wire.settled();
    expect(wire.data(1).length).toBe(65_535);
    wire.peer.write(windowUpdate(0, 6 * 16_384));
    await wire.settled();
    expect([1, 3, 5].map((id) => wire.data(id).length)).toEqual([65_535 + 2 * 16_384, 2 * 16_384, 2 * 16_384]);
  });

  it('does not wait in memory of ours for a peer that reads nothing', async () => {
    const grown = Buffer.concat([preface, initialWindow(2 ** 30), windowUpdate(0, 2 ** 30), opened(1), opened(3)]);
    wire = await new Wire().open(grown);
    wire.peer.pause();
    let written = 0;
    const more = ({ stream }: RecordedStream): void => {
      while (stream.write(new Uint8Array(0), Buffer.alloc(60_000))) written += 60_000;
    };
    wire.onStream = (stream) => {
      stream.onDrain = () => {
        stream.drains += 1;
        if (stream.drains < 40) more(stream);
        else stream.stream.finish(trailers);
      };
      stream.stream.respond(ok);
      more(stream);
    };
    await wire.until(() => wire.streams.length === 2);
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    // What the kernel takes is some megabytes.
    expect(written).toBeLessThan(32_000_000);
    const before = written;
    wire.peer.resume();
    await wire.until(() => wire.streams.every(({ closes }) => closes.length === 1));
    expect(written).toBeGreaterThan(before);
  });

  it('is what was written, also when it goes turn by turn to a peer that reads nothing for a while', async () => {
    wire = await new Wire().open(Buffer.concat([preface, initialWindow(2 ** 30), windowUpdate(0, 2 ** 30), opened(1)]));
    wire.onStream = ({ stream }) => stream.respond(ok);
    await wire.until(() => wire.streams.length === 1);
    wire.peer.pause();
    const stream = wire.streams[0]?.stream ?? expect.fail('no stream came');
    const written: Buffer[] = [];
    for (let flows = true; flows;) {
      const message = Buffer.alloc(5000, written.length);
      written.push(message);
      flows = stream.write(new Uint8Array(0), message);
      await new Promise((resolve) => setImmediate(resolve));
    }
    wire.peer.resume();
    const whole = Buffer.concat(written);
    await wire.until(() => wire.streams[0]?.drains === 1);
    await wire.settled();
    expect(wire.data(1).equals(whole)).toBe(true);
  });
});

describe('what we take', () => {
  it('is given back half a window at a time, of the stream and of the connection, padding included', async () => {
    wire = await new Wire().open(Buffer.concat([hello, opened(1)]));
    const padded = frame(FrameType.data, 8, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(16_383)]));
    const half = streamWindow / 2 / 16_384;
    for (let sent = 0; sent < half - 1; sent += 1) wire.peer.write(padded);
    await wire.settled();
    expect(wire.of(FrameType.windowUpdate, 1)).toEqual([]);
    wire.peer.write(Buffer.concat([padded, padded]));
    await wire.settled();
    expect(wire.of(FrameType.windowUpdate, 1).map(({ payload }) => payload.readUInt32BE(0))).toEqual([
      streamWindow / 2,
    ]);
    expect(wire.streams[0]?.body.length).toBe((half + 1) * (16_384 - 256));
    expect(wire.of(FrameType.windowUpdate, 0).length).toBe(1);
  });

  it('of calls that are over is given back to the connection', async () => {
    wire = await new Wire().open(Buffer.concat([hello, opened(1), reset(1, 8), opened(3)]));
    wire.onStream = ({ stream }) => {
      if (stream.id === 3) stream.finish(trailers);
    };
    for (let sent = 0; sent < connectionWindow / 2; sent += 2 * 16_384) {
      wire.peer.write(Buffer.concat([data(1, Buffer.alloc(16_384)), data(3, Buffer.alloc(16_384))]));
    }
    await wire.settled();
    expect(wire.of(FrameType.windowUpdate, 0).map(({ payload }) => payload.readUInt32BE(0))).toEqual([
      connectionWindow - 65_535,
      connectionWindow / 2,
    ]);
  });

  it('of a call that is paused is kept in order until it goes on, and its window until then', async () => {
    wire = await new Wire().open(Buffer.concat([hello, opened(1)]));
    wire.onStream = ({ stream }) => stream.pause();
    const whole = pattern(800_000, 3);
    for (let at = 0; at < whole.length;) {
      const end = Math.min(whole.length, at + 1 + ((at * 7) % 9000));
      wire.peer.write(data(1, whole.subarray(at, end)));
      at = end;
    }
    wire.peer.write(frame(FrameType.data, Flag.endStream, 1));
    await wire.settled();
    const [stream] = wire.streams;
    expect([stream?.body.length, stream?.ends, wire.of(FrameType.windowUpdate, 1)]).toEqual([0, 0, []]);
    stream?.stream.resume();
    expect([stream?.body.equals(whole), stream?.ends]).toEqual([true, 1]);
  });

  it('of a paused call that is broken off is given back', async () => {
    wire = await new Wire().open(hello);
    wire.onStream = ({ stream }) => stream.pause();
    for (let stream = 1; stream <= 69; stream += 2) {
      wire.peer.write(opened(stream));
      for (let sent = 0; sent < 2 ** 20; sent += 16_384) wire.peer.write(data(stream, Buffer.alloc(16_384)));
      wire.peer.write(reset(stream, 8));
    }
    await wire.settled();
    expect(wire.of(FrameType.windowUpdate, 0).length).toBe(2);
  });
});
