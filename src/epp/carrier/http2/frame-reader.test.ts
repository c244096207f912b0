import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { Flag, frame, FrameType, preface } from '../frames.fixture.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { ConnectionError, ErrorCode } from './protocol.ts';

/** Puts down what it is told, a line for each frame, however its data came. */
class Record implements FrameSink {
  readonly lines: string[] = [];
  private data = '';

  onDataBegin(): void {
    this.data = '';
  }

  onData(bytes: Buffer, start: number, end: number): void {
    this.data += bytes.toString('hex', start, end);
  }

  onDataEnd({ stream, flags, length }: { stream: number; flags: number; length: number }): void {
    this.lines.push(`data ${stream} ${flags} ${length} ${this.data}`);
  }

  onFrame({ type, stream, flags, bytes, start, end }: Parameters<FrameSink['onFrame']>[0]): void {
    this.lines.push(`${type} ${stream} ${flags} ${bytes.toString('hex', start, end)}`);
  }
}

/** Reads bytes in pieces, each in a buffer that is overwritten afterwards. */
function read(bytes: Buffer, cuts: readonly number[]): string[] {
  const record = new Record();
  const reader = new FrameReader(record);
  let at = 0;
  for (const end of [...cuts, bytes.length]) {
    const piece = Buffer.concat([Buffer.of(1, 2), bytes.subarray(at, end), Buffer.of(3)]);
    reader.read(piece, 2, piece.length - 1);
    piece.fill(0xee);
    at = end;
  }
  return record.lines;
}

function padded(stream: number, data: Buffer, padding: number, flags: number): Buffer {
  const payload = Buffer.concat([Buffer.of(padding), data, Buffer.alloc(padding)]);
  return frame(FrameType.data, flags | 8, stream, payload);
}

const small = Buffer.concat([
  preface,
  frame(FrameType.settings, 0, 0, Buffer.alloc(6, 7)),
  frame(FrameType.headers, Flag.endHeaders, 1, Buffer.from('abc')),
  frame(FrameType.data, 0, 1, Buffer.from('data')),
  frame(FrameType.data, 0, 1),
  padded(1, Buffer.from('xy'), 3, 0),
  padded(1, Buffer.alloc(0), 2, 0),
  padded(1, Buffer.from('z'), 0, Flag.endStream),
  frame(FrameType.ping, 0, 0, Buffer.alloc(8, 9)),
  frame(0xfe, 0xff, 0x7fff_ffff, Buffer.from('unknown')),
]);
const lines = [
  '4 0 0 070707070707',
  '1 1 4 616263',
  'data 1 0 4 64617461',
  'data 1 0 0 ',
  'data 1 8 6 7879',
  'data 1 8 3 ',
  'data 1 9 2 7a',
  '6 0 0 0909090909090909',
  `254 2147483647 255 ${Buffer.from('unknown').toString('hex')}`,
];

describe('FrameReader', () => {
  it('finds the same frames wherever the bytes are cut', () => {
    expect(read(small, [])).toEqual(lines);
    for (let cut = 0; cut <= small.length; cut += 1) expect(read(small, [cut])).toEqual(lines);
    expect(
      read(
        small,
        Array.from(small, (_, at) => at),
      ),
    ).toEqual(lines);
  });

  it('finds the same frames in any pieces, those of many kilobytes included', () => {
    const one = fc
      .tuple(fc.constantFrom(0, 1, 4, 6, 9, 99), fc.nat(255), fc.nat(0x7fff_ffff), fc.nat(16_384))
      // Padding is another matter.
      .map(([type, flags, stream, length]) => frame(type, flags & ~8, stream, Buffer.alloc(length, length)));
    fc.assert(
      fc.property(fc.array(one, { maxLength: 8 }), fc.array(fc.nat(60_000), { maxLength: 12 }), (frames, cuts) => {
        const bytes = Buffer.concat([preface, ...frames]);
        const sorted = cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b);
        expect(read(bytes, sorted)).toEqual(read(bytes, []));
        expect(read(bytes, [])).toHaveLength(frames.length);
      }),
    );
  });

  const faults: { [name: string]: { bytes: Buffer; code: number } } = {
    'another preface': { bytes: Buffer.from('GET / HTTP/1.1\r\n'), code: ErrorCode.protocolError },
    'a preface that goes wrong at its end': {
      bytes: Buffer.concat([preface.subarray(0, -1), Buffer.of(0)]),
      code: ErrorCode.protocolError,
    },
    'a frame of more than 16 KiB': {
      bytes: Buffer.concat([preface, Buffer.of(0, 0x40, 1, 0, 0, 0, 0, 0, 1)]),
      code: ErrorCode.frameSizeError,
    },
    'a padded frame without a length of its padding': {
      bytes: Buffer.concat([preface, frame(FrameType.data, 8, 1)]),
      code: ErrorCode.frameSizeError,
    },
    'more padding than payload': {
      bytes: Buffer.concat([preface, frame(FrameType.data, 8, 1, Buffer.of(3, 0, 0))]),
      code: ErrorCode.protocolError,
    },
  };
  it.each(Object.entries(faults))('refuses %s', (_name, { bytes, code }) => {
    for (const cuts of [[], Array.from(bytes, (_, at) => at)]) {
      try {
        read(bytes, cuts);
        expect.unreachable('it was read');
      } catch (error) {
        if (!(error instanceof ConnectionError)) throw error;
        expect(error.code).toBe(code);
      }
    }
  });

  it('passes over what comes after it was stopped, at once', () => {
    const record = new Record();
    const reader = new FrameReader({
      onDataBegin: () => reader.stop(),
      onData: () => expect.unreachable(),
      onDataEnd: () => expect.unreachable(),
      onFrame: (frame) => record.onFrame(frame),
    });
    reader.read(small, 0, small.length);
    reader.read(small, 0, small.length);
    expect(record.lines).toEqual(lines.slice(0, 2));
  });
});
