import { UpstreamError, type UpstreamExchange, type UpstreamHandler, type UpstreamRequest } from './client.ts';

/** The connection under an exchange, as far as the exchange needs it. */
export interface Carrier {
  /** Closes the connection; its exchange hears no more of it. */
  drop(): void;
  resume(): void;
}

/** One request and its answer. Keeps the handler's promise: nothing is called after end, error or abort. */
export class Exchange implements UpstreamExchange {
  readonly request: UpstreamRequest;
  carrier: Carrier | null = null;
  /** Whether this is the second sending, after a stale connection. */
  resent = false;
  over = false;
  private readonly handler: UpstreamHandler;

  constructor(request: UpstreamRequest, handler: UpstreamHandler) {
    this.request = request;
    this.handler = handler;
  }

  abort(): void {
    if (this.over) return;
    this.over = true;
    this.release();
  }

  resume(): void {
    this.carrier?.resume();
  }

  head(status: number, headers: readonly string[]): void {
    if (this.over) return;
    try {
      this.handler.onHead(status, headers);
    } catch (cause) {
      this.refused(cause);
    }
  }

  /** Returns false to stop reading. */
  data(chunk: Buffer): boolean {
    if (this.over) return true;
    try {
      return this.handler.onData(chunk);
    } catch (cause) {
      this.refused(cause);
      return true;
    }
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.carrier = null;
    this.handler.onEnd();
  }

  fail(error: UpstreamError): void {
    if (this.over) return;
    this.over = true;
    this.carrier = null;
    this.handler.onError(error);
  }

  /** The handler threw: the rest of the answer has no reader. */
  private refused(cause: unknown): void {
    if (!this.over) this.release();
    this.fail(new UpstreamError('cut', 'the reader of the answer failed; see the cause', cause));
  }

  private release(): void {
    const carrier = this.carrier;
    this.carrier = null;
    carrier?.drop();
  }
}
