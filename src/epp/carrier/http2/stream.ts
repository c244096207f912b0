import { HeldBytes } from './held-bytes.ts';
import type { Outbox } from './outbox.ts';
import { ErrorCode, FrameType, maxPayloadBytes, maxWindow } from './protocol.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendQueue } from './send-queue.ts';
import { streamWindow } from './settings.ts';

/** What happens to a stream. */
export interface StreamListener {
  /** Bytes of the body, bytes[start, end); valid only during the call unless `areKept`. */
  onBytes(bytes: Buffer, start: number, end: number, areKept: boolean): void;
  /** The peer has said all. */
  onEnd(): void;
  /** All that was written is on its way, after `write` has returned false. */
  onDrain(): void;
  /** The stream is over; once, and last. `finished`: our answer was sent to its end. */
  onClose(finished: boolean): void;
}

/** The connection, as its streams see it. */
export interface StreamHost {
  readonly outbox: Outbox;
  /** Bytes that the connection may still send. */
  readonly sendWindow: number;
  /** Bytes are sent of that. */
  spend(bytes: number): void;
  /** The stream has more to send and waits for the connection's window, or for room. */
  wait(stream: Http2Stream): void;
  /** Something is to be sent. */
  touch(): void;
  /** Bytes of the peer's were read. */
  read(bytes: number): void;
  /** The stream is over. */
  remove(stream: Http2Stream): void;
}

const nobody: StreamListener = Object.freeze({
  onBytes: () => undefined,
  onEnd: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
});

/** One request and its answer. */
export class Http2Stream {
  readonly id: number;
  listener: StreamListener = nobody;
  readonly window = new ReceiveWindow(streamWindow);
  /** Bytes of the body that the peer has announced and not sent; negative where it has announced none. */
  announced: number;
  /** Whether the answer has begun. */
  answered = false;
  /** Whether the answer has been sent to its end. */
  finished = false;
  /** The peer has said all. */
  isHalfClosed = false;
  isClosed = false;
  isPaused = false;
  private readonly host: StreamHost;
  /** Bytes that the peer takes; below 0 when it has made its windows smaller since. */
  private sendWindow: number;
  private queue: SendQueue | null = null;
  private trailers: Uint8Array | null = null;
  private mustTell = false;
  private held: HeldBytes | null = null;
  private isEndHeld = false;

  constructor(host: StreamHost, id: number, sendWindow: number, announced: number) {
    this.host = host;
    this.id = id;
    this.sendWindow = sendWindow;
    this.announced = announced;
  }

  /** Begins the answer. */
  respond(block: Uint8Array): void {
    if (this.isClosed) return;
    this.answered = true;
    this.host.outbox.headers(this.id, block, false);
    this.host.touch();
  }

  /** Sends bytes: `head`, which is copied, and `body`, which may be kept. False when they wait; `onDrain` follows. */
  write(head: Uint8Array, body: Uint8Array): boolean {
    if (this.isClosed) return true;
    const total = head.length + body.length;
    const isFirst = this.queue === null || this.queue.length === 0;
    if (isFirst && this.fits(total)) {
      const { outbox } = this.host;
      this.begin(total);
      outbox.put(head, 0, head.length);
      outbox.put(body, 0, body.length);
      return true;
    }
    this.queue ??= new SendQueue();
    this.queue.push(Uint8Array.from(head));
    this.queue.push(body);
    // Whatever the others wait for will be told, and then these go, too.
    if (isFirst) this.pump(Infinity);
    this.mustTell = this.queue.length > 0;
    return !this.mustTell;
  }

  /** Ends the answer once all that was written is sent. A peer that still speaks is told that nobody listens. */
  finish(trailers: Uint8Array): void {
    if (this.isClosed) return;
    this.answered = true;
    if (this.queue !== null && this.queue.length > 0) this.trailers = trailers;
    else this.sendTrailers(trailers);
  }

  /** Breaks the stream off, and tells the peer why. */
  abort(code: number): void {
    if (this.isClosed) return;
    this.host.outbox.number(FrameType.rstStream, this.id, code);
    this.host.touch();
    this.close();
  }

  /** Nothing more is sent or taken. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.queue = null;
    this.trailers = null;
    if (this.held !== null) this.host.read(this.held.length);
    this.held = null;
    this.host.remove(this);
  }

  /** Keeps what comes, and takes no more of it than fits the window. */
  pause(): void {
    this.isPaused = true;
  }

  /** Hands over what was kept, and goes on; the listener may pause meanwhile. */
  resume(): void {
    this.isPaused = false;
    if (this.isClosed) return;
    const { held } = this;
    this.held = null;
    if (held !== null) {
      this.listener.onBytes(held.bytes, 0, held.length, true);
      this.giveBack(held.length);
    }
    if (!this.isEndHeld || this.isBehind) return;
    this.isEndHeld = false;
    this.listener.onEnd();
  }

  // What follows is for the connection.

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.announced >= 0) {
      this.announced -= end - start;
      if (this.announced < 0) return this.mismatch(end - start);
    }
    if (this.isBehind) {
      this.held ??= new HeldBytes();
      this.held.add(bytes, start, end);
      return;
    }
    this.listener.onBytes(bytes, start, end, false);
    this.giveBack(end - start);
  }

  onEnd(): void {
    if (this.announced > 0) return this.mismatch(0);
    this.isHalfClosed = true;
    if (this.isBehind) this.isEndHeld = true;
    else this.listener.onEnd();
  }

  /** Bytes were read, or are passed over. */
  giveBack(bytes: number): void {
    this.host.read(bytes);
    if (this.isHalfClosed || this.isClosed) return;
    const back = this.window.read(bytes);
    if (back > 0) this.host.outbox.number(FrameType.windowUpdate, this.id, back);
  }

  /** The peer takes so many bytes more, or fewer; false when that is more than a window can be. */
  widen(bytes: number): boolean {
    this.sendWindow += bytes;
    if (this.sendWindow > maxWindow) return false;
    this.pump(Infinity);
    return true;
  }

  /** Sends of what waits so many frames at most. */
  pump(frames: number): void {
    const { queue, host } = this;
    if (queue === null || queue.length === 0) return;
    for (let sent = 0; queue.length > 0; sent += 1) {
      if (sent === frames || host.sendWindow <= 0 || host.outbox.isFull) {
        host.wait(this);
        return;
      }
      const count = Math.min(queue.length, maxPayloadBytes, this.sendWindow, host.sendWindow);
      if (count <= 0) return;
      this.begin(count);
      queue.move(count, host.outbox);
    }
    this.drained();
  }

  /** The body is not as long as was announced. */
  private mismatch(bytes: number): void {
    this.abort(ErrorCode.protocolError);
    this.host.read(bytes);
  }

  private get isBehind(): boolean {
    return this.isPaused || this.held !== null;
  }

  private fits(bytes: number): boolean {
    const { host } = this;
    return bytes <= maxPayloadBytes && bytes <= this.sendWindow && bytes <= host.sendWindow && !host.outbox.isFull;
  }

  private begin(bytes: number): void {
    this.sendWindow -= bytes;
    this.host.spend(bytes);
    this.host.outbox.frame(FrameType.data, 0, this.id, bytes);
    this.host.touch();
  }

  private drained(): void {
    if (this.trailers !== null) this.sendTrailers(this.trailers);
    else if (this.mustTell) {
      this.mustTell = false;
      this.listener.onDrain();
    }
  }

  private sendTrailers(block: Uint8Array): void {
    const { outbox } = this.host;
    this.finished = true;
    outbox.headers(this.id, block, true);
    if (!this.isHalfClosed) outbox.partWith(this.id);
    this.host.touch();
    this.close();
  }
}
