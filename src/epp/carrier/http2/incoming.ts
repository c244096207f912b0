import type { Clock } from '../../../router/clock.ts';
import { Budget } from './budget.ts';
import type { Frame, FrameSink } from './frame-reader.ts';
import { checkFrame } from './frame-rules.ts';
import { HeaderBlock } from './header-block.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { ConnectionError, ErrorCode, Flag, FrameType, maxWindow } from './protocol.ts';
import { RequestHead } from './request-head.ts';
import { maxConcurrentStreams, PeerSettings } from './settings.ts';
import type { StreamTable } from './stream-table.ts';
import { Http2Stream, type StreamHost } from './stream.ts';

/** Frames that a peer may send to no purpose: pings, settings, priorities, empty ones, such as are for nobody. */
const idleBurst = 20_000;
const idlePerSecond = 10_000;

/** What frames have an effect on, besides streams. */
export interface IncomingHost extends StreamHost {
  readonly clock: Clock;
  readonly streams: StreamTable;
  /** Whether no more streams are taken. */
  readonly isClosing: boolean;
  /** Bytes of the peer's have come; false when they are more than it may send. */
  take(bytes: number): boolean;
  /** The peer takes so many bytes more on the whole connection; false when that is more than a window can be. */
  widen(bytes: number): boolean;
  /** The peer has taken note of our settings. */
  onAcknowledged(): void;
  /** The peer opens no more streams, for the reason of an error code. */
  onGoaway(code: number): void;
  onRequest(stream: Http2Stream, head: RequestHead): void;
}

/** Does what the frames of a peer say. Throws a `ConnectionError`. */
export class Incoming implements FrameSink {
  private readonly host: IncomingHost;
  private readonly peer = new PeerSettings();
  private readonly decoder = new HpackDecoder();
  private readonly block = new HeaderBlock();
  private readonly head = new RequestHead();
  private readonly idle: Budget;
  private isGreeted = false;
  /** Whose DATA frame is coming, and what of it was data and not padding. */
  private current: Http2Stream | null = null;
  private delivered = 0;

  constructor(host: IncomingHost) {
    this.host = host;
    this.idle = new Budget(host.clock, idleBurst, idlePerSecond);
  }

  onDataBegin(frame: Frame): void {
    const { host } = this;
    this.check(frame);
    if (!host.take(frame.length)) {
      throw new ConnectionError(ErrorCode.flowControlError, 'more data than the window of the connection');
    }
    const stream = this.known(frame);
    this.delivered = 0;
    this.current = stream !== null && accepts(stream, frame.length) ? stream : null;
    if (frame.length === 0 && (frame.flags & Flag.endStream) === 0) this.countIdle();
  }

  onData(bytes: Buffer, start: number, end: number): void {
    const { current } = this;
    this.delivered += end - start;
    if (current === null || current.isClosed) this.host.read(end - start);
    else current.onData(bytes, start, end);
  }

  onDataEnd(frame: Frame): void {
    const { current } = this;
    const padding = frame.length - this.delivered;
    this.current = null;
    if (current === null || current.isClosed) {
      if (padding > 0) this.host.read(padding);
      return;
    }
    if (padding > 0) current.giveBack(padding);
    if ((frame.flags & Flag.endStream) !== 0) current.onEnd();
  }

  onFrame(frame: Frame): void {
    this.check(frame);
    if (frame.stream === 0) this.onConnectionFrame(frame);
    else this.onStreamFrame(frame);
  }

  private check(frame: Frame): void {
    checkFrame(frame);
    const { block } = this;
    if (block.isOpen !== (frame.type === FrameType.continuation) || (block.isOpen && block.stream !== frame.stream)) {
      throw broken('a header block that is not continued, or a continuation of none');
    }
    if (this.isGreeted) return;
    if (frame.type !== FrameType.settings) throw broken('another frame before the settings');
    this.isGreeted = true;
  }

  private onConnectionFrame(frame: Frame): void {
    const isAck = (frame.flags & Flag.ack) !== 0;
    switch (frame.type) {
      case FrameType.settings:
        if (isAck) this.host.onAcknowledged();
        else this.onSettings(frame);
        break;
      case FrameType.ping:
        if (!isAck) this.onPing(frame);
        break;
      case FrameType.goaway:
        this.host.onGoaway(frame.bytes.readUInt32BE(frame.start + 4));
        break;
      case FrameType.windowUpdate:
        this.onConnectionWindow(increment(frame));
        break;
      case FrameType.pushPromise:
        throw broken('a push of a client');
      default:
        this.countIdle();
    }
  }

  private onStreamFrame(frame: Frame): void {
    switch (frame.type) {
      case FrameType.headers:
        if (frame.stream % 2 === 0) throw broken('a stream of an even number');
        if (this.block.begin(frame)) this.onBlock();
        break;
      case FrameType.continuation:
        if (this.block.add(frame)) this.onBlock();
        break;
      case FrameType.rstStream:
        this.onReset(frame);
        break;
      case FrameType.windowUpdate:
        this.onStreamWindow(frame);
        break;
      case FrameType.pushPromise:
        throw broken('a push of a client');
      default:
        this.countIdle();
    }
  }

  private onSettings(frame: Frame): void {
    const { host, peer } = this;
    const before = peer.initialWindow;
    this.countIdle();
    peer.read(frame);
    if (peer.hasSmallTable) host.outbox.useNoTable();
    host.outbox.frame(FrameType.settings, Flag.ack, 0, 0);
    const more = peer.initialWindow - before;
    if (more === 0) return;
    for (const stream of host.streams.all()) {
      if (!stream.widen(more)) throw new ConnectionError(ErrorCode.flowControlError, 'a window that is too large');
    }
  }

  private onPing(frame: Frame): void {
    this.countIdle();
    const { outbox } = this.host;
    outbox.frame(FrameType.ping, Flag.ack, 0, frame.length);
    outbox.put(frame.bytes, frame.start, frame.end);
  }

  private onConnectionWindow(bytes: number): void {
    if (bytes === 0) throw broken('a window that grows by nothing');
    if (!this.host.widen(bytes)) {
      throw new ConnectionError(ErrorCode.flowControlError, `a window of more than ${maxWindow} bytes`);
    }
  }

  private onStreamWindow(frame: Frame): void {
    const stream = this.known(frame);
    const bytes = increment(frame);
    if (stream === null) return;
    if (bytes === 0) stream.abort(ErrorCode.protocolError);
    else if (!stream.widen(bytes)) stream.abort(ErrorCode.flowControlError);
  }

  private onReset(frame: Frame): void {
    const stream = this.known(frame);
    if (stream === null) this.countIdle();
    else stream.close();
  }

  /** A whole block has come; it is read whatever becomes of it, since later ones build on it. */
  private onBlock(): void {
    const { block, head, host } = this;
    const stream = host.streams.get(block.stream);
    head.begin(stream !== undefined);
    this.decoder.decode(block.bytes, block.start, block.end, head);
    block.clear();
    if (stream !== undefined) this.onTrailers(stream);
    else if (host.streams.isIdle(block.stream)) this.onRequest();
    // Of a stream that we have closed meanwhile.
    else this.countIdle();
  }

  private onTrailers(stream: Http2Stream): void {
    const { head, block } = this;
    if (stream.isHalfClosed) stream.abort(ErrorCode.streamClosed);
    else if ((block.flags & Flag.endStream) === 0 || !head.areTrailers) stream.abort(ErrorCode.protocolError);
    else if (head.isTooLarge) stream.abort(ErrorCode.enhanceYourCalm);
    else stream.onEnd();
  }

  private onRequest(): void {
    const { block, head, host } = this;
    const id = block.stream;
    host.streams.note(id);
    // The peer has been told that none are taken, and which was the last.
    if (host.isClosing) return this.countIdle();
    const refusal = this.refusal();
    if (refusal !== ErrorCode.noError) {
      this.countIdle();
      host.outbox.number(FrameType.rstStream, id, refusal);
      return;
    }
    const stream = new Http2Stream(host, id, this.peer.initialWindow, head.contentLength);
    stream.isHalfClosed = (block.flags & Flag.endStream) !== 0;
    host.streams.add(stream);
    host.onRequest(stream, head);
    if (stream.isHalfClosed && !stream.isClosed) stream.onEnd();
  }

  private refusal(): number {
    if (this.head.isTooLarge) return ErrorCode.enhanceYourCalm;
    if (!this.head.isRequest) return ErrorCode.protocolError;
    return this.host.streams.size < maxConcurrentStreams ? ErrorCode.noError : ErrorCode.refusedStream;
  }

  /** The stream of a frame; null when it is closed. */
  private known({ stream, type }: Frame): Http2Stream | null {
    const { streams } = this.host;
    const found = streams.get(stream);
    if (found !== undefined) return found;
    if (streams.isIdle(stream)) throw broken(`a frame of type ${type} on a stream that nobody has opened`);
    return null;
  }

  private countIdle(): void {
    if (!this.idle.take()) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'a peer sends frames to no purpose');
  }
}

/** Whether a stream may take so many bytes; breaks it off where it may not. */
function accepts(stream: Http2Stream, bytes: number): boolean {
  if (stream.isHalfClosed) stream.abort(ErrorCode.streamClosed);
  else if (!stream.window.take(bytes)) stream.abort(ErrorCode.flowControlError);
  return !stream.isClosed;
}

function increment(frame: Frame): number {
  return frame.bytes.readUInt32BE(frame.start) & 0x7fff_ffff;
}

function broken(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocolError, what);
}
