import type { Socket } from 'node:net';
import type { Clock } from '../../router/clock.ts';
import { UpstreamError, type UpstreamFailure } from './client.ts';
import type { Carrier, Exchange } from './exchange.ts';
import { writeRequest } from './request-writer.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';

/**
 * Milliseconds after a request within which a close without an answer may be that of an idle connection: a close that
 * was under way takes a round trip to be seen. One that comes later has another reason, such as the engine's death.
 */
export const staleWindow = 500;

/** The pool, as its connections see it. */
export interface ConnectionOwner {
  readonly address: string;
  readonly hostLine: string;
  readonly clock: Clock;
  /** The connection may carry another exchange. `hint` is the engine's keep-alive timeout in seconds, or -1. */
  onIdle(connection: Connection, hint: number): void;
  onGone(connection: Connection): void;
  /** The exchange needs a fresh connection. */
  resend(exchange: Exchange): void;
}

/** One socket to an engine, which carries one exchange at a time. Its listeners are attached once. */
export class Connection implements Carrier, ResponseSink {
  /** When the pool is to close it if it is still idle, in milliseconds of the clock. */
  idleUntil = 0;
  private readonly owner: ConnectionOwner;
  private readonly parser = new ResponseParser(this);
  private socket: Socket | null = null;
  private exchange: Exchange | null;
  private ready = false;
  private reused = false;
  private paused = false;
  private sentAt = 0;
  private cancelTimeout: (() => void) | null = null;

  /** The exchange is sent once the connection stands. */
  constructor(owner: ConnectionOwner, exchange: Exchange) {
    this.owner = owner;
    this.exchange = exchange;
    exchange.carrier = this;
    const limit = exchange.request.connectTimeout;
    if (limit > 0) this.cancelTimeout = owner.clock.after(limit, () => this.onConnectTimeout(limit));
  }

  /** Takes the socket it is to live on; `readyEvent` is when that can be written to. */
  attach(socket: Socket, readyEvent: 'connect' | 'secureConnect'): void {
    this.socket = socket;
    socket.once(readyEvent, () => this.onReady());
    socket.on('end', () => this.onBroken(null));
    socket.on('error', (error) => this.onBroken(error));
    socket.on('close', () => this.onBroken(null));
  }

  /** Sends an exchange on an idle connection. */
  carry(exchange: Exchange): void {
    exchange.carrier = this;
    this.exchange = exchange;
    this.reused = true;
    this.send(exchange);
  }

  /** The socket's read callback; `bytes` is overwritten by the next read of any socket. False stops the reading. */
  onRead(bytes: Buffer, length: number): boolean {
    // An engine that speaks unasked is out of step: its next answer could be taken for another request's.
    if (this.exchange === null) {
      this.drop();
      return false;
    }
    const progress = this.parser.push(bytes, length);
    if (this.wasDropped()) return false;
    if (progress === 'done') this.finish();
    else if (progress === 'invalid') this.failExchange('invalid', this.parser.fault, null);
    return this.exchange === null || !this.paused;
  }

  onHead(status: number, headers: readonly string[]): void {
    this.exchange?.head(status, headers);
  }

  onBody(chunk: Buffer): void {
    const exchange = this.exchange;
    if (exchange !== null && !exchange.data(chunk)) this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket?.resume();
  }

  drop(): void {
    this.exchange = null;
    this.cancelTimeout?.();
    this.cancelTimeout = null;
    this.owner.onGone(this);
    this.socket?.destroy();
  }

  /** Closes the connection and ends the exchange on it, if there is one, with an error. */
  close(): void {
    this.failExchange(this.failureNow(), 'the client was closed', null);
  }

  /** A handler may abort in the middle of a read. */
  private wasDropped(): boolean {
    return this.exchange === null;
  }

  private onReady(): void {
    this.ready = true;
    this.cancelTimeout?.();
    this.cancelTimeout = null;
    if (this.exchange !== null) this.send(this.exchange);
  }

  private send(exchange: Exchange): void {
    const socket = this.socket;
    if (socket === null) return;
    this.parser.begin(exchange.request.method === 'HEAD');
    this.sentAt = this.owner.clock.now();
    writeRequest(socket, this.owner.hostLine, exchange.request);
  }

  private finish(): void {
    const exchange = this.exchange;
    const { keepAlive, keepAliveTimeout } = this.parser.head;
    // An answer that comes before the whole request has gone leaves the rest of the request in the way.
    const reusable = keepAlive && !this.parser.surplus && this.socket?.writableLength === 0;
    this.exchange = null;
    // A pause outlives neither its exchange nor the read that caused it: an idle connection must notice its end.
    this.paused = false;
    if (reusable) this.owner.onIdle(this, keepAliveTimeout);
    else this.drop();
    exchange?.end();
  }

  /** The connection ended, cleanly or not; comes several times for one socket. */
  onBroken(cause: Error | null): void {
    const exchange = this.exchange;
    if (exchange === null) return this.drop();
    if (cause === null && this.ready && this.parser.endsWithConnection()) return this.finish();
    if (!this.isStale(exchange)) return this.breakExchange(cause);
    this.drop();
    exchange.resent = true;
    this.owner.resend(exchange);
  }

  private isStale(exchange: Exchange): boolean {
    if (!this.reused || this.parser.started || exchange.resent) return false;
    return this.owner.clock.now() - this.sentAt <= staleWindow;
  }

  private onConnectTimeout(limit: number): void {
    this.cancelTimeout = null;
    this.failExchange('connect_timeout', `no connection within ${limit} ms`, null);
  }

  private breakExchange(cause: Error | null): void {
    this.failExchange(this.failureNow(), this.ready ? 'the connection broke' : 'no connection', cause);
  }

  private failureNow(): UpstreamFailure {
    if (!this.ready) return 'connect';
    return this.parser.headSeen ? 'cut' : 'reset';
  }

  private failExchange(failure: UpstreamFailure, what: string, cause: Error | null): void {
    const exchange = this.exchange;
    this.drop();
    if (exchange === null) return;
    // A first sending may have reached the engine, so that it is no longer true that nothing was accepted.
    const told = exchange.resent && !this.ready ? 'reset' : failure;
    const message = `${this.owner.address}: ${what}${cause === null ? '' : `: ${reasonOf(cause)}`}`;
    exchange.fail(new UpstreamError(told, message, cause ?? undefined, this.reused || exchange.resent));
  }
}

/** A name with several addresses fails with one error for each, and no message of its own. */
function reasonOf(cause: Error): string {
  return cause instanceof AggregateError ? cause.errors.map(String).join('; ') : cause.message;
}
