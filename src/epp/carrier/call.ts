import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { GrpcStatus, type AcceptCall, type CallHandler, type CallStream } from './carrier.ts';
import { FrameError, MessageReader } from './message-reader.ts';
import type { Peer } from './peer.ts';
import { close, percentEncoded, trailersOnly } from './trailers.ts';

/** Where a call tells of itself. */
export interface CallHost {
  onFault(fault: Error): void;
  onCallOver(call: Call): void;
}

/** Name, value, name, value: as an array they need not be copied for each call. */
const responseHeaders = Object.freeze([':status', '200', 'content-type', 'application/grpc']);
const untilTrailers = Object.freeze({ waitForTrailers: true, sendDate: false });
const prefixBytes = 5;
/** Messages over this are written beside their prefix; smaller ones are cheaper to copy behind it. */
const copiedBytes = 16 * 1024;

/** Where a stream keeps its call. */
const callOf = Symbol('call');
interface Owned {
  readonly [callOf]: Call;
}

/** One call on one HTTP/2 stream. */
export class Call implements CallStream {
  private readonly stream: ServerHttp2Stream;
  private readonly peer: Peer;
  private readonly host: CallHost;
  private readonly reader = new MessageReader();
  private handler: CallHandler = nobody;
  private corked = false;
  private paused = false;
  private delivering = false;
  /** The peer has ended its side; then its handler was told so. */
  private halfClosed = false;
  private halfCloseTold = false;
  /** The status to end with; null while the call is under way. */
  private status: number | null = null;
  private statusText = '';
  /** Somebody other than the handler ended the call. */
  private broken = false;
  private trailersSent = false;

  constructor(stream: ServerHttp2Stream, peer: Peer, host: CallHost) {
    this.stream = stream;
    this.peer = peer;
    this.host = host;
  }

  /** Hands the call to its handler. */
  start(accept: AcceptCall): void {
    const stream = Object.assign(this.stream, { [callOf]: this });
    stream.on('close', onClose);
    stream.on('aborted', onAborted);
    stream.on('error', ignore);
    stream.on('end', onEnd);
    stream.on('drain', onDrain);
    stream.on('wantTrailers', onWantTrailers);
    try {
      this.handler = accept(this);
    } catch (error) {
      this.fail(error);
    }
    stream.on('data', onData);
  }

  send(message: Uint8Array): boolean {
    const { stream } = this;
    if (!this.open()) return true;
    if (!this.corked) {
      // All that is said in one turn goes out as one write.
      this.corked = true;
      stream.cork();
      process.nextTick(uncork, this);
    }
    if (!stream.headersSent) stream.respond(responseHeaders, untilTrailers);
    const copied = message.length <= copiedBytes;
    const frame = Buffer.allocUnsafe(copied ? prefixBytes + message.length : prefixBytes);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    if (copied) {
      frame.set(message, prefixBytes);
      return stream.write(frame);
    }
    stream.write(frame);
    return stream.write(message);
  }

  end(status: number, message = ''): void {
    const { stream } = this;
    if (!this.open()) return;
    this.status = status;
    this.statusText = message;
    if (stream.headersSent) stream.end();
    else this.refuse();
    // Nobody reads what the peer still says, and the stream closes only once that has been read.
    if (this.paused) stream.resume();
  }

  pause(): void {
    if (!this.open()) return;
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
    if (!this.paused && this.stream.isPaused()) this.stream.resume();
  }

  uncork(): void {
    this.corked = false;
    this.stream.uncork();
  }

  // What follows is for the stream's listeners.

  take(chunk: Buffer): void {
    if (!this.open()) return;
    this.reader.feed(chunk);
    this.deliver();
  }

  takeEnd(): void {
    this.halfClosed = true;
    this.deliver();
  }

  drained(): void {
    if (!this.open()) return;
    try {
      this.handler.onDrain();
    } catch (error) {
      this.fail(error);
    }
  }

  sendTrailers(): void {
    this.stream.sendTrailers(this.trailers());
    this.trailersSent = true;
    this.partWithPeer();
  }

  /** The peer reset the stream, or its connection is gone. */
  abort(): void {
    this.broken = true;
    if (!this.stream.headersSent) this.peer.abandoned();
    // A reset without an error code, which is what Envoy sends, leaves the stream waiting for a reader.
    process.nextTick(destroy, this.stream);
  }

  over(): void {
    const { handler } = this;
    const broken = this.broken || !this.trailersSent;
    this.broken = true;
    this.host.onCallOver(this);
    try {
      handler.onClose(broken);
    } catch (error) {
      this.host.onFault(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private open(): boolean {
    return this.status === null && !this.broken;
  }

  private deliverAll(): void {
    while (this.open() && !this.paused) {
      const message = this.reader.next();
      if (message === null) {
        this.deliverEnd();
        return;
      }
      this.handler.onMessage(message);
    }
  }

  private deliverEnd(): void {
    if (!this.halfClosed || this.halfCloseTold) return;
    this.halfCloseTold = true;
    if (this.reader.incomplete) throw new FrameError(GrpcStatus.internal, 'the call ended within a message');
    this.handler.onHalfClose();
  }

  /** Ends the call for what the peer sent, or for what the handler threw. */
  private fail(error: unknown): void {
    if (error instanceof FrameError) this.end(error.status, error.message);
    else {
      this.host.onFault(error instanceof Error ? error : new Error(String(error)));
      this.end(GrpcStatus.internal, 'internal error');
    }
    this.broken = true;
  }

  /** Trailers alone, where nothing has been said yet. */
  private refuse(): void {
    this.stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...this.trailers() }, trailersOnly);
    this.trailersSent = true;
    this.partWithPeer();
  }

  /** A peer that has not ended its side is told that nobody listens; after the trailers, which an immediate sends. */
  private partWithPeer(): void {
    if (!this.halfClosed) setImmediate(close, this.stream);
  }

  private trailers(): OutgoingHttpHeaders {
    const status = this.status ?? GrpcStatus.unknown;
    if (this.statusText === '') return { 'grpc-status': status };
    return { 'grpc-status': status, 'grpc-message': percentEncoded(this.statusText) };
  }
}

/** Until the handler is there, and in its place when making it threw. */
const nobody: CallHandler = Object.freeze({ onMessage: ignore, onHalfClose: ignore, onDrain: ignore, onClose: ignore });

/** What went wrong with a stream is told by `aborted` and `close`; without a listener it would end the process. */
function ignore(): void {}

// Listeners for all calls: one closure for each of them and each call would be garbage for every request.

function onData(this: Owned, chunk: Buffer): void {
  this[callOf].take(chunk);
}

function onEnd(this: Owned): void {
  this[callOf].takeEnd();
}

function onDrain(this: Owned): void {
  this[callOf].drained();
}

function onWantTrailers(this: Owned): void {
  this[callOf].sendTrailers();
}

function onAborted(this: Owned): void {
  this[callOf].abort();
}

function onClose(this: Owned): void {
  this[callOf].over();
}

function deliver(call: Call): void {
  call.deliver();
}

function uncork(call: Call): void {
  call.uncork();
}

function destroy(stream: ServerHttp2Stream): void {
  stream.destroy();
}
