import { errors, type Dispatcher } from 'undici';
import {
  UpstreamError,
  type UpstreamExchange,
  type UpstreamFailure,
  type UpstreamHandler,
  type UpstreamRequest,
} from './client.ts';
import { isHopByHop, withoutNamed } from './hop-by-hop.ts';

type Controller = Dispatcher.DispatchController;

/** What an exchange asks of the pool it is sent through. */
export interface UndiciCarrier {
  readonly address: string;
  /** Sends it once more on a fresh connection, if the break looks like that of an idle one; else returns false. */
  resend(exchange: UndiciExchange): boolean;
}

/** One request through undici; turns undici's calls into the handler's. */
export class UndiciExchange implements UpstreamExchange, Dispatcher.DispatchHandler {
  readonly request: UpstreamRequest;
  carrier: UndiciCarrier | null = null;
  cancelTimeout: (() => void) | null = null;
  /** How many answers the connection under it has carried. */
  connection: { served: number } | null = null;
  /** When it was handed to undici, in milliseconds of the clock. */
  sentAt = 0;
  resent = false;
  /** Whether any byte of the answer has come. */
  started = false;
  over = false;
  private readonly handler: UpstreamHandler;
  private controller: Controller | null = null;
  private sending = false;
  private headSeen = false;
  /** Thrown by the handler; undici hands it back as the reason of the abort. */
  private refusal: { readonly cause: unknown } | null = null;

  constructor(request: UpstreamRequest, handler: UpstreamHandler) {
    this.request = request;
    this.handler = handler;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.cancelTimeout?.();
    this.controller?.abort(new Error('the exchange was aborted'));
  }

  resume(): void {
    if (!this.over) this.controller?.resume();
  }

  /** The connection stands and the request is being written; undici can abort it from here on. */
  onRequestStart(controller: Controller): void {
    this.cancelTimeout?.();
    this.controller = controller;
    this.sending = true;
    if (this.over) controller.abort(new Error('the exchange was aborted'));
  }

  onResponseStarted(): void {
    this.started = true;
  }

  onResponseStart(controller: Controller, status: number): void {
    if (this.over || status < 200) return;
    this.headSeen = true;
    this.guard(() => this.handler.onHead(status, endToEnd(controller.rawHeaders)));
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.over) return;
    this.guard(() => {
      if (!this.handler.onData(chunk)) controller.pause();
    });
  }

  onResponseEnd(): void {
    if (this.over) return;
    this.over = true;
    if (this.connection !== null) this.connection.served += 1;
    try {
      this.handler.onEnd();
    } catch (error) {
      // Undici would take it for an error of the answer, which is over: let it be seen.
      process.nextTick(rethrow, error);
    }
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    if (this.over) return;
    const failure = this.refusal === null ? this.failureOf(error) : 'cut';
    if (failure !== 'reset' || this.carrier?.resend(this) !== true) return this.fail(failure, error);
    this.sending = false;
    this.controller = null;
  }

  fail(failure: UpstreamFailure, error: Error): void {
    if (this.over) return;
    this.over = true;
    this.cancelTimeout?.();
    // A first sending may have reached the engine, so that it is no longer true that nothing was accepted.
    const told = this.resent && !this.sending ? 'reset' : failure;
    const address = this.carrier?.address ?? 'no engine';
    const cause = this.refusal === null ? error : this.refusal.cause;
    this.handler.onError(new UpstreamError(told, `${address}: ${error.message}`, cause, this.onReused()));
  }

  private onReused(): boolean {
    return this.resent || (this.sending && this.connection !== null && this.connection.served > 0);
  }

  private failureOf(error: Error): UpstreamFailure {
    if (error instanceof errors.ConnectTimeoutError) return 'connect_timeout';
    if (!this.sending) return 'connect';
    if (isInvalid(error, this.headSeen)) return 'invalid';
    return this.headSeen ? 'cut' : 'reset';
  }

  private guard(call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.refusal = { cause };
      throw cause;
    }
  }
}

/** Undici calls an early end of a chunked body a fault of syntax, and any fault beside a Content-Length a mismatch. */
function isInvalid(error: Error, headSeen: boolean): boolean {
  if (error instanceof errors.ResponseContentLengthMismatchError) return !headSeen;
  if (error instanceof errors.HTTPParserError) return error.code !== 'HPE_INVALID_EOF_STATE';
  return error instanceof errors.HeadersOverflowError || /^bad (response|upgrade)$/.test(error.message);
}

function endToEnd(raw: Controller['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return [];
  const headers: string[] = [];
  let options = '';
  for (let i = 0; i < raw.length; i += 2) {
    const name = text(raw[i]);
    const lower = name.toLowerCase();
    if (lower === 'connection') options += `,${text(raw[i + 1]).toLowerCase()}`;
    if (!isHopByHop(lower)) headers.push(name, text(raw[i + 1]));
  }
  return withoutNamed(headers, options);
}

function text(value: Buffer | string): string {
  return typeof value === 'string' ? value : value.toString('latin1');
}

function rethrow(error: unknown): never {
  throw error;
}
