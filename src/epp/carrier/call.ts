import { GrpcStatus, type AcceptCall, type CallContext, type CallHandler, type CallStream } from './carrier.ts';
import type { Http2Stream, StreamListener } from './http2/stream.ts';
import { FrameError, MessageReader } from './message-reader.ts';
import type { Peer } from './peer.ts';
import { responseHeaders, trailers, trailersOnly } from './trailers.ts';

/** Where a call tells of itself. */
export interface CallHost {
  onFault(fault: Error): void;
  onCallOver(call: Call): void;
}

/** What stands before a message, copied by whoever takes it: one for all calls. */
const prefix = new Uint8Array(5);

/** One call on one HTTP/2 stream. */
export class Call implements CallStream, StreamListener {
  private readonly stream: Http2Stream;
  private readonly peer: Peer;
  private readonly host: CallHost;
  private readonly reader = new MessageReader();
  private handler: CallHandler = nobody;
  private paused = false;
  private delivering = false;
  /** Its status has been given. */
  private ended = false;
  /** Somebody other than the handler ended it. */
  private broken = false;

  constructor(stream: Http2Stream, peer: Peer, host: CallHost) {
    this.stream = stream;
    this.peer = peer;
    this.host = host;
    stream.listener = this;
  }

  /** Hands the call to its handler. */
  start(accept: AcceptCall, context: CallContext): void {
    try {
      this.handler = accept(this, context);
    } catch (error) {
      this.fail(error);
    }
  }

  send(message: Uint8Array): boolean {
    const { stream } = this;
    if (this.isOver) return true;
    if (!stream.answered) stream.respond(responseHeaders);
    const { length } = message;
    prefix[1] = length >>> 24;
    prefix[2] = length >>> 16;
    prefix[3] = length >>> 8;
    prefix[4] = length;
    return stream.write(prefix, message);
  }

  end(status: number, message = ''): void {
    const { stream } = this;
    if (this.isOver) return;
    this.ended = true;
    stream.finish(stream.answered ? trailers(status, message) : trailersOnly(status, message));
    // Nobody reads what the peer still says, and it may say more until it has taken all of ours.
    stream.resume();
  }

  pause(): void {
    if (this.isOver) return;
    this.paused = true;
    this.stream.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    // Never within the handler's own call of this: the loop that delivers goes on by itself.
    if (!this.delivering) process.nextTick(deliver, this);
  }

  /** Gives the handler what has come, up to a pause. */
  deliver(): void {
    this.delivering = true;
    try {
      this.deliverAll();
    } catch (error) {
      this.fail(error);
    }
    this.delivering = false;
    if (!this.paused && this.stream.isPaused) this.stream.resume();
  }

  // What follows is for the stream.

  onBytes(bytes: Buffer, start: number, end: number, areKept: boolean): void {
    if (this.isOver) return;
    this.reader.feed(bytes, start, end);
    this.deliver();
    if (!areKept) this.reader.keep();
  }

  onEnd(): void {
    if (this.isOver) return;
    try {
      if (this.reader.incomplete) throw new FrameError(GrpcStatus.internal, 'the call ended within a message');
      this.handler.onHalfClose();
    } catch (error) {
      this.fail(error);
    }
  }

  onDrain(): void {
    if (this.isOver) return;
    try {
      this.handler.onDrain();
    } catch (error) {
      this.fail(error);
    }
  }

  onClose(finished: boolean): void {
    const broken = this.broken || !finished;
    this.ended = true;
    if (!this.stream.answered) this.peer.abandoned();
    this.host.onCallOver(this);
    try {
      this.handler.onClose(broken);
    } catch (error) {
      this.tell(error);
    }
  }

  private get isOver(): boolean {
    return this.ended || this.stream.isClosed;
  }

  private deliverAll(): void {
    while (!this.isOver && !this.paused) {
      const message = this.reader.next();
      if (message === null) return;
      this.handler.onMessage(message);
    }
  }

  /** Ends the call for what the peer sent, or for what the handler threw. */
  private fail(error: unknown): void {
    if (error instanceof FrameError) this.end(error.status, error.message);
    else {
      this.tell(error);
      this.end(GrpcStatus.internal, 'internal error');
    }
    this.broken = true;
  }

  private tell(error: unknown): void {
    this.host.onFault(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Until the handler is there, and in its place when making it threw. */
const nobody: CallHandler = Object.freeze({ onMessage: ignore, onHalfClose: ignore, onDrain: ignore, onClose: ignore });

function ignore(): void {}

function deliver(call: Call): void {
  call.deliver();
}
