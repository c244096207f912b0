/** HTTP/2 frames, written and read by hand: for what no HTTP/2 client would send, and for load that costs little. */

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { endStream: 1, acknowledge: 1, endHeaders: 4 } as const;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A HEADERS frame that opens a gRPC call; its header block changes no table, so it can be sent again and again. */
export function opening(stream: number, path: string): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  const block = Buffer.concat([
    // Of the static table: POST, http, then values for :path, :authority and content-type.
    Buffer.of(0x83, 0x86, 0x04),
    text(path),
    Buffer.of(0x01),
    text('127.0.0.1'),
    Buffer.of(0x0f, 0x10),
    text('application/grpc'),
    Buffer.of(0x00),
    text('te'),
    text('trailers'),
  ]);
  return frame(FrameType.headers, Flag.endHeaders, stream, block);
}

/** Our settings: no limit of streams to speak of, and windows of `window` bytes for what comes. */
export function settings(window: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(4);
  payload.writeUInt32BE(window, 2);
  return frame(FrameType.settings, 0, 0, payload);
}

export function windowUpdate(stream: number, increment: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(increment);
  return frame(FrameType.windowUpdate, 0, stream, payload);
}

export const settingsAcknowledged = frame(FrameType.settings, Flag.acknowledge, 0, Buffer.alloc(0));

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Cuts what comes on a connection into frames. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0);
  private readonly onFrame: (frame: Frame) => void;

  constructor(onFrame: (frame: Frame) => void) {
    this.onFrame = onFrame;
  }

  take(bytes: Buffer): void {
    let all = this.rest.length === 0 ? bytes : Buffer.concat([this.rest, bytes]);
    while (all.length >= 9) {
      const end = 9 + all.readUIntBE(0, 3);
      if (all.length < end) break;
      const stream = all.readUInt32BE(5) & 0x7fffffff;
      this.onFrame({ type: all[3], flags: all[4], stream, payload: all.subarray(9, end) });
      all = all.subarray(end);
    }
    this.rest = all;
  }
}
