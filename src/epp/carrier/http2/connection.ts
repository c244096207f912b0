import type { Socket } from 'node:net';
import type { Clock } from '../../../router/clock.ts';
import { FrameReader } from './frame-reader.ts';
import { Incoming, type IncomingHost } from './incoming.ts';
import { Outbox } from './outbox.ts';
import { ConnectionError, defaultWindow, ErrorCode, FrameType, maxWindow } from './protocol.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { RequestHead } from './request-head.ts';
import { connectionWindow, ownSettings } from './settings.ts';
import { StreamTable } from './stream-table.ts';
import type { Http2Stream } from './stream.ts';

/** How long a peer may take to speak HTTP/2, or TLS, at all, and to take note of our settings. Milliseconds. */
export const handshakeMilliseconds = 10_000;
/** How long a peer may take to close its side after a goodbye, so that no reset overtakes what it is sent. */
const lingerMilliseconds = 1_000;
/** Bytes that a peer leaves unread before nothing more is read of it. */
const mostUnread = 4 * 1024 * 1024;

/** How often an outbox is filled in one turn for a peer that takes all at once; other connections wait meanwhile. */
const mostRounds = 4;

export interface ConnectionHost {
  readonly clock: Clock;
  /** A peer has opened a stream; `head` is another request's after the call. */
  onRequest(stream: Http2Stream, head: RequestHead): void;
  /** A connection has broken. */
  onFault(fault: Error): void;
}

/** The server's side of an HTTP/2 connection (RFC 9113). */
export class Http2Connection implements IncomingHost {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly streams = new StreamTable();
  sendWindow = defaultWindow;
  isClosing = false;
  /** Nothing is sent or taken any more. */
  destroyed = false;
  private readonly socket: Socket;
  private readonly host: ConnectionHost;
  private readonly reader: FrameReader;
  private readonly window = new ReceiveWindow(connectionWindow);
  /** Streams that have more to send and wait for room, in their order. */
  private readonly waiting = new Set<Http2Stream>();
  /** Streams that are over and whose listeners have not been told. */
  private closed: Http2Stream[] = [];
  /** Whether what is written now is sent without being asked. */
  private isBusy = false;
  private isStalled = false;
  /** Our side is closed, or is as soon as all is sent. */
  private isOver = false;
  private cancelTimer: () => void;

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.host = host;
    this.clock = host.clock;
    this.outbox = new Outbox(socket);
    this.reader = new FrameReader(new Incoming(this));
    this.cancelTimer = this.clock.after(handshakeMilliseconds, () => this.onSilence());
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('drain', () => this.onDrain());
    socket.on('end', () => this.finish());
    socket.on('error', (fault) => this.onSocketError(fault));
    socket.on('close', () => this.onSocketClose());
    this.outbox.control(FrameType.settings, 0, ownSettings);
    this.outbox.number(FrameType.windowUpdate, 0, connectionWindow - defaultWindow);
    this.flush();
  }

  /** Takes no more streams, and closes the connection when the last is over. */
  close(): void {
    if (this.isClosing || this.destroyed) return;
    this.isClosing = true;
    this.outbox.goaway(this.streams.taken, ErrorCode.noError);
    this.touch();
  }

  /** Breaks all off: tells the peer the code, and the host the fault. */
  destroy(fault: Error, code: number): void {
    if (this.destroyed) return;
    this.outbox.goaway(this.streams.taken, code);
    this.finish();
    this.host.onFault(fault);
  }

  // What follows is for streams and frames.

  spend(bytes: number): void {
    this.sendWindow -= bytes;
  }

  wait(stream: Http2Stream): void {
    this.waiting.add(stream);
  }

  touch(): void {
    if (this.isBusy) return;
    // All that is said in one turn goes out as one write.
    this.isBusy = true;
    process.nextTick(flush, this);
  }

  take(bytes: number): boolean {
    return this.window.take(bytes);
  }

  read(bytes: number): void {
    const back = this.window.read(bytes);
    if (back === 0) return;
    this.outbox.number(FrameType.windowUpdate, 0, back);
    this.touch();
  }

  remove(stream: Http2Stream): void {
    this.streams.delete(stream);
    this.waiting.delete(stream);
    this.closed.push(stream);
    this.touch();
  }

  widen(bytes: number): boolean {
    this.sendWindow += bytes;
    return this.sendWindow <= maxWindow;
  }

  onAcknowledged(): void {
    this.cancelTimer();
  }

  onGoaway(code: number): void {
    if (code === ErrorCode.noError) this.close();
    else throw new ConnectionError(ErrorCode.noError, `the peer goes away for error ${code}`);
  }

  onRequest(stream: Http2Stream, head: RequestHead): void {
    this.host.onRequest(stream, head);
  }

  /** Sends what was written, and what waits as far as there is room; tells streams that they are over. */
  flush(): void {
    const { outbox } = this;
    this.isBusy = true;
    outbox.flush();
    for (let round = 0; this.waiting.size > 0 && this.sendWindow > 0 && !outbox.isFull; round += 1) {
      if (round === mostRounds) {
        setImmediate(flush, this);
        break;
      }
      this.pump();
      outbox.flush();
    }
    this.tellClosed();
    if (!outbox.isEmpty) outbox.flush();
    this.isBusy = false;
    if (this.isClosing && this.streams.size === 0) this.finish();
    else this.stallIfUnread();
  }

  private receive(bytes: Buffer): void {
    if (this.destroyed) return;
    this.isBusy = true;
    try {
      this.reader.read(bytes, 0, bytes.length);
    } catch (fault) {
      this.fail(fault);
    }
    this.flush();
  }

  private fail(fault: unknown): void {
    if (fault instanceof ConnectionError) this.destroy(fault, fault.code);
    else this.destroy(fault instanceof Error ? fault : new Error(String(fault)), ErrorCode.internalError);
  }

  /** A frame of each stream that waits, in turn, as long as there is room. */
  private pump(): void {
    for (const stream of this.waiting) {
      if (this.sendWindow <= 0 || this.outbox.isFull) return;
      this.waiting.delete(stream);
      stream.pump(1);
    }
  }

  private tellClosed(): void {
    // What a listener does may close others.
    while (this.closed.length > 0) {
      const { closed } = this;
      this.closed = [];
      for (const stream of closed) stream.listener.onClose(stream.finished);
    }
  }

  /** A peer that reads nothing gets no more answers, and so no more of its requests are taken. */
  private stallIfUnread(): void {
    if (this.isStalled || this.socket.writableLength < mostUnread) return;
    this.isStalled = true;
    this.socket.pause();
  }

  private onDrain(): void {
    if (this.isStalled) {
      this.isStalled = false;
      this.socket.resume();
    }
    if (!this.destroyed) this.flush();
  }

  private onSilence(): void {
    if (!this.reader.greeted) this.socket.destroy();
    else this.destroy(new Error('a peer takes no note of our settings'), ErrorCode.settingsTimeout);
  }

  private onSocketError(fault: Error): void {
    // A peer that was told goodbye may close as it likes.
    if (!this.destroyed && !this.isClosing) this.host.onFault(fault);
  }

  private onSocketClose(): void {
    this.isOver = true;
    this.cancelTimer();
    this.breakOff();
  }

  /** Says the last words; the peer closes then, or is cut off. */
  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.breakOff();
    this.cancelTimer();
    this.cancelTimer = this.clock.after(lingerMilliseconds, () => this.socket.destroy());
    this.socket.end();
    // What still comes is passed over.
    this.socket.resume();
  }

  /** All streams are over, whatever they were about. */
  private breakOff(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.reader.stop();
    for (const stream of this.streams.all()) stream.close();
    this.outbox.flush();
    this.tellClosed();
  }
}

function flush(connection: Http2Connection): void {
  connection.flush();
}
