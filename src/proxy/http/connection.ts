import type { Socket } from 'node:net';
import type { Deadlines, Timed } from '../../router/deadlines.ts';
import { keepAliveSeconds } from './answer-head.ts';
import { refusal } from './refusals.ts';
import type { RequestHead } from './request-head.ts';
import { RequestParser, type Refusal, type RequestSink } from './request-parser.ts';
import { Response, type AnswerCarrier } from './response.ts';

/** Who takes the body of a request, piece by piece. */
export interface BodySink {
  /** Bytes are in bytes[start, end), which belong to the connection again after the call. */
  onBody(bytes: Buffer, start: number, end: number): void;
  onEnd(): void;
  /** The body will not be complete: the client has left, or has broken off HTTP. */
  onAbort(): void;
}

/** A request whose head has come. */
export interface ClientRequest {
  readonly head: RequestHead;
  /** Takes the body; to be called before the handler returns, or the body is dropped. */
  receive(sink: BodySink): void;
}

export type RequestHandler = (request: ClientRequest, response: Response) => void;

/** What clients are given, in milliseconds. */
export interface ConnectionTimeouts {
  /** From a request's first byte, or the connection's first moment, to the end of its headers. */
  readonly headers: number;
  /** From a request's first byte to the end of its body. */
  readonly request: number;
  /** To read the end of an answer that has been written. */
  readonly send: number;
}

/** What all connections of a server share. */
export interface ConnectionHost {
  readonly handler: RequestHandler;
  /** Every open connection is in it. */
  readonly deadlines: Deadlines<ClientConnection>;
  /** Whether the server is closed: connections end with the answer under way. */
  closing: boolean;
  /** The usual ones where it is left out. */
  readonly timeouts?: ConnectionTimeouts;
}

/** Milliseconds from a request's first byte, or the connection's first moment, to the end of its headers. */
export const headersTimeout = 60_000;
/** Milliseconds from a request's first byte to the end of its body: a large prompt over a slow line takes its time. */
export const requestTimeout = 300_000;
/** Milliseconds between requests; a little more than clients are told, so that they are the first to close. */
export const keepAliveTimeout = (keepAliveSeconds + 2) * 1000;
/** Milliseconds for a client to read the end of an answer that has been written. */
export const sendTimeout = 300_000;
/** Milliseconds in which the rest of a refused request may still come. */
export const lingerTimeout = 5000;

const usualTimeouts: ConnectionTimeouts = { headers: headersTimeout, request: requestTimeout, send: sendTimeout };

/** Bytes of further requests that are taken in while one is answered; more are left in the kernel. */
const pendingLimit = 64 * 1024;

const Phase = {
  /** Requests are read and answered. */
  open: 0,
  /** The last answer has been given; the rest of its request is passed over, so that no reset overtakes the answer. */
  lingering: 1,
  /** Our side is closed; what still comes is passed over. */
  closing: 2,
  gone: 3,
} as const;

/** One client's connection: reads requests, has them answered one after the other, and sees to the end of it all. */
export class ClientConnection implements RequestSink, AnswerCarrier, ClientRequest, Timed {
  deadline: number;
  place = -1;
  readonly socket: Socket;
  private readonly host: ConnectionHost;
  private readonly timeouts: ConnectionTimeouts;
  private readonly parser = new RequestParser(this);
  private phase: number = Phase.open;
  /** The request that is read or answered, and its answer. */
  private current: RequestHead | null = null;
  private response: Response | null = null;
  private body: BodySink | null = null;
  /** Whether the client waits for a word before it sends the body. */
  private awaited = false;
  /** When the request began. */
  private startedAt = 0;
  /** Bytes that came behind the request under way. */
  private pending: Buffer | null = null;
  /** Whether so many of them have come that no more are read. */
  private paused = false;
  /** Whether a request has been answered. */
  private used = false;
  /** Whether bytes are being parsed further up the stack. */
  private parsing = false;

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.host = host;
    this.timeouts = host.timeouts ?? usualTimeouts;
    host.deadlines.add(this);
    this.deadline = host.deadlines.coarseNow + this.timeouts.headers;
    socket.on('drain', () => this.onDrain());
    socket.on('end', () => this.onClientEnd());
    // The close that follows says all that matters.
    socket.on('error', () => undefined);
    socket.on('close', () => this.onGone());
  }

  get head(): RequestHead {
    if (this.current === null) throw new Error('the request is over');
    return this.current;
  }

  /** Whether the connection has carried a request and carries none now; a new one may have its first under way. */
  private get isIdle(): boolean {
    return this.used && this.phase === Phase.open && this.current === null && !this.parser.started;
  }

  receive(sink: BodySink): void {
    this.body = sink;
    if (!this.awaited) return;
    this.awaited = false;
    this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  }

  /** Takes what a read returned: bytes[0, length), which belong to the reader again after the call. */
  onRead(bytes: Buffer, length: number): void {
    if (this.phase >= Phase.closing) return;
    // TLS may decrypt, and so read, while an answer is written.
    if (this.parsing || this.pending !== null) this.keep(bytes, 0, length);
    else this.parse(bytes, 0, length);
    if (this.pending !== null) this.readPending();
  }

  onHead(head: RequestHead): void {
    this.current = head;
    this.deadline = this.startedAt + this.timeouts.request;
    this.awaited = head.minor === 1 && head.expectation !== '' && head.hasBody;
    this.response = new Response(this, head);
    this.host.handler(this, this.response);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.awaited = false;
    this.body?.onBody(bytes, start, end);
  }

  mustClose(): boolean {
    // A client that was not told to go on may send its body or not: nobody could tell it from the next request.
    return this.host.closing || this.awaited || this.current?.keepAlive !== true;
  }

  answered(): void {
    if (this.parsing) return;
    this.settle();
    this.readPending();
  }

  breakOff(): void {
    this.finish();
  }

  destroy(): void {
    this.socket.destroy();
    this.onGone();
  }

  closeIfIdle(): void {
    if (this.isIdle) this.finish();
  }

  timeOut(): void {
    if (this.phase === Phase.lingering) this.finish();
    else if (this.phase === Phase.open && this.parser.started && this.response?.headersSent !== true) {
      this.refuse('request_timeout', 'the request took too long to arrive');
    } else this.destroy();
  }

  private parse(bytes: Buffer, from: number, to: number): void {
    let at = from;
    this.parsing = true;
    while (at >= 0 && at < to && this.isReading()) {
      if (!this.parser.started) this.beginRequest();
      at = this.parser.push(bytes, at, to);
      if (at < 0) this.refuse(this.parser.refusal, `the request is not valid HTTP: ${this.parser.fault}`);
      else if (this.parser.isDone) this.endBody();
      this.settle();
    }
    this.parsing = false;
    if (at >= 0 && at < to && this.phase === Phase.open) this.keepFirst(bytes, at, to);
  }

  /** Whether bytes can be parsed now: not while a request is answered, nor while answers pile up. */
  private isReading(): boolean {
    if (this.phase >= Phase.closing || this.parser.isDone) return false;
    return this.parser.started || !this.socket.writableNeedDrain;
  }

  private beginRequest(): void {
    this.startedAt = this.host.deadlines.coarseNow;
    this.deadline = this.startedAt + this.timeouts.headers;
  }

  private endBody(): void {
    const { body } = this;
    this.body = null;
    this.deadline = Infinity;
    body?.onEnd();
  }

  /** Goes on to the next request, or to the end, once a request has been read and answered. */
  private settle(): void {
    const { response } = this;
    if (response?.ended !== true || this.phase >= Phase.closing) return;
    if (!this.parser.isDone) {
      if (response.close && this.phase === Phase.open) this.linger();
    } else if (response.close) this.finish();
    else this.nextRequest();
  }

  private nextRequest(): void {
    this.used = true;
    this.current = null;
    this.response = null;
    this.parser.begin();
    const allowed = this.socket.writableLength > 0 ? this.timeouts.send : keepAliveTimeout;
    this.deadline = this.host.deadlines.coarseNow + allowed;
  }

  private keep(bytes: Buffer, from: number, to: number): void {
    const more = bytes.subarray(from, to);
    this.pending = this.pending === null ? Buffer.from(more) : Buffer.concat([this.pending, more]);
    if (this.pendingBytes < pendingLimit) return;
    this.paused = true;
    this.socket.pause();
  }

  /** Keeps what came before that which is pending. */
  private keepFirst(bytes: Buffer, from: number, to: number): void {
    const later = this.pending;
    this.pending = null;
    this.keep(bytes, from, to);
    if (later !== null) this.keep(later, 0, later.length);
  }

  private get pendingBytes(): number {
    return this.pending === null ? 0 : this.pending.length;
  }

  private readPending(): void {
    while (this.pending !== null && !this.parsing && this.isReading()) {
      const { pending } = this;
      this.pending = null;
      this.parse(pending, 0, pending.length);
    }
    if (!this.paused || this.pendingBytes >= pendingLimit) return;
    this.paused = false;
    this.socket.resume();
  }

  private onDrain(): void {
    this.response?.listener?.onDrain();
    this.readPending();
  }

  /** The client has closed its side: it has left, whatever it was to get. */
  private onClientEnd(): void {
    if (this.phase === Phase.gone) return;
    // The socket ends itself once all that was written has left.
    this.phase = Phase.closing;
    this.deadline = this.host.deadlines.coarseNow + this.timeouts.send;
    this.abandon();
  }

  private onGone(): void {
    if (this.phase === Phase.gone) return;
    this.phase = Phase.gone;
    this.host.deadlines.delete(this);
    this.abandon();
  }

  /** Whoever reads or answers the request learns that its client is gone. */
  private abandon(): void {
    const { body } = this;
    this.pending = null;
    this.body = null;
    body?.onAbort();
    this.response?.onGone();
  }

  private linger(): void {
    this.phase = Phase.lingering;
    this.body = null;
    this.deadline = this.host.deadlines.coarseNow + lingerTimeout;
  }

  /** Closes the connection once all that was written has left. */
  private finish(): void {
    this.phase = Phase.closing;
    this.deadline = this.host.deadlines.coarseNow + this.timeouts.send;
    this.abandon();
    this.socket.destroySoon();
  }

  /** Answers what is no request. What still comes is passed over for a while, so that no reset overtakes the answer. */
  private refuse(kind: Refusal | 'request_timeout', message: string): void {
    if (this.phase >= Phase.closing) return;
    const { response } = this;
    if (response?.ended === true) return this.finish();
    if (response?.headersSent === true) return this.destroy();
    this.phase = Phase.closing;
    this.deadline = this.host.deadlines.coarseNow + lingerTimeout;
    this.abandon();
    this.socket.end(refusal(kind, message), 'latin1');
  }
}
