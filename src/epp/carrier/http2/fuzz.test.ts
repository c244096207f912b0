// Frames that no client would send, in any order and cut anywhere: at most their own connection ends, nothing is thrown,
// and every stream is over once.
import { expect, it } from 'vitest';
import fc from 'fast-check';
import { callHeaders, frame, FrameType, hello, openCall, preface } from '../frames.fixture.ts';
import { Wire } from './connection.fixture.ts';
import { encodeBlock } from './hpack-encoder.ts';
import { ConnectionError } from './protocol.ts';

const ok = encodeBlock([[':status', '200']]);

const [one, three] = [openCall(1), openCall(3)];
const beginnings = [[preface], [hello], [hello, one], [hello, one, three], [hello, one, three, openCall(5)]].map(
  (frames) => Buffer.concat(frames),
);
const stream = fc.constantFrom(0, 1, 1, 1, 3, 3, 5, 2, 0x7fff_ffff);
const flags = fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255));
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(0, 4, 5, 8, 6, 12, 16_384, 16_385).map((length) => new Uint8Array(length).fill(1)),
);
const anyFrame = fc
  .tuple(fc.oneof(fc.nat(9), fc.nat(255)), flags, stream, payload)
  .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload));
const goodFrame = fc.oneof(
  stream.map((id) => frame(FrameType.headers, 4, id, callHeaders)),
  fc.tuple(stream, flags).map(([id, flags]) => frame(FrameType.data, flags & 9, id, Buffer.alloc(30, 3))),
  fc.nat(70_000).map((size) => {
    const setting = Buffer.of(0, 4, 0, 0, 0, 0);
    setting.writeUInt32BE(size, 2);
    return frame(FrameType.settings, 0, 0, setting);
  }),
  fc.tuple(stream, fc.nat(200)).map(([id, more]) => frame(FrameType.windowUpdate, 0, id, Buffer.of(0, 0, 0, more))),
  stream.map((id) => frame(FrameType.rstStream, 0, id, Buffer.of(0, 0, 0, 8))),
);
const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(255));

it('random and mutated frames leave no stream behind', { timeout: 120_000 }, async () => {
  let streams = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...beginnings),
      fc.array(fc.oneof(goodFrame, goodFrame, anyFrame), { maxLength: 20 }),
      fc.array(change, { maxLength: 2 }),
      fc.array(fc.nat(600), { maxLength: 4 }),
      async (first, frames, changes, cuts) => {
        const bytes = Buffer.concat([first, ...frames]);
        for (const [place, byte] of changes) bytes[Math.floor(place * bytes.length)] = byte;
        const wire = new Wire();
        wire.onStream = ({ stream }) => {
          stream.respond(ok);
          stream.write(Buffer.of(1), Buffer.alloc(Math.min(stream.id, 5) * 40_000));
          if (stream.id === 3) stream.pause();
          if (stream.id === 5) stream.finish(ok);
        };
        const ends = [...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        await wire.open(bytes.subarray(0, ends[0]));
        const closed = new Promise((resolve) => wire.peer.on('close', resolve));
        for (const [index, end] of ends.entries()) {
          await new Promise((resolve) => setImmediate(resolve));
          if (index > 0) wire.peer.write(bytes.subarray(ends[index - 1], end));
        }
        wire.peer.end();
        await closed;
        await wire.until(() => wire.connection.destroyed);
        streams += wire.streams.length;
        expect(wire.streams.filter(({ closes }) => closes.length !== 1)).toEqual([]);
        // Whatever else is thrown is a fault of ours.
        expect(wire.faults.filter((fault) => !(fault instanceof ConnectionError) && !('code' in fault))).toEqual([]);
        await wire.until(() => wire.clock.timers.size === 0);
        wire.close();
      },
    ),
    { numRuns: 1500 },
  );
  // Had no stream been opened, nothing would have been tried.
  expect(streams).toBeGreaterThan(500);
});
