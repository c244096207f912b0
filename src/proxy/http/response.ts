import type { Socket } from 'node:net';
import { answerHead, Framing } from './answer-head.ts';
import type { RequestHead } from './request-head.ts';

/** The connection under an answer, as far as the answer needs it. */
export interface AnswerCarrier {
  readonly socket: Socket;
  /** Whether the connection is to be closed after this answer, for a reason of its own. */
  mustClose(): boolean;
  /** The answer is complete: all of it has been handed to the socket. */
  answered(): void;
  /** Closes the connection once all that was written has left, without a proper end of the answer. */
  breakOff(): void;
  destroy(): void;
}

/** Who answers a request. */
export interface ResponseListener {
  /** The connection is gone before the answer was complete. */
  onClose(): void;
  /** The client has caught up, after a write that returned false. */
  onDrain(): void;
}

/** Up to so many bytes, a copy into one piece is cheaper than a gathered write; a slice of Buffer's pool holds them. */
const gatherLimit = 4096;
const lastChunk = '0\r\n\r\n';

/** The answer to one request. What is written after its end, or after the connection's, goes nowhere. */
export class Response {
  listener: ResponseListener | null = null;
  /** Whether the connection is to be closed after this answer. */
  close = false;
  headersSent = false;
  /** Whether the answer is complete. */
  ended = false;
  /** Whether the connection is gone. */
  closed = false;
  private readonly carrier: AnswerCarrier;
  private readonly request: RequestHead;
  /** A head that waits for the first bytes of the body. */
  private head = '';
  private framing: Framing = Framing.none;
  /** Bytes of body still to come by Content-Length. */
  private remaining = 0;

  constructor(carrier: AnswerCarrier, request: RequestHead) {
    this.carrier = carrier;
    this.request = request;
  }

  /**
   * Sets the head, which is sent with the first bytes of the body. Throws a TypeError for a header that could be read
   * as something else; nothing is sent then.
   */
  writeHead(status: number, headers: readonly string[]): void {
    if (this.headersSent) throw new Error('an answer has one head');
    const { method, minor } = this.request;
    this.close ||= this.carrier.mustClose();
    const { text, framing, length } = answerHead(headers, {
      status,
      headOnly: method === 'HEAD',
      minor,
      close: this.close,
    });
    this.headersSent = true;
    this.head = text;
    this.framing = framing;
    this.remaining = length;
    if (framing === Framing.untilClose) this.close = true;
  }

  /** Returns false when the client is slower than its answer: `onDrain` says when it has caught up. */
  write(bytes: Buffer): boolean {
    if (this.ended || this.closed || bytes.length === 0) return true;
    return this.pass(bytes, false);
  }

  /** Completes the answer. */
  end(bytes: Buffer | null = null): void {
    if (this.ended || this.closed) return;
    this.pass(bytes, true);
    if (this.framing === Framing.length && this.remaining > 0) this.carrier.destroy();
    if (this.framing === Framing.length && this.remaining !== 0) return;
    this.ended = true;
    this.listener = null;
    this.carrier.answered();
  }

  /** Sends last words and closes the connection without the end that would make the answer look complete. */
  breakOff(bytes: Buffer): void {
    if (this.ended || this.closed) return;
    if (bytes.length > 0) this.pass(bytes, false);
    this.ended = true;
    this.listener = null;
    this.carrier.breakOff();
  }

  /** Closes the connection at once. */
  destroy(): void {
    if (!this.closed) this.carrier.destroy();
  }

  /** The connection is gone. */
  onGone(): void {
    if (this.closed) return;
    this.closed = true;
    const { listener } = this;
    this.listener = null;
    if (!this.ended) listener?.onClose();
  }

  private pass(bytes: Buffer | null, last: boolean): boolean {
    const { head } = this;
    this.head = '';
    const size = bytes === null ? 0 : bytes.length;
    switch (this.framing) {
      case Framing.none:
        return this.send(head, null, '');
      case Framing.length:
        this.remaining -= size;
        return this.remaining < 0 ? this.overrun() : this.send(head, bytes, '');
      case Framing.untilClose:
        return this.send(head, bytes, '');
      case Framing.chunked:
        if (size === 0) return this.send(head, null, last ? lastChunk : '');
        return this.send(`${head}${size.toString(16)}\r\n`, bytes, last ? `\r\n${lastChunk}` : '\r\n');
    }
  }

  /** More than was announced would be taken for the next answer. */
  private overrun(): boolean {
    this.carrier.destroy();
    return true;
  }

  /** One write of all three; false when the client is slower than its answer. */
  private send(before: string, bytes: Buffer | null, after: string): boolean {
    const { socket } = this.carrier;
    if (bytes === null) {
      const text = before + after;
      return text === '' || socket.write(text, 'latin1');
    }
    if (before === '' && after === '') return socket.write(bytes);
    const total = before.length + bytes.length + after.length;
    if (total <= gatherLimit) {
      const piece = Buffer.allocUnsafe(total);
      piece.write(before, 0, 'latin1');
      bytes.copy(piece, before.length);
      if (after !== '') piece.write(after, before.length + bytes.length, 'latin1');
      return socket.write(piece);
    }
    socket.cork();
    if (before !== '') socket.write(before, 'latin1');
    socket.write(bytes);
    if (after !== '') socket.write(after, 'latin1');
    socket.uncork();
    return !socket.writableNeedDrain;
  }
}
