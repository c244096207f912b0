import { ConnectionError, ErrorCode, Flag, frameHeadBytes, FrameType, maxPayloadBytes, preface } from './protocol.ts';

const nothing = Buffer.alloc(0);

/** The frame that is read: one object for all frames of a connection. */
export class Frame {
  type = 0;
  flags = 0;
  stream = 0;
  /** Bytes of the payload, padding included. */
  length = 0;
  /** The payload is bytes[start, end), which belong to the reader again after the call; not of DATA. */
  bytes: Buffer = nothing;
  start = 0;
  end = 0;
}

/** Takes frames. What it throws ends the reading. */
export interface FrameSink {
  /** A DATA frame has begun; its bytes follow as they come. */
  onDataBegin(frame: Frame): void;
  /** Bytes without their padding, which belong to the reader again after the call. */
  onData(bytes: Buffer, start: number, end: number): void;
  onDataEnd(frame: Frame): void;
  /** Any other frame, whole. */
  onFrame(frame: Frame): void;
}

const Phase = { preface: 0, head: 1, padLength: 2, data: 3, padding: 4, payload: 5, stopped: 6 } as const;

/**
 * Finds the client's preface and then frames in chunks that are cut anywhere. DATA is passed on as it comes, other frames
 * once they are whole; only heads and payloads that are cut are copied. Throws a `ConnectionError`.
 */
export class FrameReader {
  private readonly sink: FrameSink;
  private readonly frame = new Frame();
  private phase: number = Phase.preface;
  /** A head or a payload that has not come whole. */
  private kept: Buffer = nothing;
  private keptBytes = 0;
  /** Bytes that are still to come: of data, and of the padding behind it. */
  private left = 0;
  private padding = 0;

  constructor(sink: FrameSink) {
    this.sink = sink;
  }

  /** Whether the preface has come. */
  get greeted(): boolean {
    return this.phase !== Phase.preface;
  }

  /** Takes bytes[from, to), which belong to the caller again when it returns. */
  read(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) at = this.step(bytes, at, to);
  }

  /** Passes over all that still comes. */
  stop(): void {
    this.phase = Phase.stopped;
  }

  /** Reads one thing; returns the position behind it. */
  private step(bytes: Buffer, at: number, to: number): number {
    switch (this.phase) {
      case Phase.preface:
        return this.readPreface(bytes, at, to);
      case Phase.head:
        return this.readHead(bytes, at, to);
      case Phase.padLength:
        return this.readPadLength(bytes, at);
      case Phase.data:
        return this.readData(bytes, at, to);
      case Phase.padding:
        return this.skipPadding(at, to);
      case Phase.payload:
        return this.readPayload(bytes, at, to);
      default:
        return to;
    }
  }

  private readPreface(bytes: Buffer, at: number, to: number): number {
    const end = Math.min(to, at + preface.length - this.keptBytes);
    if (bytes.compare(preface, this.keptBytes, this.keptBytes + end - at, at, end) !== 0) {
      throw new ConnectionError(ErrorCode.protocolError, 'the peer does not speak HTTP/2');
    }
    this.keptBytes += end - at;
    if (this.keptBytes === preface.length) this.awaitHead();
    return end;
  }

  private readHead(bytes: Buffer, at: number, to: number): number {
    if (this.keptBytes === 0 && to - at >= frameHeadBytes) {
      this.begin(bytes, at);
      return at + frameHeadBytes;
    }
    const end = this.keep(bytes, at, Math.min(to, at + frameHeadBytes - this.keptBytes));
    if (this.keptBytes === frameHeadBytes) {
      this.keptBytes = 0;
      this.begin(this.kept, 0);
    }
    return end;
  }

  private begin(bytes: Buffer, at: number): void {
    const { frame } = this;
    frame.length = bytes.readUIntBE(at, 3);
    frame.type = bytes[at + 3] ?? 0;
    frame.flags = bytes[at + 4] ?? 0;
    frame.stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    if (frame.length > maxPayloadBytes) {
      throw new ConnectionError(ErrorCode.frameSizeError, `a frame of ${frame.length} bytes`);
    }
    if (frame.type === FrameType.data) this.beginData();
    else if (frame.length > 0) this.phase = Phase.payload;
    else this.finish(nothing, 0);
  }

  private beginData(): void {
    const { frame } = this;
    this.left = frame.length;
    this.padding = 0;
    this.sink.onDataBegin(frame);
    if (this.phase === Phase.stopped) return;
    if ((frame.flags & Flag.padded) === 0) {
      this.phase = Phase.data;
      if (this.left === 0) this.endData();
    } else if (frame.length > 0) this.phase = Phase.padLength;
    else throw new ConnectionError(ErrorCode.frameSizeError, 'a padded frame without its padding');
  }

  private readPadLength(bytes: Buffer, at: number): number {
    this.padding = bytes[at] ?? 0;
    this.left -= 1 + this.padding;
    if (this.left < 0) throw new ConnectionError(ErrorCode.protocolError, 'a frame with more padding than payload');
    this.phase = Phase.data;
    if (this.left === 0) this.endData();
    return at + 1;
  }

  private readData(bytes: Buffer, at: number, to: number): number {
    const end = Math.min(to, at + this.left);
    this.left -= end - at;
    this.sink.onData(bytes, at, end);
    if (this.left === 0) this.endData();
    return end;
  }

  private endData(): void {
    if (this.phase === Phase.stopped) return;
    if (this.padding > 0) {
      this.phase = Phase.padding;
      return;
    }
    this.phase = Phase.head;
    this.sink.onDataEnd(this.frame);
  }

  private skipPadding(at: number, to: number): number {
    const skipped = Math.min(this.padding, to - at);
    this.padding -= skipped;
    if (this.padding === 0) this.endData();
    return at + skipped;
  }

  private readPayload(bytes: Buffer, at: number, to: number): number {
    const { length } = this.frame;
    if (this.keptBytes === 0 && to - at >= length) {
      this.finish(bytes, at);
      return at + length;
    }
    const end = this.keep(bytes, at, Math.min(to, at + length - this.keptBytes));
    if (this.keptBytes === length) this.finish(this.kept, 0);
    return end;
  }

  private finish(bytes: Buffer, start: number): void {
    const { frame } = this;
    frame.bytes = bytes;
    frame.start = start;
    frame.end = start + frame.length;
    this.awaitHead();
    this.sink.onFrame(frame);
  }

  private awaitHead(): void {
    this.phase = Phase.head;
    this.keptBytes = 0;
  }

  private keep(bytes: Buffer, at: number, end: number): number {
    if (this.kept.length === 0) this.kept = Buffer.allocUnsafeSlow(maxPayloadBytes);
    bytes.copy(this.kept, this.keptBytes, at, end);
    this.keptBytes += end - at;
    return end;
  }
}
