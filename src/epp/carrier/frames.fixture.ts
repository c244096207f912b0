// HTTP/2 frames by hand, to send what no client would.

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const Flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** What a client sends first: the preface and empty settings. */
export const hello = Buffer.concat([preface, frame(FrameType.settings, 0, 0)]);

/** A header block of literals, without a dynamic table (RFC 7541, section 6.2.2). */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value);
    if (bytes.length > 126) throw new Error('only short strings are written by hand');
    return Buffer.concat([Buffer.of(bytes.length), bytes]);
  };
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])),
  );
}

/** The headers of a call of `Process`. */
export const callHeaders = headerBlock({
  ':method': 'POST',
  ':scheme': 'http',
  ':path': '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
  ':authority': 'epp',
  'content-type': 'application/grpc',
  te: 'trailers',
});

/** Opens a call on a stream. */
export function openCall(stream: number): Buffer {
  return frame(FrameType.headers, Flag.endHeaders, stream, callHeaders);
}

/** Resets a stream. */
export function reset(stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(FrameType.rstStream, 0, stream, payload);
}

export interface ReadFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Finds frames in chunks that are cut anywhere. */
export class FrameReader {
  private bytes: Buffer = Buffer.alloc(0);

  read(chunk: Buffer): ReadFrame[] {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    const frames: ReadFrame[] = [];
    while (this.bytes.length >= 9) {
      const end = 9 + this.bytes.readUIntBE(0, 3);
      if (this.bytes.length < end) break;
      const [type = 0, flags = 0] = this.bytes.subarray(3, 5);
      frames.push({ type, flags, stream: this.bytes.readUInt32BE(5), payload: this.bytes.subarray(9, end) });
      this.bytes = this.bytes.subarray(end);
    }
    return frames;
  }
}
